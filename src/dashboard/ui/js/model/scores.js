// @ts-check
/** The score cards of candidate, champion and naive forecast, side by side. */

import { h } from "../dom.js";
import { number, percent } from "../format.js";

const WHO = [["candidate", "Candidate"], ["champion", "Served then"], ["naive", "Naive"]];
const ROWS = /** @type {[string, string, string, boolean][]} */ ([
  ["crps", "CRPS", "Distance of the whole forecast from the truth, in deviations of the signal; less is better. This one decides.", true],
  ["rmse", "RMSE", "Root mean squared error of the median, in deviations of the signal; less is better.", true],
  ["mae", "MAE", "Mean absolute error of the median, in deviations of the signal; less is better.", true],
  ["coverage_80", "In the 80\u202f% band", "Share of the truth inside the band; honest is 80 %.", false],
  ["coverage_95", "In the 95\u202f% band", "Share of the truth inside the band; honest is 95 %.", false],
]);

/** @param {any} scores @param {string} of whose they are @returns {HTMLElement | null} */
export function scoresTable(scores, of) {
  const shown = WHO.filter(([who]) => scores?.[who] && typeof scores[who] === "object");
  if (!shown.length) return null;
  const windows = scores[shown[0][0]].windows;
  return h(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Scores of ${of}` },
    h(
      "table",
      { class: "data", "data-scores": "" },
      h("caption", { class: "sr" }, `Scores on the holdout${windows ? `, ${windows} windows` : ""}`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, windows ? `${windows} windows` : ""), shown.map(([, name]) => h("th", { class: "number", scope: "col" }, name)))),
      h(
        "tbody",
        {},
        ROWS.map(([field, name, meaning, less]) => {
          const values = shown.map(([who]) => scores[who][field]);
          const finite = values.filter((value) => Number.isFinite(value));
          if (!finite.length) return null;
          const best = less ? Math.min(...finite) : NaN;
          return h("tr", {}, h("th", { scope: "row", title: meaning }, name), values.map((value) => h("td", { class: value === best ? "number best" : "number" }, field.startsWith("coverage") ? percent(value) : number(value))));
        }),
      ),
    ),
  );
}
