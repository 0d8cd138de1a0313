// @ts-check
/** Spans of time that make sense for a step. Pure functions. */

const WINDOWS = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 259200, 604800, 2592000, 7776000, 31536000];

/** Windows that make sense for a step. @param {number} interval seconds */
export function windows(interval) {
  const fitting = WINDOWS.filter((w) => w >= 25 * interval && w <= 40_000 * interval).slice(0, 9);
  return fitting.length ? fitting : [100 * interval];
}

/** @param {number} interval seconds */
export function usualWindow(interval) {
  return windows(interval).find((w) => w >= 200 * interval) ?? 200 * interval;
}
