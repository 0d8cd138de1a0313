// @ts-check
/** How well a version tells the health class ahead, beside what needs no learning. */

import { h } from "../dom.js";
import { number, percent } from "../format.js";
import { WHO } from "../twin/outlook.js";

const COLUMNS = ["learned", "held", "rates", "frequencies"];

/** @param {any} ahead of a verdict @param {number} version */
export function aheadScores(ahead, version) {
  const leads = ahead.leads.filter((/** @type {any} */ lead) => lead.by);
  if (!leads.length) return [h("p", { class: "small quiet", "data-ahead-of": version }, `Ahead: ${ahead.reason}.`)];
  const told = (/** @type {any} */ lead) => lead[lead.by];
  return [
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `How version ${version} tells the class ahead` },
      h(
        "table",
        { class: "data", "data-ahead-of": version },
        h("caption", { class: "small quiet" }, "The class ahead on labelled steps that it never saw: logarithmic loss of each who can tell it, less is better; who serves stands first"),
        h("thead", {}, h("tr", {}, ["Steps", "Serves", ...COLUMNS.map((name) => WHO[name].word), "Accuracy", "Macro F1", "Calibration error"].map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : undefined }, name)))),
        h("tbody", {}, leads.map((/** @type {any} */ lead) => h(
          "tr",
          { title: `${lead.cases} steps judged, ${lead.changes} of which changed their class` },
          h("th", { scope: "row" }, String(lead.step)),
          h("td", { title: WHO[lead.by]?.about }, WHO[lead.by]?.word ?? lead.by),
          COLUMNS.map((name) => h("td", { class: name === lead.by ? "number best" : "number" }, number(lead[name]?.log_loss))),
          h("td", { class: "number" }, percent(told(lead)?.accuracy)),
          h("td", { class: "number" }, number(told(lead)?.macro_f1)),
          h("td", { class: "number" }, percent(told(lead)?.ece)),
        ))),
      ),
    ),
  ];
}
