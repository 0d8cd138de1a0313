// @ts-check
/** Tables of numbers over time, brought onto one time axis for a chart. Pure functions. */

/** @typedef {(number | null | undefined)[]} Column */
/** @typedef {{t: number[], columns: Column[]}} Table ascending seconds, and one column per line */

/**
 * Puts tables side by side. Where a table has no row the value is `undefined` (a line passes
 * over it); `null` stays what it is, a gap.
 * @param {Table[]} tables
 * @returns {Table}
 */
export function sideBySide(tables) {
  const t = [...new Set(tables.flatMap((table) => table.t))].sort((a, b) => a - b);
  const columns = tables.flatMap((table) => table.columns.map(() => /** @type {Column} */ (new Array(t.length).fill(undefined))));
  let first = 0;
  for (const table of tables) {
    let row = 0;
    for (let i = 0; i < t.length && row < table.t.length; i += 1) {
      if (t[i] !== table.t[row]) continue;
      table.columns.forEach((column, c) => {
        columns[first + c][i] = column[row];
      });
      row += 1;
    }
    first += table.columns.length;
  }
  return { t, columns };
}

/** Seconds since 1970. @param {string} text */
export const instant = (text) => Date.parse(text) / 1000;

/**
 * A stored or served value as a number for a chart.
 * @param {any} value @param {string[]} labels of an enum
 * @returns {number | null}
 */
export function numeric(value, labels) {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") {
    const index = labels.indexOf(value);
    return index < 0 ? null : index;
  }
  return null;
}

/**
 * The quantiles of one signal, as columns low, median, high.
 * @param {Record<string, Column> | undefined} quantiles
 * @returns {[Column, Column, Column]}
 */
export function quantileColumns(quantiles) {
  const levels = Object.keys(quantiles ?? {}).sort((a, b) => Number(a) - Number(b));
  if (!quantiles || !levels.length) return [[], [], []];
  const median = levels.reduce((best, level) => (Math.abs(Number(level) - 0.5) < Math.abs(Number(best) - 0.5) ? level : best));
  return [quantiles[levels.includes("0.1") ? "0.1" : levels[0]], quantiles[median], quantiles[levels.includes("0.9") ? "0.9" : levels[levels.length - 1]]];
}

/** The last value that is there. @param {Column} column */
export function lastKnown(column) {
  for (let i = column.length - 1; i >= 0; i -= 1) {
    const value = column[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}
