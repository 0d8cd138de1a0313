// @ts-check
/** How a version answers its control inputs: a matrix of small step responses. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { number, signed, span, unit } from "../format.js";
import { draw } from "../plot.js";
import { SVG } from "../spark.js";

const SIGNS = /** @type {Record<string, {text: string, mark: string, tone: string}>} */ ({
  positive: { text: "rises", mark: "↗", tone: "good" },
  negative: { text: "falls", mark: "↘", tone: "good" },
  changing: { text: "changes its sign", mark: "↕", tone: "warn" },
  none: { text: "no answer", mark: "→", tone: "" },
});
const WIDTH = 120;
const HEIGHT = 40;

/** @param {import("../feed.js").Feed} feed @param {number} version */
export function responsesDetails(feed, version) {
  const body = h("div", { class: "responses" });
  const stop = new AbortController();
  feed.end.addEventListener("abort", () => stop.abort());
  const read = async () => {
    fill(body, h("p", { class: "small quiet", role: "status" }, "Probing the version with steps of each input…"));
    try {
      const found = await api.responses(feed.asset.key, version, stop.signal);
      fill(body, matrix(feed, found));
    } catch (error) {
      if (!stop.signal.aborted) fill(body, problemBox(error, read));
    }
  };
  const details = h("details", { "data-responses": version }, h("summary", {}, "Answers to its control inputs"), body);
  details.addEventListener("toggle", () => details.open && !body.childElementCount && read());
  return details;
}

/** @param {import("../feed.js").Feed} feed @param {any} found */
function matrix(feed, found) {
  const inputs = [...new Set(found.responses.map((/** @type {any} */ one) => one.input))];
  const outputs = [...new Set(found.responses.map((/** @type {any} */ one) => one.output))];
  const units = new Map(feed.type.signals.map((signal) => [signal.name, unit(signal.unit)]));
  const length = found.steps * found.step_s;
  const most = Math.max(...found.responses.map((/** @type {any} */ one) => one.effect), 1e-9);
  return [
    found.contradiction ? h("p", { class: "note" }, `It answers otherwise than the asset's type says: ${found.contradiction}`) : null,
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Answers of version ${found.version} to each control input` },
      h(
        "table",
        { class: "data response-table" },
        h("caption", { class: "sr" }, "How each output answers a step of each control input"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "a step of"), outputs.map((output) => h("th", { scope: "col" }, output, h("span", { class: "unit" }, ` ${units.get(/** @type {string} */ (output)) ?? ""}`))))),
        h("tbody", {}, inputs.map((input) => h("tr", {}, h("th", { scope: "row" }, input, h("span", { class: "unit" }, ` ${units.get(/** @type {string} */ (input)) ?? ""}`)), outputs.map((output) => cell(found.responses.find((/** @type {any} */ one) => one.input === input && one.output === output), length, most))))),
      ),
    ),
    h("p", { class: "small quiet" }, `${found.states.length} states of the asset's history, each step ${span(length)} long. Curves are drawn from gain, delay and settling time; their height is the effect in deviations of the output. Where a curve has no settling time, it had not settled by the end.`),
  ];
}

/** @param {any} one @param {number} length seconds @param {number} most */
function cell(one, length, most) {
  if (!one) return h("td", {}, "–");
  const sign = SIGNS[one.sign] ?? { text: one.sign, mark: "", tone: "" };
  const facts = [
    one.delay_s ? (one.delay_s.median > 0 ? `after ${span(one.delay_s.median)}` : "at once") : "",
    one.settling_s ? `settles in ${span(one.settling_s.median)}` : "",
  ].filter(Boolean).join(", ");
  return h(
    "td",
    { class: "response", "data-sign": one.sign, title: `gain ${number(one.gain.low)} to ${number(one.gain.high)} in 80 % of ${one.probes} probes` },
    curve(one, length, most),
    h("div", {}, h("span", { class: "response-sign", "data-tone": sign.tone, "aria-hidden": "true" }, sign.mark), ` ${sign.text}`, one.sign === "none" ? "" : `, gain ${signed(one.gain.median)}`),
    h("div", { class: "small quiet" }, facts),
  );
}

/** @param {any} one @param {number} length @param {number} most */
function curve(one, length, most) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "response-curve");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-hidden", "true");
  const middle = HEIGHT / 2;
  draw(svg, "line", { x1: 0, x2: WIDTH, y1: middle, y2: middle, class: "plot-grid" });
  const delay = one.delay_s?.median ?? 0;
  // A first-order answer that is within 5 % after the settling time, which is counted from the step.
  const slow = one.settling_s ? Math.max(one.settling_s.median - delay, 1e-9) / 3 : (length - delay) / 2;
  const height = one.sign === "none" ? 0 : (one.effect / most) * (middle - 3) * Math.sign(one.gain.median || 1);
  const points = Array.from({ length: 41 }, (_, i) => {
    const t = (i / 40) * length;
    const value = t <= delay ? 0 : 1 - Math.exp(-(t - delay) / slow);
    return `${i ? "L" : "M"}${((i / 40) * WIDTH).toFixed(1)} ${(middle - height * value).toFixed(1)}`;
  });
  draw(svg, "path", { d: points.join(""), class: `plot-line ${one.sign === "none" ? "c-baseline" : "c-scenario"}` });
  return svg;
}
