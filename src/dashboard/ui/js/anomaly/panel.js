// @ts-check
/** The anomaly score of the shown stretch, and each interval with what it has to do with which signal. */

import { instant } from "../align.js";
import { Chart, keys } from "../chart.js";
import { fill, h, problemBox } from "../dom.js";
import { number, percent, span, time, utc } from "../format.js";
import { only } from "../role.js";
import { share } from "./watch.js";

const KINDS = /** @type {Record<string, string>} */ ({ step: "a sudden difference", level: "an unusual level", drift: "a drift" });
const MOST = 12;

/** @param {import("../feed.js").Feed} feed @param {{label: (from: number, to: number) => void}} use */
export function anomaliesPanel(feed, { label }) {
  const { watch } = feed;
  const chart = new Chart({
    title: "Anomaly score",
    height: 130,
    lines: [{ label: "score", color: "series-2", width: 1.5 }],
    range: undefined,
  });
  const list = h("ul", { class: "anomalies" });
  const words = h("p", { class: "small quiet" });
  const trouble = h("div", {});
  const element = h(
    "section",
    { class: "panel", "aria-label": "Anomalies", "data-panel": "anomalies" },
    h("div", { class: "panel-head" }, h("h2", {}, "Anomalies"), keys({ text: "score, in units of the threshold", color: "series-2" }, { text: "threshold", color: "anomaly-line", kind: "dash" })),
    trouble,
    chart.element,
    h("div", { class: "panel-body" }, words),
    list,
  );

  const draw = () => {
    const found = watch.anomalies;
    chart.element.hidden = !found?.timestamps?.length;
    if (!found) {
      fill(trouble, watch.problem ? h("div", { class: "panel-body" }, problemBox(watch.problem, () => watch.read())) : h("p", { class: "panel-body quiet" }, watch.looked || feed.state && feed.now === null ? "There are not enough readings yet to tell what is normal. Scores appear by themselves." : "Looking for anomalies…"));
      return;
    }
    fill(trouble);
    chart.set({ t: found.timestamps.map(instant), columns: [found.scores], levels: [{ value: found.threshold, color: "anomaly-line" }], marks: found.intervals.map((/** @type {any} */ one) => ({ from: instant(one.start), to: instant(one.end), color: "anomaly" })) });
    chart.say(number(found.scores.findLast((/** @type {any} */ score) => score !== null)));
    const judged = found.learned ? `Normal operation is learned from ${found.learned.steps} steps, ${time(found.learned.from)} to ${time(found.learned.to)}. ` : "";
    fill(words, `${judged}${percent(found.false_alarm_rate)} of normal steps score higher than 1.`);
    element.dataset.intervals = String(found.intervals.length);
    fill(list, found.intervals.length ? [...found.intervals].reverse().slice(0, MOST).map(row) : h("li", { class: "panel-body quiet" }, `Nothing unusual in the ${span(feed.window)} that the chart shows.`));
  };
  /** @param {any} one */
  const row = (one) => {
    const length = instant(one.end) - instant(one.start) + feed.interval;
    const parts = Object.keys(one.contributions).map((signal) => [signal, share(one, signal)]).filter(([, part]) => /** @type {number} */ (part) >= 0.01).sort((a, b) => /** @type {number} */ (b[1]) - /** @type {number} */ (a[1]));
    return h(
      "li",
      { class: "anomaly" },
      h("div", {}, h("strong", { title: utc(one.start) }, time(one.start)), h("span", { class: "quiet" }, ` · ${span(length)} · ${KINDS[one.kind] ?? one.kind}${one.open ? ", still going on" : ""}`)),
      h("div", { class: "parts" }, parts.map(([signal, part]) => h("span", { class: "part" }, h("span", {}, signal), h("meter", { min: 0, max: 1, value: part, "aria-label": `Share of ${signal}` }), h("span", { class: "small quiet" }, percent(/** @type {number} */ (part)))))),
      h("span", { class: "badge", "data-tone": "warn" }, `${number(one.score)} × threshold`),
      h("button", only("operate", { type: "button", class: "small", onclick: () => label(instant(one.start), instant(one.end)), "aria-label": `Label it: the anomaly of ${time(one.start)}` }), "Label it"),
    );
  };
  feed.on("anomalies", draw);
  feed.on("state", () => watch.looked || draw());
  feed.end.addEventListener("abort", () => chart.destroy());
  draw();
  return element;
}
