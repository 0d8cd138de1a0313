// @ts-check
/** What became of an import, in words. */

import { h } from "../dom.js";
import { time } from "../format.js";

const MOST = 12;

/** @param {any} answer */
export function receipt(answer) {
  const { dry_run: dry, received, stored, updated, duplicates, rejected, errors = [], errors_total: total = 0, frames, from, to } = answer;
  const good = received - rejected;
  const parts = dry
    ? [`${good} of ${received} readings can be stored`]
    : [`${stored} stored`, updated ? `${updated} updated` : "", duplicates ? `${duplicates} were there already` : "", rejected ? `${rejected} refused` : ""];
  return h(
    "div",
    { class: "stack receipt", "data-receipt": dry ? "dry" : "stored", "data-stored": stored, "data-rejected": rejected },
    h("p", {}, h("span", { class: "badge", "data-tone": rejected ? (good ? "warn" : "bad") : "good" }, dry ? "checked" : "imported"), ` ${parts.filter(Boolean).join(", ")}${frames ? `: ${frames} rows, ${time(from)} to ${time(to)}` : ""}.`),
    errors.length ? h("div", { class: "problem" }, h("strong", {}, `${total} ${total === 1 ? "thing is" : "things are"} wrong`), h("ul", {}, errors.slice(0, MOST).map((/** @type {any} */ one) => h("li", {}, `row ${one.index + 1}`, one.pointer ? [" ", h("code", {}, String(one.pointer).replace(/^\/\d+\//, ""))] : null, `: ${one.detail}`))), total > MOST ? h("p", { class: "small" }, `and ${total - Math.min(MOST, errors.length)} more`) : null) : null,
  );
}
