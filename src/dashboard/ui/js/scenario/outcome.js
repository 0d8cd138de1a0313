// @ts-check
/** The answer as charts: the futures of one output side by side, their differences, the risk of limits. */

import { instant, quantileColumns, sideBySide } from "../align.js";
import { Chart, keys } from "../chart.js";
import { fill, h, say } from "../dom.js";
import { percent, signed, unit } from "../format.js";
import { here, remember } from "../router.js";

/** Below this a step is shaded: the model has seen little like it. */
const DOUBT = 0.5;

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{plan: () => import("./plan.js").Plan, active: () => number, basis: () => import("./inputs.js").Basis | null}} use
 */
export function outcomePanel(feed, use) {
  const outputs = feed.type.signals.filter((signal) => signal.role === "output");
  const asked = here().query.get("output");
  let chosen = outputs.find((signal) => signal.name === asked) ?? outputs[0];
  let picked = outputs.some((signal) => signal.name === asked);
  /** @type {any} */
  let answer = null;
  /** @type {{futures: Chart, delta: Chart, breach: Chart | null} | null} */
  let charts = null;
  let built = "";
  /** @type {Map<string, HTMLElement>} */
  const deltas = new Map();
  const holder = h("div", {});
  const legend = h("div", {});
  const tabs = h(
    "div",
    { class: "tabs", role: "group", "aria-label": "Shown output" },
    outputs.map((signal) => {
      const delta = h("span", { class: "delta" }, "–");
      deltas.set(signal.name, delta);
      return h("button", { type: "button", "data-output": signal.name, "aria-pressed": String(signal === chosen), onclick: () => choose(signal) }, h("span", {}, signal.name), delta);
    }),
  );
  const element = h("div", { class: "stack", "data-outcome": "" }, tabs, legend, holder);

  const press = () => {
    for (const tab of tabs.querySelectorAll("button")) tab.setAttribute("aria-pressed", String(tab.dataset.output === chosen?.name));
  };
  /** @param {import("../api.js").Signal} signal */
  const choose = (signal) => {
    chosen = signal;
    picked = true;
    remember({ output: signal.name });
    press();
    draw();
  };
  /** Before the person chooses: the output that moves most, beside its own past. */
  const pick = () => {
    picked = true;
    const moved = (/** @type {import("../api.js").Signal} */ signal) => {
      const delta = answer.scenarios.flatMap((/** @type {any} */ one) => quantileColumns(one.delta?.[signal.name])[1]);
      const seen = (feed.history.values.get(signal.name) ?? []).filter((value) => value !== null);
      const reach = Math.max(...seen) - Math.min(...seen);
      return Math.max(0, ...delta.map((/** @type {any} */ value) => Math.abs(value ?? 0))) / (reach > 0 ? reach : 1);
    };
    chosen = outputs.reduce((best, signal) => (moved(signal) > moved(best) ? signal : best), chosen);
    press();
  };

  /** Charts stand as long as their lines do. */
  const build = () => {
    const plan = use.plan();
    const names = answer.scenarios.map((/** @type {any} */ one) => one.name);
    const risky = !plan.asOf && plan.limits.some((limit) => limit.signal === chosen.name);
    const key = JSON.stringify([chosen.name, names, use.active(), risky, plan.asOf !== null]);
    if (key === built && charts) return;
    built = key;
    destroy();
    const code = chosen.unit;
    const labels = feed.labels.get(chosen.name);
    const sync = `what-if ${feed.asset.key}`;
    const mine = `series-${use.active() + 1}`;
    const colored = (/** @type {(name: string, i: number) => any} */ line) => names.map(line);
    const unchanged = plan.asOf ? "what happened" : "unchanged";
    charts = {
      futures: new Chart({
        title: `${chosen.name}: its futures`, unit: code, height: 290, sync, labels,
        lines: [
          { label: "measured", color: "measured" },
          { label: "low", color: mine, hidden: true },
          { label: "high", color: mine, hidden: true },
          { label: unchanged, color: "baseline", width: 1.8, dash: [5, 4] },
          ...colored((name, i) => ({ label: name, color: `series-${i + 1}`, width: i === use.active() ? 2.2 : 1.5 })),
        ],
        bands: [{ upper: 2, lower: 1, color: `${mine}-band` }],
      }),
      delta: new Chart({
        title: `${chosen.name}: difference`, unit: code, height: 150, sync,
        lines: [
          { label: "low", color: mine, hidden: true },
          { label: "high", color: mine, hidden: true },
          { label: "zero", color: "baseline", width: 1, dash: [2, 3] },
          ...colored((name, i) => ({ label: name, color: `series-${i + 1}`, width: i === use.active() ? 2.2 : 1.5 })),
        ],
        bands: [{ upper: 1, lower: 0, color: `${mine}-band` }],
      }),
      breach: risky
        ? new Chart({
          title: `${chosen.name}: limit broken by then`, height: 110, sync, share: true, range: () => [0, 1],
          lines: [{ label: "unchanged", color: "baseline", width: 1.6, dash: [5, 4] }, ...colored((name, i) => ({ label: name, color: `series-${i + 1}`, width: i === use.active() ? 2.2 : 1.5 }))],
        })
        : null,
    };
    fill(holder, charts.futures.element, charts.delta.element, charts.breach?.element);
    fill(legend, keys(
      { text: "measured", color: "measured" },
      { text: plan.asOf ? "what really happened" : "if nothing changes", color: "baseline", kind: "dash" },
      ...colored((name, i) => ({ text: name, color: `series-${i + 1}` })),
      ...(risky ? [{ text: "limit", color: "limit", kind: /** @type {"dash"} */ ("dash") }] : []),
      { text: "outside what the model has seen", color: "support", kind: "band" },
    ));
  };

  const draw = () => {
    if (!answer || !chosen) return;
    build();
    const basis = use.basis();
    if (!charts || !basis) return;
    const { t, now } = basis;
    const active = Math.min(use.active(), answer.scenarios.length - 1);
    const scenario = answer.scenarios[active];
    const range = { from: basis.from, to: t[t.length - 1], now };
    const past = basis.past(chosen.name);
    const last = past.values.at(-1);
    // The curves begin at the measured value that they were answered from, if it is on the chart.
    const joined = past.t.at(-1) === now && last !== null && last !== undefined;
    const ahead = (/** @type {any[]} */ columns) => ({ t: joined ? [now, ...t] : t, columns: joined ? columns.map((column) => [last, ...column]) : columns });
    const median = (/** @type {any} */ signals) => quantileColumns(signals?.[chosen.name])[1];
    const [low, , high] = quantileColumns(scenario.signals[chosen.name]);
    const limits = use.plan().limits.filter((limit) => limit.signal === chosen.name);
    const marks = doubts(scenario.support?.score, t, feed.interval);
    charts.futures.set({
      ...sideBySide([{ t: past.t, columns: [past.values] }, ahead([low, high, median(answer.baseline.signals), ...answer.scenarios.map((/** @type {any} */ one) => median(one.signals))])]),
      ...range,
      marks,
      levels: limits.flatMap((limit) => [limit.min, limit.max].filter((value) => value !== null).map((value) => ({ value: /** @type {number} */ (value), color: "limit" }))),
    });
    const [deltaLow, , deltaHigh] = quantileColumns(scenario.delta?.[chosen.name]);
    const lines = answer.scenarios.map((/** @type {any} */ one) => median(one.delta));
    charts.delta.set({ t, columns: [deltaLow, deltaHigh, t.map(() => 0), ...lines], ...range, marks });
    charts.delta.say(`${signed(lines[active].at(-1))} ${unit(chosen.unit)}`);
    const risk = (/** @type {any} */ future) => future?.constraints?.find((/** @type {any} */ one) => one.signal === chosen.name)?.breach_probability ?? t.map(() => null);
    if (charts.breach) {
      charts.breach.set({ t, columns: [risk(answer.baseline), ...answer.scenarios.map(risk)], ...range });
      charts.breach.say(percent(risk(scenario).at(-1)));
    }
    element.dataset.maxDelta = String(Math.max(0, ...lines[active].map((/** @type {any} */ value) => Math.abs(value ?? 0))));
    for (const signal of outputs) {
      const end = quantileColumns(scenario.delta?.[signal.name])[1].at(-1);
      say(/** @type {HTMLElement} */ (deltas.get(signal.name)), end === null || end === undefined ? "–" : `${signed(end)} ${unit(signal.unit)} at the end`);
    }
  };
  const destroy = () => {
    for (const chart of Object.values(charts ?? {})) chart?.destroy();
    charts = null;
    built = "";
  };
  return {
    element,
    draw,
    destroy,
    /** @param {any} fresh */
    show(fresh) {
      answer = fresh;
      if (!picked && outputs.length) pick();
      element.removeAttribute("data-faded");
      draw();
    },
    /** The curves no longer belong to what the controls say. */
    fade: () => element.setAttribute("data-faded", ""),
    output: () => chosen,
  };
}

/**
 * Steps that lie outside of what the model has seen.
 * @param {number[] | undefined} score @param {number[]} t @param {number} interval
 * @returns {import("../paint.js").Mark[]}
 */
function doubts(score, t, interval) {
  /** @type {import("../paint.js").Mark[]} */
  const marks = [];
  (score ?? []).forEach((value, i) => {
    if (value >= DOUBT || t[i] === undefined) return;
    // In four shades: the less is known, the darker.
    const alpha = (1 + Math.floor((1 - value / DOUBT) * 3.999)) / 4;
    const before = marks[marks.length - 1];
    if (before?.alpha === alpha && Math.abs(before.to - (t[i] - interval / 2)) < interval / 4) before.to = t[i] + interval / 2;
    else marks.push({ from: t[i] - interval / 2, to: t[i] + interval / 2, color: "support", alpha });
  });
  return marks;
}

/** Seconds of an answer's steps. @param {any} answer @returns {number[]} */
export const stepsOf = (answer) => answer.timestamps.map(instant);
