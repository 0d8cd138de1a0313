// @ts-check
/** A small picture of lines over numbers that are not time: a training curve, a coverage, a search. */

import { fill, h } from "./dom.js";
import { number } from "./format.js";
import { SVG } from "./spark.js";

/** Text keeps its size on a small screen, so the picture is narrower there. */
const WIDTH = innerWidth < 600 ? 270 : 420;
const HEIGHT = 150;
const LEFT = 46;
const BOTTOM = 22;
const TOP = 8;

/**
 * @typedef {{name: string, color: string, points: [number, number][], dash?: boolean}} Curve `color` as in `c-...`
 */

/**
 * @param {{title: string, x: string, curves: Curve[], show?: (value: number) => string, range?: [number, number]}} options
 */
export function plot({ title, x, curves, show = number, range }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "plot");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}; its numbers follow as a table`);
  const all = curves.flatMap((curve) => curve.points).filter(([, value]) => Number.isFinite(value));
  const xs = all.map(([at]) => at);
  const ys = all.map(([, value]) => value);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  let [y0, y1] = range ?? [Math.min(...ys), Math.max(...ys)];
  const room = (y1 - y0) * 0.08 || Math.abs(y1) * 0.1 || 1;
  if (!range) [y0, y1] = [y0 - room, y1 + room];
  const px = (/** @type {number} */ at) => LEFT + ((at - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 8);
  const py = (/** @type {number} */ value) => TOP + (1 - (value - y0) / (y1 - y0 || 1)) * (HEIGHT - TOP - BOTTOM);
  if (all.length) {
    for (const share of [0, 0.5, 1]) {
      const value = y0 + share * (y1 - y0);
      draw(svg, "line", { x1: LEFT, x2: WIDTH - 8, y1: py(value), y2: py(value), class: "plot-grid" });
      text(svg, LEFT - 6, py(value) + 4, "end", show(value));
    }
    for (const share of [0, 0.5, 1]) text(svg, px(x0 + share * (x1 - x0)), HEIGHT - 6, share === 0 ? "start" : share === 1 ? "end" : "middle", `${Math.round(x0 + share * (x1 - x0))}${share === 0.5 ? ` ${x}` : ""}`);
    for (const curve of curves) {
      const path = curve.points.filter(([, value]) => Number.isFinite(value)).map(([at, value], i) => `${i ? "L" : "M"}${px(at).toFixed(1)} ${py(Math.min(y1, Math.max(y0, value))).toFixed(1)}`).join("");
      draw(svg, "path", { d: path, class: `plot-line c-${curve.color}${curve.dash ? " plot-dash" : ""}` });
    }
  }
  return h("figure", { class: "plot-figure", "aria-label": title, "data-plot": title }, svg, h("div", { class: "sr" }, tableOf(title, x, curves)));
}

/** @param {string} title @param {string} x @param {Curve[]} curves */
function tableOf(title, x, curves) {
  const table = h("table", {});
  const rows = [...new Set(curves.flatMap((curve) => curve.points.map(([at]) => at)))].sort((a, b) => a - b);
  fill(
    table,
    h("caption", {}, title),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, x), curves.map((curve) => h("th", { scope: "col" }, curve.name)))),
    h("tbody", {}, rows.slice(0, 40).map((at) => h("tr", {}, h("th", { scope: "row" }, number(at)), curves.map((curve) => h("td", {}, number(curve.points.find(([one]) => one === at)?.[1])))))),
  );
  return table;
}

/** @param {Element} parent @param {string} tag @param {Record<string, string | number>} attributes */
export function draw(parent, tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  parent.append(element);
  return element;
}

/** @param {Element} parent @param {number} x @param {number} y @param {string} anchor @param {string} words */
function text(parent, x, y, anchor, words) {
  draw(parent, "text", { x, y, "text-anchor": anchor, class: "plot-text" }).textContent = words;
}
