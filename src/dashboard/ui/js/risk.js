// @ts-check
/** The risk that a limit is broken within the horizon of the newest forecast, in words. */

import { number, percent, quantity, span } from "./format.js";

/** Below this a risk is no news. */
export const LITTLE = 0.005;

/** @param {any} risk of the API @returns {any} the limit that is broken most probably */
export const worst = (risk) => (risk && risk.limits[0]?.probability > 0 ? risk.limits[0] : null);

/** @param {number} probability */
export const tone = (probability) => (probability >= 0.5 ? "bad" : probability >= 0.1 ? "warn" : "");

/** A limit as people write it. @param {any} limit @param {string} [unit] UCUM */
export const limitText = (limit, unit) => `${limit.signal} ${typeof limit.max === "number" ? `${limit.rule ? ">" : "≥"} ${quantity(limit.max, unit)}` : `${limit.rule ? "<" : "≤"} ${quantity(limit.min, unit)}`}`;

/** When it is broken. @param {any} limit */
export function when(limit) {
  if (typeof limit.p50_s === "number") return `in ${span(limit.p50_s)}`;
  return typeof limit.median_s === "number" ? `if so, in ${span(limit.median_s)}` : "";
}

/** Of a whole risk, for the hover. @param {any} risk @param {(signal: string) => string | undefined} unitOf */
export function details(risk, unitOf) {
  const lines = risk.limits.filter((/** @type {any} */ one) => one.probability > 0).map((/** @type {any} */ one) => `${percent(one.probability)} ${limitText(one, unitOf(one.signal))}${one.rule ? ` (${one.rule})` : " (limit of the type)"}${typeof one.median_s === "number" ? `, half of these within ${span(one.median_s)}` : ""}`);
  const ahead = (Date.parse(risk.until) - Date.parse(risk.at)) / 1000;
  return `${percent(risk.probability)} that a limit is broken within ${span(ahead)}${lines.length ? `: ${lines.join("; ")}` : `; ${number(risk.limits.length)} ${risk.limits.length === 1 ? "limit is" : "limits are"} watched`}.`;
}
