// @ts-check
/** Under an output's chart: how its forecasts have turned out, in words. */

import { api } from "../api.js";
import { h, say } from "../dom.js";
import { percent, quantity, span } from "../format.js";

const AGAIN_MS = 60_000;
/** Days of forecasts that are looked at. */
const DAYS = 30;
/** Fewer compared forecasts than this say little. */
const FEW = 20;
/** The 80 % band is called right while it holds a share in between. */
const RIGHT = [0.72, 0.88];

/** Reads for all charts of an asset at once. @param {import("../feed.js").Feed} feed */
export function skillWords(feed) {
  /** @type {Map<string, HTMLElement>} */
  const lines = new Map();
  /** @type {any} */
  let outcomes = null;
  let failed = "";
  const draw = () => {
    for (const [name, line] of lines) {
      const { text, about } = failed ? { text: failed, about: "" } : outcomes ? sentence(outcomes, name, feed) : { text: "", about: "" };
      say(line, text);
      line.title = about;
      line.dataset.skill = failed ? "failed" : outcomes ? (about ? "measured" : "none") : "reading";
    }
  };
  const read = async () => {
    try {
      outcomes = await api.outcomes(feed.asset.key, { days: DAYS });
      failed = "";
    } catch (error) {
      // What was read before still holds.
      if (!outcomes) failed = `How the forecasts turned out could not be read: ${/** @type {any} */ (error).title}.`;
    }
    if (!feed.end.aborted) draw();
  };
  const timer = setInterval(() => document.hidden || feed.tab !== "" || read(), AGAIN_MS);
  feed.end.addEventListener("abort", () => clearInterval(timer));
  let version = /** @type {number | null | undefined} */ (undefined);
  // Another version has another record.
  feed.on("prediction", () => {
    const serves = feed.prediction?.model?.version ?? null;
    if (serves === version) return;
    version = serves;
    read();
  });
  return (/** @type {string} */ name) => {
    const line = h("p", { class: "chart-words small quiet", "data-skill-of": name });
    lines.set(name, line);
    draw();
    return line;
  };
}

/**
 * @param {any} outcomes @param {string} name @param {import("../feed.js").Feed} feed
 * @returns {{text: string, about: string}}
 */
export function sentence(outcomes, name, feed) {
  const model = feed.prediction?.model;
  const all = outcomes.items.filter((/** @type {any} */ one) => one.signal === name);
  const mine = all.find((/** @type {any} */ one) => model && one.version === model.version && one.source === model.source);
  if (!mine || !mine.overall.truths) {
    const other = all.some((/** @type {any} */ one) => one.overall.truths);
    return { text: other ? "No forecast of the version that serves now has come due yet." : "No forecast has come due yet: each is compared with what is measured by its last step.", about: "" };
  }
  const { vs_naive: skill, coverage_80: held, mae, bias, inputs_differed: other, truths } = mine.overall;
  const count = mine.predictions;
  const better = typeof skill === "number" ? (Math.abs(skill) < 0.005 ? "as good as holding the last value" : `${percent(Math.abs(skill))} ${skill > 0 ? "better" : "worse"} than holding the last value`) : "";
  const band = typeof held === "number" ? `the 80\u202f% band held ${percent(held)}${count < FEW ? "" : held < RIGHT[0] ? ", so it is too narrow" : held > RIGHT[1] ? ", so it is wider than it need be" : ""}` : "";
  const far = [...mine.leads].reverse().find((/** @type {any} */ lead) => typeof lead.scores.vs_naive === "number");
  const ahead = far && far.from_step > 1 ? ` At ${span(far.from_step * feed.interval)} ahead: ${percent(Math.abs(far.scores.vs_naive))} ${far.scores.vs_naive >= 0 ? "better" : "worse"}.` : "";
  const left = other / (other + truths);
  const moved = left > 0.5 ? ` ${left > 0.99 ? "Nearly all" : percent(left)} of ${count === 1 ? "its" : "their"} values were left out: the inputs had moved otherwise than was assumed.` : "";
  const labels = feed.labels.get(name) ?? [];
  const code = mine.unit ?? undefined;
  return {
    text: `${count === 1 ? "The only forecast that has come due" : `The ${count < FEW ? "first " : ""}${count} forecasts that have come due`}: ${[better, band].filter(Boolean).join("; ")}.${ahead}${count < FEW ? " Too few to judge by." : ""}${moved}`,
    about: `Forecasts of the last ${DAYS} days by ${mine.source === "model" ? `version ${mine.version}` : mine.source === "base" ? "the base model" : "the naive fallback"}: ${truths} values compared; mean absolute error ${quantity(mae, code, labels)}, bias ${quantity(bias, code, labels)}. ${other} values were not compared, because the inputs had left what was assumed of them.`,
  };
}
