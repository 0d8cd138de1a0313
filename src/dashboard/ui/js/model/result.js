// @ts-check
/** The result of a backtest: a table of forecasters for each output, and how classes were named. */

import { fill, h } from "../dom.js";
import { choice } from "../form.js";
import { number, percent } from "../format.js";
import { confusion } from "./confusion.js";

const WHO = /** @type {Record<string, {name: string, meaning: string}>} */ ({
  model: { name: "This version", meaning: "As it would have been served: its bank fitted at each window's start, its head and its bands." },
  naive: { name: "Naive", meaning: "The last value holds." },
  seasonal_naive: { name: "Seasonal naive", meaning: "The last season repeats itself; the last value holds where there is none." },
  arx: { name: "Linear ARX", meaning: "A linear difference equation with the inputs, fitted at each window's start." },
});
/** Field, heading, meaning, and whether less is better. */
const SCORES = /** @type {[string, string, string, boolean][]} */ ([
  ["rmse", "RMSE", "Root mean squared error of the median, in the output's unit.", true],
  ["mae", "MAE", "Mean absolute error of the median, in the output's unit.", true],
  ["mase", "MASE", "Absolute error in units of the mean change from one step to the next before the window.", true],
  ["pinball", "Pinball", "Mean pinball loss over the quantiles, in the output's unit.", true],
  ["crps", "CRPS", "Distance of the whole forecast from the truth, in the output's unit.", true],
  ["coverage_80", "In the 80\u202f% band", "Share of the truth inside the band; honest is 80 %.", false],
  ["coverage_95", "In the 95\u202f% band", "Share of the truth inside the band; honest is 95 %.", false],
]);

/** @param {any} backtest with its result @param {Map<string, string>} units of signals */
export function backtestResult(backtest, units) {
  const { forecasters, learned, health, seasons, fallbacks } = backtest.result;
  const apart = forecasters.some((/** @type {any} */ one) => one.unseen);
  const body = h("div", {});
  const unseen = learned.windows - learned.seen_by_model;
  const part = choice({ all: `all ${learned.windows}`, unseen: `the ${unseen} that it had not learned from` }, apart ? "unseen" : "all", { "data-part": "" });
  const show = () => fill(body, scores(forecasters, part.value, units));
  part.addEventListener("change", show);
  show();
  const found = Object.entries(seasons).filter(([, steps]) => steps !== null);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: learned.seen_by_model ? "note" : "small quiet", "data-learned": learned.seen_by_model }, `${learned.summary.charAt(0).toUpperCase()}${learned.summary.slice(1)}.`),
    apart ? h("label", { class: "backtest-part" }, h("span", { class: "legend" }, "Windows"), part) : null,
    body,
    h("p", { class: "small quiet" }, [found.length ? `Seasons: ${found.map(([name, steps]) => `${name} ${steps} steps`).join(", ")}.` : "No output has a season.", fallbacks ? `${fallbacks} forecasts that the version could not give were the naive one's.` : ""].filter(Boolean).join(" ")),
    classes(health, backtest),
  );
}

/** @param {any[]} forecasters @param {string} part @param {Map<string, string>} units */
function scores(forecasters, part, units) {
  const shown = forecasters.filter((one) => one[part]).map((one) => ({ ...one[part], who: WHO[one.forecaster] ?? { name: one.forecaster, meaning: "" }, forecaster: one.forecaster }));
  const outputs = [...new Set(shown.flatMap((one) => Object.keys(one.scores.by_target)))];
  const windows = shown[0]?.scores.windows ?? 0;
  return h(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Scores of the forecasters" },
    h(
      "table",
      { class: "data backtest-table", "data-scores-of": part },
      h("caption", { class: "sr" }, `Scores on ${windows} windows`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, `${windows} ${windows === 1 ? "window" : "windows"}`), SCORES.map(([, name, meaning]) => h("th", { class: "number", scope: "col", title: meaning }, name)), h("th", { class: "number", scope: "col", title: "Share of the naive forecast's CRPS that is saved, with the interval that holds it with 95 % probability." }, "Better than naive"))),
      outputs.map((output) => h(
        "tbody",
        { "data-output": output },
        h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: SCORES.length + 2 }, output, units.get(output) ? h("span", { class: "unit" }, ` ${units.get(output)}`) : "")),
        shown.map((one) => h(
          "tr",
          { "data-forecaster": one.forecaster },
          h("th", { scope: "row", title: one.who.meaning }, one.who.name),
          SCORES.map(([field, , , less]) => {
            const value = one.scores.by_target[output]?.[field];
            const all = shown.map((other) => other.scores.by_target[output]?.[field]).filter((other) => Number.isFinite(other));
            const best = less && value === Math.min(...all);
            return h("td", { class: best ? "number best" : "number", "data-score": field }, less ? number(value) : percent(value));
          }),
          h("td", { class: "number", "data-score": "vs_naive" }, gain(one.vs_naive_by_target?.[output])),
        )),
      )),
    ),
  );
}

/** @param {any} paired */
function gain(paired) {
  if (!paired) return "–";
  return [percent(paired.improvement), h("span", { class: "quiet small backtest-interval" }, ` ${percent(paired.low)} to ${percent(paired.high)}`)];
}

/** @param {any} health @param {any} backtest */
function classes(health, backtest) {
  const card = health.model;
  if (!card) return h("p", { class: "small quiet", "data-classes": "none" }, `Health classes: ${health.reason ?? "nothing can be said"}.`);
  const seen = health.seen_by_model ? `, ${health.seen_by_model} of them learned from` : "";
  const title = `Confusion on ${card.cases} labelled steps of the windows${seen}: rows are the truth, columns what it said`;
  const naive = health.naive;
  return h(
    "div",
    { "data-classes": card.cases },
    confusion(card, title, `Confusion matrix of the backtest of version ${backtest.version}`),
    h("p", { class: "small quiet" }, `precision ${percent(card.macro_precision)}, recall ${percent(card.macro_recall)}, area under the ROC curve ${number(card.macro_roc_auc)}, each the mean over the classes${naive ? `; saying only how often each was labelled before: accuracy ${percent(naive.accuracy)}, macro F1 ${number(naive.macro_f1)}` : ""}${health.reason ? `; ${health.reason}` : ""}`),
  );
}
