// @ts-check
/** What is asked: scenarios with their courses, limits and KPIs; its place in the address, its request. */

import { overridesOf } from "./course.js";

/**
 * @typedef {{name: string, courses: Record<string, import("./course.js").Course>, fixed: any[], saved: string | null}} Scenario
 *   `fixed` are overrides that the page cannot draw, and keeps
 * @typedef {{signal: string, min: number | null, max: number | null, probability: number}} Limit
 * @typedef {{signal: string, agg: string}} Kpi
 * @typedef {{scenarios: Scenario[], horizon: number, clamp: boolean, limits: Limit[], kpis: Kpi[], rank: {kpi: number, goal: string} | null, asOf: string | null}} Plan
 */

export const MOST = 6;
/** Steps that the server looks ahead at most. */
export const MAX_HORIZON = 512;
export const AGGREGATES = /** @type {Record<string, string>} */ ({ mean: "mean", min: "least", max: "greatest", last: "at the end", integral: "integral", std: "deviation" });

/** @param {Kpi} kpi */
export const kpiName = (kpi) => `${kpi.signal} ${kpi.agg}`;

/** @param {string} text safe between the marks of the address */
const safe = (text) => encodeURIComponent(text).replace(/[!*~_;|:'()]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
/** @param {string} text */
const unsafe = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
const round = (/** @type {number} */ value) => +value.toPrecision(6);

/** @param {Plan} plan @returns {Record<string, string | number | null>} for the query of the address */
export function toQuery(plan) {
  const scenario = (/** @type {Scenario} */ one) => [
    safe(one.name),
    ...Object.entries(one.courses).map(([signal, { shape, knots }]) => `${safe(signal)}*${shape}*${knots.map(([step, value]) => `${step}:${round(value)}`).join("_")}`),
    ...(one.fixed.length ? [`*${safe(JSON.stringify(one.fixed))}`] : []),
    ...(one.saved ? [`~${one.saved}`] : []),
  ].join("!");
  return {
    s: plan.scenarios.map(scenario).join("|"),
    horizon: plan.horizon,
    clamp: plan.clamp ? null : 0,
    limits: plan.limits.map((one) => [safe(one.signal), one.min ?? "", one.max ?? "", one.probability].join("~")).join(";"),
    kpis: plan.kpis.map((one) => `${safe(one.signal)}~${one.agg}`).join(";"),
    rank: plan.rank ? `${plan.rank.kpi}~${plan.rank.goal}` : null,
    as_of: plan.asOf,
  };
}

/**
 * Reads it back, leaving out what does not fit.
 * @param {URLSearchParams} query @param {{control: (name: string) => boolean, known: (name: string) => boolean, horizon: number}} type
 * @returns {Plan}
 */
export function fromQuery(query, type) {
  const asked = Number(query.get("horizon"));
  const horizon = Number.isInteger(asked) && asked > 0 && asked <= MAX_HORIZON ? asked : type.horizon;
  const scenarios = (query.get("s") ?? "").split("|").filter(Boolean).slice(0, MOST).map((text) => {
    const [name, ...parts] = text.split("!");
    /** @type {Scenario} */
    const scenario = { name: unsafe(name) || "Scenario", courses: {}, fixed: [], saved: null };
    for (const part of parts) {
      if (part.startsWith("~")) scenario.saved = part.slice(1);
      else if (part.startsWith("*")) scenario.fixed = list(unsafe(part.slice(1)));
      else course(part, type.control, scenario.courses);
    }
    return scenario;
  });
  const number = (/** @type {string} */ text) => (text === "" || !Number.isFinite(Number(text)) ? null : Number(text));
  const split = (/** @type {string} */ name) => (query.get(name) ?? "").split(";").filter(Boolean).map((part) => part.split("~"));
  const limits = split("limits")
    .map(([signal, min, max, probability]) => ({ signal: unsafe(signal), min: number(min ?? ""), max: number(max ?? ""), probability: number(probability ?? "") ?? 0.95 }))
    .filter((one) => type.known(one.signal) && (one.min !== null || one.max !== null));
  const kpis = split("kpis").map(([signal, agg]) => ({ signal: unsafe(signal), agg })).filter((one) => type.known(one.signal) && one.agg in AGGREGATES);
  const [kpi, goal] = (query.get("rank") ?? "").split("~");
  const ranked = goal && kpis[Number(kpi)] ? { kpi: Number(kpi), goal: goal === "maximise" ? "maximise" : "minimise" } : null;
  const asOf = query.get("as_of");
  return { scenarios, horizon, clamp: query.get("clamp") !== "0", limits, kpis, rank: ranked, asOf: asOf && !Number.isNaN(Date.parse(asOf)) ? new Date(asOf).toISOString() : null };
}

/** @param {string} text @returns {any[]} */
function list(text) {
  try {
    const found = JSON.parse(text);
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** @param {string} part @param {(name: string) => boolean} known @param {Record<string, import("./course.js").Course>} courses */
function course(part, known, courses) {
  const [name, shape, text] = part.split("*");
  const signal = unsafe(name);
  if (!known(signal) || !["step", "ramp", "pulse", "schedule", "line"].includes(shape)) return;
  const knots = (text ?? "").split("_").map((knot) => knot.split(":").map(Number)).filter(([step, value]) => Number.isInteger(step) && step >= 0 && Number.isFinite(value)).sort((a, b) => a[0] - b[0]);
  if (knots.length) courses[signal] = { shape: /** @type {any} */ (shape), knots: /** @type {any} */ (knots) };
}

/** @param {Scenario} scenario @param {number} horizon */
export function overrides(scenario, horizon) {
  return [...Object.entries(scenario.courses).flatMap(([signal, one]) => overridesOf(signal, one, horizon)), ...scenario.fixed];
}

/** The request of a what-if, or of a retro what-if. @param {Plan} plan */
export function request(plan) {
  const scenarios = plan.scenarios.map((one) => ({ name: one.name, overrides: overrides(one, plan.horizon) }));
  const common = { horizon: plan.horizon, scenarios, ...(plan.clamp ? { limits: "clamp" } : {}) };
  if (plan.asOf) return { ...common, as_of: plan.asOf };
  const aims = aimsOf(plan);
  return { ...common, ...aims, ...(plan.rank && plan.kpis[plan.rank.kpi] ? { rank_by: { kpi: kpiName(plan.kpis[plan.rank.kpi]), goal: plan.rank.goal } } : {}) };
}

/** Limits and KPIs as the API takes them. @param {Plan} plan */
export function aimsOf(plan) {
  const constraints = plan.limits.map((one) => ({ signal: one.signal, ...(one.min === null ? {} : { min: one.min }), ...(one.max === null ? {} : { max: one.max }), probability: one.probability }));
  const kpis = plan.kpis.map((one) => ({ name: kpiName(one), signal: one.signal, agg: one.agg }));
  return { ...(constraints.length ? { constraints } : {}), ...(kpis.length ? { kpis } : {}) };
}

/**
 * Where a knot may go: the signal's limits, or what was seen with room around it.
 * @param {import("../api.js").Signal} signal
 * @param {"number" | "boolean" | "enum"} kind
 * @param {number} labels
 * @param {(number | null | undefined)[]} seen
 */
export function reach(signal, kind, labels, seen) {
  if (kind === "boolean") return { min: 0, max: 1, step: 1 };
  if (kind === "enum") return { min: 0, max: Math.max(1, labels - 1), step: 1 };
  let min = Infinity;
  let max = -Infinity;
  for (const value of seen) {
    if (value === null || value === undefined) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  if (min > max) [min, max] = [0, 1];
  const room = Math.max((max - min) / 2, Math.abs(max) * 0.25, 1e-6);
  const low = signal.min ?? min - room;
  const high = signal.max ?? max + room;
  return { min: low, max: high, step: niceStep((high - low) / 200) };
}

/** The nearest 1, 2 or 5 below. @param {number} size */
export function niceStep(size) {
  if (!(size > 0)) return 0.01;
  const power = 10 ** Math.floor(Math.log10(size));
  const digit = size / power;
  return +((digit >= 5 ? 5 : digit >= 2 ? 2 : 1) * power).toPrecision(3);
}

/**
 * A first aim that is worth looking at: the farther end of what was seen, where the model knows
 * its way; where little was seen, a quarter of the reach towards its farther end.
 * @param {{min: number, max: number, step: number}} span @param {number} present @param {(number | null | undefined)[]} seen
 */
export function farther(span, present, seen) {
  const inside = (/** @type {number} */ value) => Math.min(span.max, Math.max(span.min, +(Math.round(value / span.step) * span.step).toPrecision(6)));
  if (span.step === 1 && span.max - span.min <= 1) return present >= 0.5 ? 0 : 1;
  let low = Infinity;
  let high = -Infinity;
  for (const value of seen) {
    if (value === null || value === undefined) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const end = high - present >= present - low ? high - (high - low) * 0.05 : low + (high - low) * 0.05;
  if (Math.abs(end - present) > (span.max - span.min) * 0.05) return inside(end);
  const way = span.max - present >= present - span.min ? 1 : -1;
  return inside(present + (way * (span.max - span.min)) / 4);
}

/**
 * Steps that a change needs at the input's rate limit.
 * @param {import("../api.js").Signal} signal @param {number} present @param {number} value @param {number} interval
 */
export function slowest(signal, present, value, interval) {
  if (!signal.max_rate) return 1;
  return Math.max(1, Math.ceil(Math.abs(value - present) / (signal.max_rate * interval) - 1e-9));
}
