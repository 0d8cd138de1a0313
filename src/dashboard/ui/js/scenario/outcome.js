// @ts-check
/** The answer of a what-if as charts: both futures, their difference, and the inputs behind them. */

import { instant, numeric, quantileColumns, sideBySide } from "../align.js";
import { Chart, keys } from "../chart.js";
import { fill, h, say } from "../dom.js";
import { signed, trust, unit } from "../format.js";
import { here, remember } from "../router.js";

/** Share of the horizon of measured past that is shown before "now". */
const PAST = 0.35;

/** @param {import("../feed.js").Feed} feed */
export function outcomePanel(feed) {
  const outputs = feed.type.signals.filter((signal) => signal.role === "output");
  const sync = `what-if ${feed.asset.key}`;
  const asked = here().query.get("output");
  let chosen = outputs.find((signal) => signal.name === asked) ?? outputs[0];
  /** @type {any} */
  let answer = null;
  /** @type {string[]} */
  let changed = [];
  /** @type {Chart[]} */
  let charts = [];
  /** @type {Map<string, HTMLElement>} */
  const deltas = new Map();
  const words = h("p", { class: "words" });
  const kept = h("p", { class: "note", hidden: true });
  const holder = h("div", {});
  const tabs = h(
    "div",
    { class: "tabs", role: "group", "aria-label": "Shown output" },
    outputs.map((signal) => {
      const delta = h("span", { class: "delta" }, "–");
      deltas.set(signal.name, delta);
      return h("button", { type: "button", "data-output": signal.name, "aria-pressed": String(signal === chosen), onclick: () => choose(signal) }, h("span", {}, signal.name), delta);
    }),
  );
  const element = h(
    "div",
    { class: "stack", "data-outcome": "" },
    tabs,
    keys(
      { text: "measured", color: "measured" },
      { text: "if nothing changes", color: "baseline", kind: "dash" },
      { text: "with the change", color: "scenario" },
      { text: "80\u202f% band", color: "scenario", kind: "band" },
    ),
    holder,
    kept,
    words,
  );

  /** Whether the measured line reaches the state that was answered from; readings may come after the answer. */
  let whole = true;
  let picked = outputs.some((signal) => signal.name === asked);
  const press = () => {
    for (const tab of tabs.querySelectorAll("button")) tab.setAttribute("aria-pressed", String(tab.dataset.output === chosen?.name));
  };
  /** @param {import("../api.js").Signal} signal */
  const choose = (signal) => {
    chosen = signal;
    picked = true;
    remember({ output: signal.name });
    press();
    build();
    draw();
  };

  const build = () => {
    for (const chart of charts) chart.destroy();
    charts = [];
    if (!chosen) return;
    const code = chosen.unit;
    charts.push(
      new Chart({
        title: `${chosen.name}: both futures`, unit: code, height: 210, sync,
        labels: feed.labels.get(chosen.name),
        lines: [
          { label: "measured", color: "measured" },
          { label: "low", color: "scenario", hidden: true },
          { label: "changed", color: "scenario", width: 1.8 },
          { label: "high", color: "scenario", hidden: true },
          { label: "unchanged", color: "baseline", width: 1.8, dash: [5, 4] },
        ],
        bands: [{ upper: 3, lower: 1, color: "scenario-band" }],
      }),
      new Chart({
        title: `${chosen.name}: difference`, unit: code, height: 118, sync,
        lines: [
          { label: "low", color: "scenario", hidden: true },
          { label: "difference", color: "scenario", width: 1.8 },
          { label: "high", color: "scenario", hidden: true },
          { label: "zero", color: "baseline", width: 1, dash: [2, 3] },
        ],
        bands: [{ upper: 2, lower: 0, color: "scenario-band" }],
      }),
    );
    for (const name of changed) {
      const signal = feed.type.signals.find((s) => s.name === name);
      charts.push(
        new Chart({
          title: `${name}: assumed`, unit: signal?.unit, height: 100, sync,
          labels: feed.labels.get(name),
          lines: [
            { label: "measured", color: "measured", step: true },
            { label: "changed", color: "scenario", width: 1.8, step: true },
            { label: "unchanged", color: "baseline", width: 1.8, dash: [5, 4], step: true },
          ],
        }),
      );
    }
    fill(holder, charts.map((chart) => chart.element));
  };

  /** Before the person chooses: the output that the change moves most, beside its own past. */
  const pick = () => {
    picked = true;
    const moved = (/** @type {import("../api.js").Signal} */ signal) => {
      const [, delta] = quantileColumns(answer.scenarios[0].delta?.[signal.name]);
      const seen = (feed.history.values.get(signal.name) ?? []).filter((value) => value !== null);
      const reach = Math.max(...seen) - Math.min(...seen);
      return Math.max(0, ...delta.map((value) => Math.abs(value ?? 0))) / (reach > 0 ? reach : 1);
    };
    chosen = outputs.reduce((best, signal) => (moved(signal) > moved(best) ? signal : best), chosen);
    press();
  };

  const draw = () => {
    if (!answer || !chosen) return;
    const scenario = answer.scenarios[0];
    const t = answer.timestamps.map(instant);
    const now = answer.state?.observed_at ? instant(answer.state.observed_at) : t[0];
    const range = { from: now - (t[t.length - 1] - now) * PAST, to: t[t.length - 1], now };
    const past = pastOf(feed, range.from, now);

    const [, base] = quantileColumns(answer.baseline.signals[chosen.name]);
    const [low, median, high] = quantileColumns(scenario.signals[chosen.name]);
    const measured = past.values(chosen.name);
    const last = measured.at(-1);
    whole = past.t.at(-1) === now;
    const joined = whole && last !== null && last !== undefined ? { t: [now, ...t], from: [last] } : { t, from: [] };
    charts[0].set({
      ...sideBySide([{ t: past.t, columns: [measured] }, { t: joined.t, columns: [low, median, high, base].map((column) => [...joined.from, ...column]) }]),
      ...range,
    });
    const [deltaLow, delta, deltaHigh] = quantileColumns(scenario.delta?.[chosen.name]);
    charts[1].set({ t: [now, ...t], columns: [[undefined, ...deltaLow], [undefined, ...delta], [undefined, ...deltaHigh], [0, ...t.map(() => 0)]], ...range });
    charts[1].say(`${signed(delta.at(-1))} ${unit(chosen.unit)}`);
    changed.forEach((name, i) => {
      const labels = feed.labels.get(name) ?? [];
      const column = (/** @type {any} */ inputs) => (inputs?.[name]?.values ?? []).map((/** @type {any} */ value) => numeric(value, labels));
      charts[2 + i]?.set({ ...sideBySide([{ t: past.t, columns: [past.values(name)] }, { t, columns: [column(scenario.inputs), column(answer.baseline.inputs)] }]), ...range });
    });
    element.dataset.maxDelta = String(Math.max(0, ...delta.map((value) => Math.abs(value ?? 0))));
  };

  feed.on("history", () => whole || draw());
  return {
    element,
    /** @param {any} fresh @param {string[]} names of the changed inputs */
    show(fresh, names) {
      answer = fresh;
      if (!picked) pick();
      element.removeAttribute("data-faded");
      const unique = [...new Set(names)];
      if (!charts.length || unique.join() !== changed.join()) {
        changed = unique;
        build();
      }
      for (const signal of outputs) {
        const [, delta] = quantileColumns(answer.scenarios[0].delta?.[signal.name]);
        const end = delta.at(-1);
        say(/** @type {HTMLElement} */ (deltas.get(signal.name)), end === null || end === undefined ? "–" : `${signed(end)} ${unit(signal.unit)} at the end`);
      }
      say(words, trust(answer));
      const clamped = [...new Set((answer.scenarios[0].clamped ?? []).map((/** @type {any} */ one) => one.signal))];
      say(kept, clamped.length ? `Kept within its limits or its rate: ${clamped.join(", ")}. The curves show what was used.` : "");
      kept.hidden = !clamped.length;
      words.dataset.source = answer.model?.source ?? "";
      draw();
    },
    /** The curves no longer belong to what the controls say. */
    fade: () => element.setAttribute("data-faded", ""),
    destroy: () => charts.forEach((chart) => chart.destroy()),
  };
}

/** The measured rows between two instants. @param {import("../feed.js").Feed} feed @param {number} from @param {number} to */
function pastOf(feed, from, to) {
  const { t, values } = feed.history;
  let first = t.findIndex((at) => at >= from);
  if (first < 0) first = t.length;
  let end = t.length;
  while (end > first && t[end - 1] > to) end -= 1;
  return { t: t.slice(first, end), values: (/** @type {string} */ name) => (values.get(name) ?? []).slice(first, end) };
}
