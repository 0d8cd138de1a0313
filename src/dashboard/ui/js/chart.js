// @ts-check
/**
 * A chart over time: lines, bands, "now", a value under the cursor, and the same numbers as a
 * table for people who do not see it. The drawing is uPlot's.
 */

import { fill, h, say } from "./dom.js";
import { number, quantity, time, unit, utc } from "./format.js";

/**
 * @typedef {{label: string, color: string, width?: number, dash?: number[], step?: boolean, hidden?: boolean}} Line
 *   `color` is a custom property without its dashes; a hidden line only bounds a band
 * @typedef {{upper: number, lower: number, color: string}} Band between two lines, by index
 * @typedef {{title: string, unit?: string, height?: number, lines: Line[], bands?: Band[], sync?: string, labels?: string[], signed?: boolean, head?: boolean}} Options
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

/** @param {string} name */
function color(name) {
  let value = colors.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colors.set(name, value);
  }
  return value;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors.clear();
  for (const chart of open) chart.redraw();
});

const FONT = '11px Inter, system-ui, -apple-system, "Segoe UI", sans-serif';
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
    /** @type {any} */
    this.plot = null;
    /** @type {number | undefined} */
    this.tableTimer = undefined;
    this.tableShown = 0;
    this.value = h("span", { class: "chart-value" });
    this.ahead = h("span", { class: "chart-ahead c-forecast" });
    this.readout = h("span", { class: "chart-readout" });
    this.host = h("div", { class: "chart-host", role: "img", "aria-label": options.title });
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
   * @param {{t: number[], columns: import("./align.js").Column[], from?: number, to?: number, now?: number | null}} update
   */
  set({ t, columns, from, to, now }) {
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
    else if (this.data.t.length) this.plot = new uPlot(this.settings(width, height), [this.data.t, ...this.data.columns], this.host);
  }

  /** @param {number} width @param {number} height */
  settings(width, height) {
    const { lines, bands = [], sync, labels = [], unit: code } = this.options;
    const axis = { stroke: () => color("chart-ink"), font: FONT, ticks: { show: false }, grid: { stroke: () => color("chart-grid"), width: 1 } };
    const names = labels.length ? (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((v) => labels[v] ?? "") : undefined;
    return {
      width,
      height,
      padding: [10, 10, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 }, ...(sync ? { sync: { key: sync, setSeries: false } } : {}) },
      scales: { x: { time: true, range: () => [this.from, this.to] }, y: { range: (/** @type {any} */ _, /** @type {number} */ min, /** @type {number} */ max) => valueRange(min, max, labels.length) } },
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
        drawClear: [(/** @type {any} */ u) => this.drawFuture(u)],
        setCursor: [(/** @type {any} */ u) => this.read(u.cursor.idx, u.cursor.left)],
      },
    };
  }

  /** @param {any} u */
  drawFuture(u) {
    if (this.now === null || this.now < this.from || this.now > this.to) return;
    const { left, top, width, height } = u.bbox;
    const x = Math.round(u.valToPos(this.now, "x", true));
    u.ctx.save();
    u.ctx.fillStyle = color("chart-future");
    u.ctx.fillRect(x, top, left + width - x, height);
    u.ctx.strokeStyle = color("chart-now");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash([]);
    u.ctx.beginPath();
    u.ctx.moveTo(x, top);
    u.ctx.lineTo(x, top + height);
    u.ctx.stroke();
    u.ctx.restore();
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

  /** @param {number} value */
  show(value) {
    const { labels = [], unit: code } = this.options;
    return quantity(value, code, labels);
  }

  fillTable() {
    this.tableTimer = undefined;
    this.tableShown = performance.now();
    const { t, columns } = this.data;
    const { title, lines } = this.options;
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

/**
 * Room above and below, and never a range of nothing.
 * @param {number | null} min @param {number | null} max @param {number} labels
 */
function valueRange(min, max, labels) {
  if (labels) return [-0.2, labels - 0.8];
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const least = Math.max(Math.abs(min), Math.abs(max)) * 1e-3 || 1;
  if (max - min < least) return [min - least, max + least];
  return uPlot.rangeNum(min, max, 0.12, true);
}

/**
 * Marks of the time axis in 24-hour local time; a day's first mark says the date.
 * @param {number[]} splits seconds @param {number} step
 */
function clockMarks(splits, step) {
  let day = "";
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const date = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    if (step >= 86400) return date;
    const changed = day !== "" && date !== day;
    day = date;
    return changed ? date : at.toLocaleTimeString("en-GB", step < 60 ? {} : { hour: "2-digit", minute: "2-digit" });
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
