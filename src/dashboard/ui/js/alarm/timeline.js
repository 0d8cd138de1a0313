// @ts-check
/** When alarms were active: a line for each rule of an asset, a bar for each alarm. */

import { fill, h } from "../dom.js";
import { span, time } from "../format.js";
import { draw } from "../plot.js";
import { SVG } from "../spark.js";
import { SEVERITIES, standing } from "./words.js";

const WIDTH = 1000;
const ROW = 22;
const MOST = 8;
/** The shortest stretch that is shown, and where an alarm that was over at once still is a bar. */
const LEAST_MS = 10 * 60_000;
const THINNEST = 3;

/** @param {{asset: boolean}} use `asset`: rows name it */
export function alarmTimeline({ asset }) {
  const chart = h("div", { class: "alarm-rows" });
  const range = h("p", { class: "alarm-range small quiet" });
  const element = h("figure", { class: "alarm-timeline", "aria-label": "When alarms were active", hidden: true }, chart, range);
  let shown = "";
  /** @param {any[]} alarms */
  const show = (alarms) => {
    const now = Date.now();
    // The bars are to the second; drawing them anew more often shows nothing.
    const text = JSON.stringify([alarms.map((alarm) => [alarm.id, alarm.cleared_at, alarm.severity, standing(alarm)]), Math.floor(now / 10_000)]);
    if (text === shown) return;
    shown = text;
    element.hidden = !alarms.length;
    if (!alarms.length) return;
    const begin = Math.min(now - LEAST_MS, ...alarms.map((alarm) => Date.parse(alarm.raised_at)));
    const at = (/** @type {number} */ instant) => ((instant - begin) / (now - begin)) * WIDTH;
    /** @type {Map<string, any[]>} */
    const rows = new Map();
    for (const alarm of alarms) {
      const name = asset ? `${alarm.asset}: ${alarm.name}` : alarm.name;
      rows.set(name, [...(rows.get(name) ?? []), alarm]);
    }
    fill(chart, [...rows].slice(0, MOST).map(([name, list]) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("class", "alarm-bars");
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${ROW}`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      const active = list.reduce((sum, alarm) => sum + (alarm.cleared_at ? Date.parse(alarm.cleared_at) : now) - Date.parse(alarm.raised_at), 0);
      svg.setAttribute("aria-label", `${name}: ${list.length === 1 ? "once" : `${list.length} times`}, active for ${span(active / 1000)} of ${span((now - begin) / 1000)}`);
      draw(svg, "line", { x1: 0, x2: WIDTH, y1: ROW / 2, y2: ROW / 2, class: "plot-grid" });
      for (const alarm of list) {
        const x = at(Date.parse(alarm.raised_at));
        const width = Math.max(THINNEST, at(alarm.cleared_at ? Date.parse(alarm.cleared_at) : now) - x);
        const bar = draw(svg, "rect", { x: Math.min(x, WIDTH - width), y: 5, width, height: ROW - 10, class: `alarm-bar tone-${SEVERITIES.indexOf(alarm.severity) < 2 ? "bad" : "warn"}${alarm.active ? "" : " over"}` });
        draw(bar, "title", {}).textContent = `${alarm.name}, ${alarm.severity}, ${time(alarm.raised_at)}${alarm.cleared_at ? ` to ${time(alarm.cleared_at)}` : ", active"}`;
      }
      return h("div", { class: "alarm-line" }, h("span", { class: "small" }, name), svg);
    }));
    fill(range, h("span", {}, time(begin)), h("span", {}, rows.size > MOST ? `${MOST} of ${rows.size} rules` : ""), h("span", {}, "now"));
  };
  return { element, show };
}
