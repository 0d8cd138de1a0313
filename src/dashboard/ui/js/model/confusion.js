// @ts-check
/** How classes were told apart: truth in rows, what was said in columns. */

import { h } from "../dom.js";
import { number, percent } from "../format.js";

/** @param {any} card of classes @param {string} title @param {string} name for those who do not see it */
export function confusion(card, title, name) {
  const most = Math.max(1, ...card.confusion.flat());
  return [
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": name },
      h(
        "table",
        { class: "data confusion" },
        h("caption", { class: "small quiet" }, title),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "truth"), card.order.map((/** @type {string} */ one) => h("th", { scope: "col", class: "number" }, one)), h("th", { scope: "col", class: "number" }, "found"))),
        h("tbody", {}, card.order.map((/** @type {string} */ one, /** @type {number} */ row) => h(
          "tr",
          {},
          h("th", { scope: "row" }, one),
          card.confusion[row].map((/** @type {number} */ count, /** @type {number} */ column) => h("td", { class: `number heat-${count === 0 ? 0 : Math.ceil((count / most) * 4)}`, "data-right": row === column }, String(count))),
          h("td", { class: "number" }, percent(card.classes[one]?.recall)),
        ))),
      ),
    ),
    h("p", { class: "small quiet" }, `accuracy ${percent(card.accuracy)}, macro F1 ${number(card.macro_f1)}, calibration error ${percent(card.ece)}`),
  ];
}
