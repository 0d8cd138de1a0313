// @ts-check
/** Alarms and their rules in words. */

import { api } from "../api.js";
import { number, percent, quantity, seconds, span, time, unit } from "../format.js";

export const SEVERITIES = ["critical", "major", "minor", "warning"];
export const TONES = /** @type {Record<string, string>} */ ({ critical: "bad", major: "bad", minor: "warn", warning: "warn", info: "" });
export const CONDITIONS = /** @type {Record<string, string>} */ ({ above: "above", below: "below", rate_above: "rises faster than", rate_below: "changes slower than", missing: "no readings" });
export const SOURCES = /** @type {Record<string, string>} */ ({ measured: "measured", predicted: "forecast", anomaly: "anomaly", health: "health" });

/** @type {Map<string, Promise<Map<string, string>>>} units of an asset's signals */
const units = new Map();

/** @param {string} key @returns {Promise<Map<string, string>>} */
export function unitsOf(key) {
  let found = units.get(key);
  if (!found) {
    found = api.asset(key)
      .then((asset) => api.assetType(asset.type, asset.version))
      .then((type) => new Map(type.signals.map((signal) => [signal.name, signal.unit ?? ""])));
    found.catch(() => units.delete(key));
    units.set(key, found);
  }
  return found;
}

/** What raised it, with the limit. @param {any} alarm @param {string} code unit of the signal */
export function evidence(alarm, code) {
  const { value, limit, condition, source } = alarm;
  if (value === null || value === undefined) return "–";
  if (source === "predicted" || source === "health") return `${percent(value)} likely`;
  if (source === "anomaly") return `${number(value)} times the threshold`;
  if (condition === "missing") return `${span(value)} of silence`;
  const rate = condition.startsWith("rate") ? "/s" : "";
  const shown = rate ? `${number(value)} ${unit(code)}${rate}` : quantity(value, code);
  return limit === null || limit === undefined ? shown : `${shown} (limit ${number(limit)})`;
}

/** @param {any} rule */
const subject = (rule) => ({ anomaly: "anomaly score", health: `probability of ${rule.class}` })[/** @type {string} */ (rule.source)] ?? rule.signal;

/** What a rule watches. @param {any} rule */
export function watched(rule) {
  const code = rule.unit ?? "";
  const rate = rule.condition.startsWith("rate");
  const limit = rule.limit === null || rule.limit === undefined ? "" : ` ${rate ? `${number(rule.limit)} ${unit(code)}/s` : quantity(rule.limit, code)}`;
  const what = rule.condition === "missing" ? `no readings of ${rule.signal ?? "any signal"}` : `${subject(rule)} ${CONDITIONS[rule.condition]}${limit}`;
  const parts = [
    rule.source === "predicted" ? `forecast within ${spanOf(rule.within)} with ${percent(rule.probability ?? 0.8)}` : "",
    rule.for ? `for ${spanOf(rule.for)}` : "",
    rule.deadband ? `clears ${number(rule.deadband)} inside` : "",
  ].filter(Boolean);
  return [what, ...parts].join(", ");
}

/** @param {string} text ISO 8601 */
const spanOf = (text) => span(seconds(text));

/** What the server says, with its instants in local time. @param {string} text */
export const local = (text) => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (instant) => time(instant));

/** How an alarm stands, in a word. @param {any} alarm */
export function standing(alarm) {
  if (!alarm.active) return "cleared";
  if (alarm.shelved) return "shelved";
  return alarm.acknowledged ? "acknowledged" : "active";
}

/**
 * Those that somebody must see first: active and not seen, then active, then over; the worst
 * before the rest, the newest before the older.
 * @param {any} a @param {any} b
 */
export function urgency(a, b) {
  const rank = (/** @type {any} */ alarm) => ["active", "acknowledged", "shelved", "cleared"].indexOf(standing(alarm));
  const over = !a.active && !b.active;
  return (
    rank(a) - rank(b)
    || (over ? 0 : SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
    || Date.parse(b.raised_at) - Date.parse(a.raised_at)
    || (a.id < b.id ? 1 : -1)
  );
}
