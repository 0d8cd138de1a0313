// @ts-check
/** Scenarios side by side: what each changes, its rank, KPIs, risk and support, in one table. */

import { kindOf } from "../api.js";
import { fill, h } from "../dom.js";
import { number, percent, quantity, signed, span, unit } from "../format.js";
import { kpiName } from "./plan.js";
import { SHAPES } from "./course.js";

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{plan: () => import("./plan.js").Plan, choose: (index: number) => void, active: () => number}} use
 */
export function comparePanel(feed, use) {
  const element = h("div", { class: "compare" });
  const signals = new Map(feed.type.signals.map((signal) => [signal.name, signal]));

  /** @param {import("./plan.js").Scenario} scenario */
  const chips = (scenario) => {
    const drawn = Object.entries(scenario.courses).map(([name, course]) => {
      const signal = signals.get(name);
      const end = course.knots[course.knots.length - 1];
      return `${name}: ${SHAPES[course.shape].toLowerCase()} to ${quantity(end[1], signal?.unit, signal ? kindOf(signal).labels : [])}`;
    });
    const kept = scenario.fixed.map((one) => `${one.signal}: ${one.op}${one.value === undefined || one.value === null ? "" : ` ${number(one.value)}`}${one.when ? " (conditional)" : ""}`);
    return h("span", { class: "chips" }, [...drawn, ...kept].map((text) => h("span", { class: "badge" }, text)), drawn.length + kept.length ? null : h("span", { class: "small quiet" }, "nothing"));
  };
  /** @param {any} answer */
  const show = (answer) => {
    const plan = use.plan();
    const past = plan.asOf !== null;
    const kpis = past ? [] : plan.kpis.filter((kpi) => answer.baseline.kpis?.[kpiName(kpi)]);
    const limits = past ? [] : answer.baseline.constraints ?? [];
    const ranked = answer.scenarios.some((/** @type {any} */ one) => one.rank);
    const name = (/** @type {any} */ limit) => `${limit.signal} ${[limit.min === null || limit.min === undefined ? "" : `above ${number(limit.min)}`, limit.max === null || limit.max === undefined ? "" : `below ${number(limit.max)}`].filter(Boolean).join(", ")}`;
    const head = h("tr", {}, h("th", { scope: "col" }, "Scenario"), h("th", { scope: "col" }, "Changes"), ranked ? h("th", { scope: "col", class: "number" }, "Rank") : null, kpis.map((kpi) => h("th", { scope: "col", class: "number" }, kpiName(kpi), h("span", { class: "unit" }, ` ${unit(signals.get(kpi.signal)?.unit)}`))), limits.map((/** @type {any} */ limit) => h("th", { scope: "col" }, name(limit))), past ? null : h("th", { scope: "col" }, "Support"));
    /** @param {any} future @param {import("../dom.js").Child[]} first @param {any} [rank] */
    const cells = (future, first, rank) => [
      ...first,
      ranked ? h("td", { class: "number" }, rank ? String(rank) : "") : null,
      ...kpis.map((kpi) => {
        const value = future.kpis?.[kpiName(kpi)];
        return h("td", { class: "number", title: value?.quantiles ? Object.entries(value.quantiles).map(([level, one]) => `${Number(level) * 100} %: ${number(/** @type {any} */ (one))}`).join(", ") : "" }, number(value?.mean), value?.delta ? h("span", { class: "small quiet" }, ` ${signed(value.delta.mean)}`) : null);
      }),
      ...limits.map((/** @type {any} */ _, /** @type {number} */ i) => breach(future.constraints?.[i])),
      past ? null : support(future.support),
    ];
    fill(
      element,
      h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Scenarios side by side" }, h(
        "table",
        { class: "data compare-table" },
        h("caption", { class: "sr" }, "Scenarios side by side"),
        h("thead", {}, head),
        h(
          "tbody",
          {},
          answer.scenarios.map((/** @type {any} */ one, /** @type {number} */ i) => h("tr", { "data-scenario": one.name, "aria-current": i === use.active() ? "true" : null }, cells(one, [
            h("th", { scope: "row" }, h("button", { type: "button", class: "bare small scenario-name", onclick: () => use.choose(i) }, h("i", { class: `dot c-series-${i + 1}` }), one.name)),
            h("td", {}, plan.scenarios[i] ? chips(plan.scenarios[i]) : null),
          ], one.rank))),
          h("tr", { class: "baseline-row" }, cells(answer.baseline, [h("th", { scope: "row" }, past ? "What really happened" : "If nothing changes"), h("td", {})])),
        ),
      )),
      notes(answer, use.active(), feed),
    );
  };
  return { element, show };
}

/** @param {any} limit */
function breach(limit) {
  if (!limit) return h("td", {});
  const share = limit.breach_probability.at(-1);
  const when = limit.time_to_limit?.["0.5"];
  return h("td", { "data-met": String(limit.met) }, h("span", { class: "badge", "data-tone": limit.met ? "good" : "bad" }, limit.met ? "kept" : "broken"), h("span", { class: "small" }, ` ${percent(share)} likely broken${when === null || when === undefined ? "" : `, half the time within ${span(when)}`}`));
}

/** @param {any} support */
function support(support) {
  if (!support?.score?.length) return h("td", {}, "–");
  const least = Math.min(...support.score);
  return h("td", { title: "1 where the model has seen just this, toward 0 where it knows nothing" }, h("span", { class: "badge", "data-tone": least >= 0.5 ? "good" : "warn" }, percent(least)), least < 0.5 ? h("span", { class: "small" }, " at its worst step") : null);
}

/** What must be said of the chosen scenario. @param {any} answer @param {number} active @param {import("../feed.js").Feed} feed */
function notes(answer, active, feed) {
  const one = answer.scenarios[Math.min(active, answer.scenarios.length - 1)];
  const clamped = [...new Set((one.clamped ?? []).map((/** @type {any} */ value) => value.signal))];
  const outside = (one.support?.outside ?? []).slice(0, 4);
  const ignored = one.unresponsive ?? [];
  const said = [
    clamped.length ? `Kept within its limits or its rate: ${clamped.join(", ")}. The curves show what was used.` : "",
    ...outside.map((/** @type {any} */ what) => `${what.signal} leaves what the model has seen at step ${what.step}: ${what.kind === "rate" ? "it moves by" : "it is"} ${number(what.value)}, seen ${number(what.seen[0])} to ${number(what.seen[1])}.`),
    ...ignored.map((/** @type {any} */ what) => `The model ignores ${what.signal} in ${what.outputs.join(", ")}: a flat line there is no knowledge.`),
  ].filter(Boolean);
  const fit = Object.entries(answer.fit ?? {}).map(([name, value]) => `${name}: mean error ${number(/** @type {any} */ (value).mae)} ${unit(feed.type.signals.find((signal) => signal.name === name)?.unit)}`);
  return h("div", { class: "stack compare-notes" }, said.length ? h("ul", { class: "note" }, said.map((text) => h("li", {}, text))) : null, fit.length ? h("p", { class: "small quiet" }, `How well the model explains what really happened: ${fit.join("; ")}.`) : null);
}
