// @ts-check
/**
 * A chart over time: lines, bands, "now", a value under the cursor, and the same numbers as a
 * table for people who do not see it. The drawing is uPlot's.
 */

import { lastKnown } from "./align.js";
import { fill, h, say } from "./dom.js";
import { number, percent, quantity, time, unit, utc } from "./format.js";
import { above, behind, clockMarks, valueRange } from "./paint.js";

/**
 * @typedef {{label: string, color: string, width?: number, dash?: number[], step?: boolean, hidden?: boolean}} Line
 *   `color` is a custom property without its dashes; a hidden line only bounds a band
 * @typedef {{upper: number, lower: number, color: string}} Band between two lines, by index
 * @typedef {{title: string, unit?: string, height?: number, lines: Line[], bands?: Band[], sync?: string, labels?: string[], signed?: boolean, head?: boolean, range?: () => [number, number], select?: (from: number, to: number) => void, pick?: (at: number) => void, share?: boolean, edited?: boolean, onready?: (u: any) => void, ondraw?: () => void}} Options
 *   `range` fixes the values; `select` is told of an interval that was drawn with the pointer, `pick`
 *   of an instant that was clicked; of a
 *   `share` the values are shown as percentages; one that is `edited` has handles in it
 */

/** @type {any} */
let uPlot = null;
const ready = import(new URL("../vendor/uPlot.esm.js", import.meta.url).href).then(
  (module) => (uPlot = module.default),
  () => null,
);

/** Resolves when it is known whether the chart library is there. */
export const chartLibrary = () => ready;

/** @type {Map<string, string>} */
const colors = new Map();
/** @type {Set<Chart>} */
const open = new Set();

/** A colour of the style sheet as it is now. @param {string} name */
export function color(name) {
  let value = colors.get(name);
  if (value === undefined) {
    const read = (/** @type {string} */ property) => getComputedStyle(document.documentElement).getPropertyValue(`--${property}`).trim();
    // Where a band has no colour of its own it is the line's, made thin.
    value = read(name) || `${read(name.replace(/-band$/, ""))}2b`;
    colors.set(name, value);
  }
  return value;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors.clear();
  for (const chart of open) chart.redraw();
});

const FONT = '11px Inter, system-ui, -apple-system, "Segoe UI", sans-serif';
/** Pixels from which on a movement with the pressed pointer is a drag. */
const DRAG = 8;
const TABLE_ROWS = 12;
const TABLE_EVERY_MS = 1000;

export class Chart {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    /** @type {{t: number[], columns: import("./align.js").Column[]}} */
    this.data = { t: [], columns: options.lines.map(() => []) };
    this.from = 0;
    this.to = 1;
    /** @type {number | null} */
    this.now = null;
    /** @type {import("./paint.js").Mark[]} */
    this.marks = [];
    /** @type {import("./paint.js").Level[]} */
    this.levels = [];
    /** @type {any} */
    this.plot = null;
    /** @type {number | undefined} */
    this.tableTimer = undefined;
    this.tableShown = 0;
    this.value = h("span", { class: "chart-value" });
    this.ahead = h("span", { class: "chart-ahead c-forecast" });
    this.readout = h("span", { class: "chart-readout" });
    this.host = h("div", { class: "chart-host", role: options.edited ? "group" : "img", "aria-label": options.title });
    this.table = h("table", {});
    const heading = options.head === false ? null : h("h3", {}, options.title);
    this.element = h(
      "figure",
      { class: "chart", "aria-label": options.title, "data-chart": options.title },
      h("div", { class: "chart-head" }, heading, this.value, this.ahead, this.readout),
      this.host,
      h("div", { class: "sr" }, this.table),
    );
    if (!uPlot) {
      this.host.replaceWith(h("p", { class: "note chart-missing" }, "The chart library is missing: run ", h("code", {}, "sh docker/setup.sh"), " and build again."));
      return;
    }
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.host);
    open.add(this);
  }

  /**
   * New data. Draws at once.
   * @param {{t: number[], columns: import("./align.js").Column[], from?: number, to?: number, now?: number | null, marks?: import("./paint.js").Mark[], levels?: import("./paint.js").Level[]}} update
   */
  set({ t, columns, from, to, now, marks, levels }) {
    if (marks) this.marks = marks;
    if (levels) this.levels = levels;
    this.data = { t, columns };
    this.from = from ?? t[0] ?? 0;
    this.to = Math.max(to ?? t[t.length - 1] ?? 1, this.from + 1e-3);
    this.now = now ?? null;
    if (this.plot) this.plot.setData([t, ...columns]);
    else this.resize();
    this.element.dataset.points = String(t.length);
    if (!this.tableTimer) {
      this.tableTimer = setTimeout(() => this.fillTable(), Math.max(0, this.tableShown + TABLE_EVERY_MS - performance.now()));
    }
  }

  /** Shows a value beside the title, and what is expected of it. @param {string} text @param {string} [ahead] */
  say(text, ahead = "") {
    say(this.value, text);
    say(this.ahead, ahead);
  }

  redraw() {
    this.plot?.redraw(false, true);
  }

  destroy() {
    clearTimeout(this.tableTimer);
    this.sizes?.disconnect();
    this.plot?.destroy();
    this.plot = null;
    open.delete(this);
  }

  resize() {
    const width = Math.floor(this.host.clientWidth) - 12;
    if (!uPlot || width < 40) return;
    const height = this.options.height ?? 168;
    if (this.plot) this.plot.setSize({ width, height });
    else if (this.data.t.length) {
      this.plot = new uPlot(this.settings(width, height), [this.data.t, ...this.data.columns], this.host);
      this.options.onready?.(this.plot);
    }
  }

  /** @param {number} width @param {number} height */
  settings(width, height) {
    const { lines, bands = [], sync, labels = [], unit: code, range, select, pick, share } = this.options;
    const axis = { stroke: () => color("chart-ink"), font: FONT, ticks: { show: false }, grid: { stroke: () => color("chart-grid"), width: 1 } };
    const names = labels.length ? (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((v) => labels[v] ?? "")
      : share ? (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((v) => `${Math.round(v * 100)}\u202f%`) : undefined;
    return {
      width,
      height,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: Boolean(select), y: false, setScale: false, dist: DRAG }, y: false, points: { size: 6 }, ...(sync ? { sync: { key: sync, setSeries: false } } : {}) },
      scales: { x: { time: true, range: () => [this.from, this.to] }, y: { range: (/** @type {any} */ _, /** @type {number} */ min, /** @type {number} */ max) => range?.() ?? valueRange(uPlot, min, max, labels.length) } },
      axes: [
        { ...axis, size: 28, space: width < 500 ? 64 : 84, values: (/** @type {any} */ _, /** @type {number[]} */ splits, /** @type {number} */ __, /** @type {number} */ ___, /** @type {number} */ step) => clockMarks(splits, step) },
        { ...axis, size: 52, space: height < 130 ? 20 : 30, values: names, label: unit(code) || " ", labelSize: 16, labelGap: 0, labelFont: FONT, incrs: labels.length ? [1] : undefined },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: line.hidden ? "transparent" : () => color(line.color),
          width: line.hidden ? 0 : line.width ?? 1.6,
          dash: line.dash,
          points: { show: false },
          paths: line.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        })),
      ],
      bands: bands.map((band) => ({ series: [band.upper + 1, band.lower + 1], fill: () => color(band.color) })),
      hooks: {
        ready: pick ? [(/** @type {any} */ u) => clicks(u, pick)] : [],
        drawClear: [(/** @type {any} */ u) => behind(u, this, color)],
        draw: [(/** @type {any} */ u) => {
          above(u, this.levels, color);
          this.options.ondraw?.();
        }],
        setSelect: select ? [(/** @type {any} */ u) => this.selected(u, select)] : [],
        setCursor: [(/** @type {any} */ u) => this.read(u.cursor.idx, u.cursor.left)],
      },
    };
  }

  /** @param {number | null} index @param {number} left */
  read(index, left) {
    if (index === null || index === undefined || left < 0) {
      say(this.readout, "");
      return;
    }
    const at = this.data.t[index];
    const parts = this.options.lines
      .map((line, i) => ({ line, value: this.data.columns[i][index] }))
      .filter(({ value }) => value !== null && value !== undefined)
      .map(({ line, value }) => `${line.label} ${this.show(/** @type {number} */ (value))}`);
    say(this.readout, [time(at * 1000), ...parts].join("  ·  "));
    this.readout.title = utc(at * 1000);
  }

  /** An interval was drawn with the pointer. @param {any} u @param {(from: number, to: number) => void} select */
  selected(u, select) {
    if (!u.select.width) return;
    const from = u.posToVal(u.select.left, "x");
    const to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    select(from, to);
  }

  /** @param {number} value */
  show(value) {
    const { labels = [], unit: code, share } = this.options;
    if (share) return percent(value);
    return quantity(value, code, labels);
  }

  fillTable() {
    this.tableTimer = undefined;
    this.tableShown = performance.now();
    const { t, columns: all } = this.data;
    const { title, lines: every } = this.options;
    // A line without a value, such as what was said before, would be a column of nothing.
    const shown = every.map((_, i) => i).filter((i) => i === 0 || lastKnown(all[i]) !== null);
    const [lines, columns] = [shown.map((i) => every[i]), shown.map((i) => all[i])];
    const count = Math.min(TABLE_ROWS, t.length);
    const rows = [...new Set(Array.from({ length: count }, (_, i) => Math.round((i * (t.length - 1)) / Math.max(count - 1, 1))))];
    fill(
      this.table,
      h("caption", {}, `${title}${unit(this.options.unit) ? ` in ${unit(this.options.unit)}` : ""}: ${count} of ${t.length} instants`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), lines.map((line) => h("th", { scope: "col" }, line.label)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, time(t[row] * 1000)), columns.map((column) => h("td", {}, number(column[row])))))),
    );
    if (uPlot && t.length) this.host.setAttribute("aria-label", `${title}: chart from ${time(this.from * 1000)} to ${time(this.to * 1000)}; its numbers follow as a table`);
  }
}

/** Clicks that are no drags. @param {any} u of uPlot @param {(at: number) => void} pick */
function clicks(u, pick) {
  let begun = NaN;
  u.over.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => { begun = event.clientX; });
  u.over.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (Math.abs(event.clientX - begun) < DRAG) pick(u.posToVal(event.clientX - u.over.getBoundingClientRect().left, "x"));
  });
}

/**
 * The key of a chart: what each line or band means.
 * @param {...{text: string, color: string, kind?: "line" | "dash" | "band"}} entries
 */
export function keys(...entries) {
  return h(
    "span",
    { class: "keys" },
    entries.map(({ text, color: name, kind = "line" }) => h("span", { class: "key" }, h("i", { class: kind === "band" ? `b-${name}` : `c-${name}`, "data-kind": kind }), text)),
  );
}
