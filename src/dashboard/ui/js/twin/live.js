// @ts-check
/** What was measured and what is expected: a chart per output, and the inputs beneath. */

import { instant, lastKnown, numeric, quantileColumns, sideBySide } from "../align.js";
import { kindOf } from "../api.js";
import { Chart, keys } from "../chart.js";
import { fill, h, say } from "../dom.js";
import { addEvent } from "../event/panel.js";
import { number, quantity, span, time } from "../format.js";
import { only } from "../role.js";
import { assetLink } from "../router.js";
import { rangeBar, rangeKeys } from "./range.js";
import { Said, saidBar, verdict } from "./said.js";
import { skillWords } from "./skill.js";
import { View } from "./view.js";

/** Charts are redrawn at most this often. */
const DRAW_MS = 200;
/** More outputs than this are shown on demand. */
const FIRST_OUTPUTS = 6;

/** @param {import("../feed.js").Feed} feed */
export function livePanel(feed) {
  const { type } = feed;
  const outputs = type.signals.filter((signal) => signal.role === "output");
  const inputs = type.signals.filter((signal) => signal.role === "control_input" || signal.role === "disturbance");
  const sync = `live ${feed.asset.key}`;
  const view = new View(feed);
  const said = new Said(feed);
  const body = h("div", { class: "charts", tabindex: 0, role: "group", "aria-label": "Charts. Left and right arrows move in time, plus and minus zoom, End returns to the newest.", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End + -" });
  rangeKeys(body, view);
  const chosen = h("div", { class: "chosen", role: "status" });
  /** An interval was drawn on a chart. @param {number} from @param {number} to */
  const choose = (from, to) => {
    const until = Math.min(to, feed.now ?? to);
    if (until <= from) return;
    const labels = (type.health_classes ?? []).length > 0;
    fill(
      chosen,
      h("strong", {}, `${time(from * 1000)} to ${time(until * 1000)}`),
      h("button", { type: "button", class: "small", onclick: () => { fill(chosen); view.show(until - from, until); } }, "Zoom in"),
      h("button", only("operate", { type: "button", class: "small", onclick: () => addEvent(feed, { kind: "note", from, to: until }) }), "Add a note"),
      labels ? h("button", only("operate", { type: "button", class: "small", onclick: () => addEvent(feed, { kind: "label", from, to: until }) }), "Add a label") : null,
      h("a", { class: "button small", href: `${assetLink(feed.asset.key, "what-if")}?as_of=${new Date(from * 1000).toISOString()}` }, "What if it had been otherwise?"),
      h("button", { type: "button", class: "small bare push", onclick: () => fill(chosen) }, "Forget it"),
    );
  };
  const element = h(
    "section",
    { class: "panel", "aria-label": "Measured and forecast" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, "Measured and forecast"),
      keys(
        { text: "measured", color: "measured" },
        { text: "forecast median", color: "forecast" },
        { text: "80\u202f% band", color: "forecast", kind: "band" },
        { text: "95\u202f%", color: "forecast-wide", kind: "band" },
        { text: "limit", color: "limit", kind: "dash" },
        { text: "said before", color: "said", kind: "dash" },
        { text: "anomaly", color: "anomaly", kind: "band" },
        { text: "label", color: "label" },
        { text: "note", color: "noted" },
      ),
    ),
    rangeBar(view),
    saidBar(said, view),
    chosen,
    body,
    h("p", { class: "small quiet hint-draw" }, "Click on an output's chart to see what was said then. Draw across it to mark a stretch: note it, label it, or ask what would have been."),
  );

  /** @type {{draw: () => void, chart: Chart}[]} */
  const charts = [];
  /** @param {{draw: () => void, chart: Chart}} drawn */
  const add = (drawn) => {
    charts.push(drawn);
    body.append(drawn.chart.element);
    drawn.draw();
  };
  const words = skillWords(feed);
  /** @param {import("../api.js").Signal} signal */
  const output = (signal) => {
    const drawn = outputChart(view, said, signal, sync, choose);
    drawn.chart.element.append(words(signal.name));
    return drawn;
  };
  const rest = outputs.slice(FIRST_OUTPUTS);
  for (const signal of outputs.slice(0, FIRST_OUTPUTS)) add(output(signal));
  if (rest.length) {
    const more = h("button", { type: "button", class: "small", onclick: () => { const before = charts.length; rest.forEach((signal) => add(output(signal))); holder.replaceWith(...charts.slice(before).map((c) => c.chart.element)); } }, `Show ${rest.length} more outputs`);
    const holder = h("div", { class: "panel-body" }, more);
    body.append(holder);
  }
  for (const group of byUnit(inputs)) add(inputChart(view, group, sync));

  let timer = /** @type {number | undefined} */ (undefined);
  let drawn = 0;
  const draw = () => {
    if (timer !== undefined || feed.end.aborted) return;
    timer = setTimeout(() => {
      timer = undefined;
      drawn = performance.now();
      // A tab that is not shown is drawn when it is.
      if (element.offsetParent === null) return;
      for (const chart of charts) chart.draw();
    }, Math.max(0, drawn + DRAW_MS - performance.now()));
  };
  // A past stretch stands still.
  feed.on("history", () => view.live && draw());
  view.on(draw);
  said.hear(draw);
  feed.on("tab", draw);
  feed.on("prediction", draw);
  feed.on("anomalies", draw);
  feed.on("events", draw);
  feed.end.addEventListener("abort", () => {
    clearTimeout(timer);
    for (const { chart } of charts) chart.destroy();
  });
  return element;
}

/** @param {View} view @param {Said} said @param {import("../api.js").Signal} signal @param {string} sync @param {(from: number, to: number) => void} choose */
function outputChart(view, said, signal, sync, choose) {
  const { feed } = view;
  const labels = feed.labels.get(signal.name) ?? [];
  const chart = new Chart({
    title: signal.name,
    unit: signal.unit,
    labels,
    sync,
    select: choose,
    pick: (at) => said.point(at),
    lines: [
      { label: "measured", color: "measured" },
      { label: "low", color: "forecast", hidden: true },
      { label: "forecast", color: "forecast", width: 1.8 },
      { label: "high", color: "forecast", hidden: true },
      { label: "said before, low", color: "said", hidden: true },
      { label: "said before", color: "said", width: 1.6, dash: [5, 3] },
      { label: "said before, high", color: "said", hidden: true },
      { label: "low of 95 %", color: "forecast", hidden: true },
      { label: "high of 95 %", color: "forecast", hidden: true },
    ],
    bands: [{ upper: 8, lower: 7, color: "forecast-wide" }, { upper: 3, lower: 1, color: "forecast-band" }, { upper: 6, lower: 4, color: "said-band" }],
  });
  // The type's own and those of rules; those that lie in sight are drawn.
  const levels = () => {
    const ruled = (feed.state?.risk?.limits ?? []).filter((/** @type {any} */ one) => one.signal === signal.name).flatMap((/** @type {any} */ one) => [one.min, one.max]);
    const values = [signal.min, signal.max, ...ruled].filter((limit) => typeof limit === "number");
    return [...new Set(values)].map((value) => ({ value: /** @type {number} */ (value), color: "limit" }));
  };
  const words = h("p", { class: "chart-words small", "data-said-of": signal.name });
  chart.element.append(words);
  if (signal.description) chart.element.querySelector("h3")?.setAttribute("title", signal.description);
  const draw = () => {
    const { history } = view;
    const measured = history.values.get(signal.name) ?? [];
    const ahead = view.live ? expected(feed.prediction, feed.history, signal.name) : NONE;
    const wide = view.live ? outer(feed.prediction, signal.name) : NOTHING;
    const before = said.on ? expected(said.vintage, history, signal.name) : NONE;
    chart.set({ ...sideBySide([{ t: history.t, columns: [measured] }, ahead, before, wide]), ...view.range(), marks: view.marks(signal.name), levels: levels() });
    chart.element.dataset.limits = chart.levels.map(({ value }) => value).join(" ");
    chart.element.dataset.said = String(before.columns[1].length);
    say(words, verdict(said, signal, labels));
    const [, median] = ahead.columns;
    const end = ahead.t.length ? ` in ${span(ahead.t[ahead.t.length - 1] - (feed.now ?? 0))}` : "";
    chart.say(view.live ? quantity(lastKnown(measured), signal.unit, labels) : spread(measured, signal.unit, labels), median.length ? `${quantity(median.at(-1), signal.unit, labels)}${end}` : "");
    chart.element.dataset.forecast = String(ahead.columns[1].length);
  };
  return { chart, draw };
}

const NONE = /** @type {import("../align.js").Table} */ ({ t: [], columns: [[], [], []] });

const NOTHING = /** @type {import("../align.js").Table} */ ({ t: [], columns: [[], []] });

/**
 * The 95 % band of a forecast, where it was served. @param {any} prediction @param {string} name
 * @returns {import("../align.js").Table}
 */
function outer(prediction, name) {
  const { "0.025": low, "0.975": high } = prediction?.signals[name] ?? {};
  return low && high ? { t: prediction.timestamps.map(instant), columns: [low, high] } : NOTHING;
}

/**
 * Median and band of a forecast, beginning at the measured value it was made from.
 * @param {any} prediction @param {{t: number[], values: Map<string, (number|null)[]>}} history @param {string} name
 * @returns {import("../align.js").Table}
 */
function expected(prediction, history, name) {
  const quantiles = prediction?.signals[name];
  if (!prediction || !quantiles) return NONE;
  const t = prediction.timestamps.map(instant);
  const columns = quantileColumns(quantiles).map((column) => [...column]);
  const start = prediction.state?.observed_at ? instant(prediction.state.observed_at) : NaN;
  const row = history.t.indexOf(start);
  const value = row < 0 ? null : history.values.get(name)?.[row];
  if (value !== null && value !== undefined && start < t[0]) {
    t.unshift(start);
    for (const column of columns) column.unshift(value);
  }
  return { t, columns };
}

/** Inputs of one unit share a chart. @param {import("../api.js").Signal[]} signals */
function byUnit(signals) {
  /** @type {Map<string, import("../api.js").Signal[]>} */
  const groups = new Map();
  for (const signal of signals) {
    const name = kindOf(signal).kind === "number" ? signal.unit ?? "" : signal.name;
    groups.set(name, [...(groups.get(name) ?? []), signal]);
  }
  return [...groups.values()];
}

/** The least and the greatest of a past stretch. @param {import("../align.js").Column} column @param {string | undefined} code @param {string[]} labels */
function spread(column, code, labels) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of column) {
    if (value === null || value === undefined) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return labels.length || least > most ? "" : `${number(least)} to ${quantity(most, code)}`;
}

/** @param {View} view @param {import("../api.js").Signal[]} group @param {string} sync */
function inputChart(view, group, sync) {
  const { feed } = view;
  const lines = group.flatMap((signal, i) => [
    { label: signal.name, color: `series-${(i % 6) + 1}`, step: signal.role === "control_input" },
    { label: `${signal.name} assumed`, color: `series-${(i % 6) + 1}`, dash: [3, 4], step: signal.role === "control_input" },
  ]);
  const chart = new Chart({ title: group.map((signal) => signal.name).join(", "), unit: group[0].unit, lines, sync, height: 100, labels: group.length === 1 ? feed.labels.get(group[0].name) : [] });
  const head = chart.element.querySelector("h3");
  if (head) {
    fill(
      head,
      group.length === 1 ? group[0].name : keys(...group.map((signal, i) => ({ text: signal.name, color: `series-${(i % 6) + 1}` }))),
      h("span", { class: "unit" }, group.every((signal) => signal.role === "disturbance") ? "disturbance" : "input"),
    );
  }
  const draw = () => {
    const tables = group.flatMap((signal) => {
      const future = !view.live ? [] : feed.prediction?.inputs?.[signal.name]?.values ?? [];
      const labels = feed.labels.get(signal.name) ?? [];
      return [
        { t: view.history.t, columns: [view.history.values.get(signal.name) ?? []] },
        { t: (feed.prediction?.timestamps ?? []).slice(0, future.length).map(instant), columns: [future.map((value) => numeric(value, labels))] },
      ];
    });
    chart.set({ ...sideBySide(tables), ...view.range() });
    if (group.length > 1) return;
    const [{ name, unit }] = group;
    const column = view.history.values.get(name) ?? [];
    const labels = feed.labels.get(name) ?? [];
    chart.say(view.live ? quantity(lastKnown(column), unit, labels) : spread(column, unit, labels));
  };
  return { chart, draw };
}
