// @ts-check
/** A secret, shown this once. */

import { h } from "../dom.js";
import { command } from "../welcome.js";

/**
 * @param {{title: string, detail: string, secret: string, name: string}} what `name` is what the button copies
 * @returns {Promise<void>}
 */
export function shownOnce({ title, detail, secret, name }) {
  return new Promise((resolve) => {
    const close = h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "I have kept it");
    const dialog = h(
      "dialog",
      { "aria-labelledby": "new-key-title" },
      h("h2", { id: "new-key-title" }, title),
      h("p", {}, detail),
      h("div", { class: "form", "data-new-key": "" }, h("div", { class: "wide" }, command(secret, name))),
      h("div", { class: "row" }, close),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
    close.focus();
  });
}
