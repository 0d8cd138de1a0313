// @ts-check
/** What became of telling a webhook. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { ago, span, time, utc } from "../format.js";

const PAGE = 20;
const TONES = /** @type {Record<string, string>} */ ({ delivered: "good", pending: "warn", failed: "bad" });

/** An attempt in words. @param {any} delivery */
export function result(delivery) {
  const took = typeof delivery.took_ms === "number" ? ` after ${span(delivery.took_ms / 1000)}` : "";
  const said = delivery.answer ? `: “${delivery.answer.slice(0, 200)}”` : "";
  if (delivery.status === "delivered") return `Answered ${delivery.http_status}${took}${said}.`;
  return `Not delivered: ${delivery.error ?? "not attempted yet"}${took}${said}.`;
}

/** @param {string} id of the webhook @param {AbortSignal} end */
export function deliveriesOf(id, end) {
  const list = h("ul", { class: "log" });
  const trouble = h("div", {});
  const more = h("button", { type: "button", class: "small", hidden: true, onclick: () => read(next) }, "Show older ones");
  /** @type {string | null} */
  let next = null;
  /** @param {string | null} [cursor] */
  const read = async (cursor = null) => {
    try {
      const found = await api.deliveries(id, { limit: PAGE, cursor });
      if (end.aborted) return;
      fill(trouble);
      list.append(...found.items.map(row));
      if (!list.childElementCount) fill(list, h("li", { class: "small quiet" }, "Nothing was told yet."));
      next = found.next;
      more.hidden = !next;
    } catch (error) {
      if (!end.aborted) fill(trouble, problemBox(error));
    }
  };
  read();
  return h("div", { "data-deliveries": "", role: "region", "aria-label": "Deliveries" }, list, more, trouble);
}

/** @param {any} one */
function row(one) {
  const again = one.status === "pending" && one.attempts ? `, again ${Date.parse(one.due_at) > Date.now() ? `at ${time(one.due_at)}` : "now"}` : "";
  const attempts = one.attempts === 1 ? "1 attempt" : `${one.attempts} attempts`;
  return h(
    "li",
    { "data-delivery": one.status },
    h("span", { class: "small quiet", title: utc(one.created_at) }, ago((Date.now() - Date.parse(one.created_at)) / 1000)),
    h("span", { class: "small" }, one.asset ? `${one.type} of ${one.asset}` : one.type),
    h("span", { class: "badge", "data-tone": TONES[one.status] }, one.status),
    h("span", { class: "small words" }, `${attempts}${again}. ${one.attempts ? result(one) : ""}`),
  );
}
