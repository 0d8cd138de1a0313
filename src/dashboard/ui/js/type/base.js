// @ts-check
/** Base models: the list of them, and the field by which a type chooses one. */

import { api } from "../api.js";
import { fill, h } from "../dom.js";
import { choice } from "../form.js";
import { percent, time, utc } from "../format.js";

const AUTO = "auto";

/**
 * A choice among the base models; the server's own until the list is there.
 * @param {string | null | undefined} named what the type says
 */
export function baseChoice(named) {
  const options = (/** @type {any[]} */ items) => {
    const own = items.find((one) => one.default)?.name;
    const names = new Set([...items.map((one) => one.name), ...(named && named !== AUTO ? [named] : [])]);
    return { "": own ? `the server's own (${own})` : "the server's own", [AUTO]: "each job learns on the best of all", ...Object.fromEntries([...names].map((name) => [name, name])) };
  };
  const select = choice(options([]), named ?? "");
  const known = async () => {
    const { items } = await api.baseModels();
    const chosen = select.value;
    fill(select, [...choice(options(items), chosen).children]);
    select.value = chosen;
  };
  // Without the list there is still what the type says, and the server says what is wrong with it.
  known().catch(() => {});
  return select;
}

/** Each base model with what it saves of the bank's loss on plants that it never saw. @param {any[]} items */
export function basesPanel(items) {
  return h(
    "section",
    { class: "panel", "aria-label": "Base models", "data-panel": "base-models" },
    h("div", { class: "panel-head" }, h("h2", {}, "Base models"), h("span", { class: "small quiet" }, "What versions stand on; a type chooses one")),
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Base models with their figures" },
      h(
        "table",
        { class: "data" },
        h("caption", { class: "sr" }, "Base models"),
        h("thead", {}, h("tr", {}, ["Base model", "Weights", "Saves of the experts' loss", "From"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, items.map((one) => h(
          "tr",
          { "data-base": one.name },
          h("th", { scope: "row" }, one.name, one.default ? " " : null, one.default ? h("span", { class: "badge", "data-tone": "good" }, "default") : null),
          h("td", {}, one.parameters.toLocaleString("en")),
          h("td", {}, gain(one)),
          h("td", { title: one.created_at ? utc(one.created_at) : undefined }, one.shipped ? "the server" : `added ${time(one.created_at)}`),
        ))),
      ),
    ),
  );
}

/** @param {any} one */
function gain(one) {
  const all = one.validation.find((/** @type {any} */ row) => row.family === "all");
  return all && all.bank_pinball > 0 ? percent(1 - all.network_pinball / all.bank_pinball) : "–";
}
