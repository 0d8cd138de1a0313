// @ts-check
/** What is wanted: limits that must hold, numbers to compare, and what ranks first. */

import { fill, h } from "../dom.js";
import { choice, typed } from "../form.js";
import { unit } from "../format.js";
import { AGGREGATES, kpiName } from "./plan.js";

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{plan: () => import("./plan.js").Plan, changed: () => void}} use
 */
export function aimsEditor(feed, use) {
  const { signals } = feed.type;
  const outputs = signals.filter((signal) => signal.role === "output");
  const names = Object.fromEntries(signals.map((signal) => [signal.name, unit(signal.unit) ? `${signal.name} (${unit(signal.unit)})` : signal.name]));
  const limits = h("div", { class: "aims" });
  const kpis = h("div", { class: "aims" });
  const element = h(
    "div",
    { class: "aims-grid" },
    h("section", { "aria-label": "Limits" }, h("div", { class: "row" }, h("h3", {}, "Limits"), h("button", { type: "button", class: "small", onclick: () => add("limit") }, "Add a limit")), limits),
    h("section", { "aria-label": "Numbers to compare" }, h("div", { class: "row" }, h("h3", {}, "Numbers to compare"), h("button", { type: "button", class: "small", onclick: () => add("kpi") }, "Add a number")), kpis),
  );
  /** @param {"limit" | "kpi"} what */
  const add = (what) => {
    const plan = use.plan();
    const first = outputs[0]?.name ?? signals[0].name;
    if (what === "limit") {
      const signal = outputs.find((one) => !plan.limits.some((limit) => limit.signal === one.name))?.name ?? first;
      const seen = (feed.history.values.get(signal) ?? []).filter((value) => value !== null);
      const most = seen.length ? Math.max(...seen) : 1;
      plan.limits.push({ signal, min: null, max: +most.toPrecision(3), probability: 0.95 });
    } else {
      const free = Object.keys(AGGREGATES).flatMap((agg) => outputs.map((one) => ({ signal: one.name, agg }))).find((one) => !plan.kpis.some((kpi) => kpi.signal === one.signal && kpi.agg === one.agg));
      if (free) plan.kpis.push(free);
    }
    draw();
    use.changed();
    (what === "limit" ? limits : kpis).querySelector(".aim:last-of-type select")?.dispatchEvent(new Event("focus"));
    /** @type {HTMLElement | null} */ ((what === "limit" ? limits : kpis).querySelector(".aim:last-of-type select"))?.focus();
  };
  const draw = () => {
    const plan = use.plan();
    fill(limits, plan.limits.length ? plan.limits.map((limit, i) => {
      const signal = choice(names, limit.signal, { "aria-label": `Signal of limit ${i + 1}`, onchange: () => { limit.signal = signal.value; use.changed(); } });
      return h("div", { class: "aim" }, signal, h("span", { class: "small quiet" }, "from"), number(`Least value of limit ${i + 1}`, limit.min, (value) => { limit.min = value; }), h("span", { class: "small quiet" }, "to"), number(`Greatest value of limit ${i + 1}`, limit.max, (value) => { limit.max = value; }), h("span", { class: "small quiet" }, "with"), number(`Probability of limit ${i + 1}`, limit.probability, (value) => { limit.probability = value ?? 0.95; }, { min: 0.01, max: 1, step: 0.01 }), drop(`limit ${i + 1}`, () => plan.limits.splice(i, 1)));
    }) : h("p", { class: "small quiet" }, "None. With a limit the answer says how likely it is broken, and when."));
    fill(kpis, plan.kpis.length ? plan.kpis.map((kpi, i) => {
      const signal = choice(names, kpi.signal, { "aria-label": `Signal of number ${i + 1}`, onchange: () => { kpi.signal = signal.value; draw(); use.changed(); } });
      const agg = choice(AGGREGATES, kpi.agg, { "aria-label": `Sum of number ${i + 1}`, onchange: () => { kpi.agg = agg.value; draw(); use.changed(); } });
      return h("div", { class: "aim" }, signal, agg, drop(`number ${i + 1}`, () => {
        plan.kpis.splice(i, 1);
        plan.rank = null;
      }));
    }) : h("p", { class: "small quiet" }, "None. A number sums up a future: its mean, its greatest value."), plan.kpis.length ? ranking(plan) : null);
  };
  /** @param {import("./plan.js").Plan} plan */
  const ranking = (plan) => {
    const options = Object.fromEntries([["", "kept limits alone"], ...plan.kpis.flatMap((kpi, i) => [[`${i}~minimise`, `least ${kpiName(kpi)}`], [`${i}~maximise`, `greatest ${kpiName(kpi)}`]])]);
    const select = choice(options, plan.rank ? `${plan.rank.kpi}~${plan.rank.goal}` : "", {
      "aria-label": "What ranks first",
      onchange: () => {
        const [kpi, goal] = select.value.split("~");
        plan.rank = goal ? { kpi: Number(kpi), goal } : null;
        use.changed();
      },
    });
    return h("div", { class: "aim" }, h("span", { class: "small quiet" }, "Best is"), select);
  };
  /** @param {string} name @param {() => void} remove */
  const drop = (name, remove) => h("button", { type: "button", class: "small bare", "aria-label": `Remove ${name}`, onclick: () => { remove(); draw(); use.changed(); } }, "×");
  /** @param {string} name @param {number | null} value @param {(value: number | null) => void} set @param {Record<string, any>} [attributes] */
  const number = (name, value, set, attributes = {}) => {
    const input = h("input", { type: "number", step: "any", "aria-label": name, value: value ?? "", ...attributes });
    input.addEventListener("change", () => {
      set(typed(input) ?? null);
      use.changed();
    });
    return input;
  };
  return { element, draw };
}
