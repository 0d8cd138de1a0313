// @ts-check
/** What a search for settings tried before a version was learned: a table, rung by rung. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { number } from "../format.js";

const ENDED = /** @type {Record<string, string>} */ ({ decided: "one candidate was left", budget: "the budget was spent", rungs: "as many rungs as were asked for were done", learned: "no candidate wanted to learn on" });
/** Field, heading. */
const SETTINGS = [["learning_rate", "Learning rate"], ["l2", "L2"], ["l2_sp", "L2 to the beginning"], ["dropout", "Dropout"], ["replay", "Replayed"]];
/** What of the network learns, by the freeze policy of a recipe. */
export const LEARNS = /** @type {Record<string, string>} */ ({ head: "head", decoder: "head, decoder", last_block: "head, decoder, last block", adapters: "head, decoder, adapters", all: "head, decoder, whole backbone" });

/** Read when it is opened. @param {import("../feed.js").Feed} feed @param {any} item a version with a search */
export function searchDetails(feed, item) {
  const body = h("div", { class: "stack" });
  const read = async () => {
    try {
      fill(body, shown((await api.model(feed.asset.key, item.version, feed.end)).search, item.version));
    } catch (error) {
      if (!feed.end.aborted) fill(body, problemBox(error, read));
    }
  };
  const element = h("details", { "data-search-of": item.version }, h("summary", {}, "Settings that were searched"), body);
  element.addEventListener("toggle", () => element.open && !body.childElementCount && read());
  return element;
}

/** @param {any} search @param {number} version */
function shown(search, version) {
  const { trials, winner } = search;
  const name = (/** @type {any} */ trial) => `${trial.candidate}${trial.candidate === winner ? " (won)" : ""}`;
  return [
    h("p", { class: "small words" }, `${search.asked.candidates} candidates, ${search.rungs} ${search.rungs === 1 ? "rung" : "rungs"} in ${number(search.cpu_s)} of ${search.asked.budget_s} CPU-seconds; then ${ENDED[search.ended] ?? search.ended}. Candidate ${winner} learned to its end. Candidate 0 is the recipe as it was asked for.`),
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Settings tried for version ${version}` },
      h(
        "table",
        { class: "data", "data-trials": trials.length },
        h("caption", { class: "sr" }, "Candidates at the end of each rung"),
        h("thead", {}, h("tr", {}, ["Rung", "Candidate"].map((text) => h("th", { scope: "col" }, text)), SETTINGS.map(([, text]) => h("th", { scope: "col", class: "number" }, text)), h("th", { scope: "col" }, "What learns"), ["Steps", "Validation loss"].map((text) => h("th", { scope: "col", class: "number" }, text)), h("th", { scope: "col" }, "Went on"))),
        h("tbody", {}, trials.map((/** @type {any} */ trial) => h(
          "tr",
          { "data-kept": trial.kept },
          h("td", {}, String(trial.rung)),
          h("th", { scope: "row" }, name(trial)),
          SETTINGS.map(([field]) => h("td", { class: "number" }, String(trial.settings[field]))),
          h("td", {}, LEARNS[trial.settings.freeze ?? "decoder"] ?? trial.settings.freeze),
          h("td", { class: "number" }, String(trial.steps)),
          h("td", { class: "number" }, trial.validation_loss === null ? "not finite" : trial.validation_loss.toFixed(4)),
          h("td", {}, trial.kept ? "yes" : "no"),
        ))),
      ),
    ),
  ];
}
