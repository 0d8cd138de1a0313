// @ts-check
/** What is not a number: log lines, notes and labels of an asset, and a form to add one. */

import { api } from "../api.js";
import { TONES } from "../alarm/words.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { asked, choice, field, instantInput, instantOf, words } from "../form.js";
import { span, time, utc } from "../format.js";
import { only } from "../role.js";
import { command } from "../welcome.js";

const KINDS = /** @type {Record<string, string>} */ ({ "": "all", log: "log lines", note: "notes", label: "labels" });
const EVERY_MS = 15_000;

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{limit: number, whole: boolean}} use `whole` has the filter and deletes
 */
export function eventsPanel(feed, { limit, whole }) {
  const key = feed.asset.key;
  const kind = choice(KINDS, "", { "aria-label": "Shown events" });
  const list = h("ul", { class: "events" });
  const trouble = h("div", {});
  const more = h("button", { type: "button", class: "small", onclick: () => read(next) }, "Show older ones");
  const foot = h("div", { class: "panel-body", hidden: true }, more);
  const element = h(
    "section",
    { class: "panel", "aria-label": "Events", "data-panel": "events" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, "Events"),
      h("span", { class: "push row" }, whole ? kind : null, h("button", only("operate", { type: "button", class: "small", onclick: () => addEvent(feed, { kind: "note" }) }), "Add a note"), (feed.type.health_classes ?? []).length ? h("button", only("operate", { type: "button", class: "small", onclick: () => addEvent(feed, { kind: "label" }) }), "Add a label") : null),
    ),
    trouble,
    list,
    foot,
  );
  kind.addEventListener("change", () => read());
  /** @type {string | null} */
  let next = null;
  let shown = "";

  /** @param {string | null} [cursor] */
  const read = async (cursor = null) => {
    try {
      const page = await api.events(key, { kind: kind.value, limit, cursor });
      if (feed.end.aborted) return;
      fill(trouble);
      next = whole ? page.next ?? null : null;
      foot.hidden = !next;
      const text = JSON.stringify(page.items);
      if (!cursor && text === shown) return;
      shown = cursor ? "" : text;
      if (!cursor) fill(list);
      list.append(...page.items.map(row));
      element.dataset.count = String(list.childElementCount);
      if (!list.childElementCount) list.append(h("li", { class: "panel-body" }, empty(key)));
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, h("div", { class: "panel-body" }, problemBox(error, () => read())));
    }
  };
  /** @param {any} event */
  const row = (event) => {
    const length = event.end ? (Date.parse(event.end) - Date.parse(event.start)) / 1000 : 0;
    const sick = event.kind === "label" && event.class !== feed.type.health_classes?.[0];
    return h(
      "li",
      { class: "event", "data-event": event.id, "data-kind": event.kind },
      h(
        "div",
        {},
        h("span", { class: "badge", "data-tone": sick ? "warn" : TONES[event.severity] ?? "" }, event.kind === "label" ? event.class : event.kind),
        event.severity ? h("span", { class: "badge", "data-tone": TONES[event.severity] ?? "" }, event.severity) : null,
        h("span", { class: "small quiet", title: `${utc(event.start)}${event.end ? ` to ${utc(event.end)}` : ""}` }, `${time(event.start)}${length ? `, for ${span(length)}` : event.kind === "label" && !event.end ? ", lasts" : ""}`),
        event.code ? h("code", {}, event.code) : null,
        whole && event.end === null && event.kind === "label" ? h("button", only("operate", { type: "button", class: "small bare", "aria-label": `End it now: the label ${event.class} of ${time(event.start)}`, onclick: () => finish(event) }), "End it now") : null,
        whole ? h("button", only("operate", { type: "button", class: "small bare push", "aria-label": `Delete the ${event.kind} of ${time(event.start)}`, onclick: () => remove(event) }), "Delete") : null,
      ),
      event.text ? h("p", { class: "words" }, event.text) : null,
    );
  };
  /** @param {any} event */
  const remove = async (event) => {
    if (!(await confirmed(`Delete this ${event.kind}?`, "The next fine-tune job no longer knows of it.", "Delete"))) return;
    await api.removeEvent(key, event.id).catch((error) => fill(trouble, problemBox(error)));
    feed.tell("event-changed");
  };
  /** @param {any} event */
  const finish = async (event) => {
    const { id, kind: what, start, severity, code, text, class: named } = event;
    await api.addEvent(key, { id, kind: what, start, end: new Date((feed.now ?? Date.now() / 1000) * 1000).toISOString(), severity, code, text, class: named }).catch((error) => fill(trouble, problemBox(error)));
    feed.tell("event-changed");
  };
  feed.on("event-changed", () => {
    read();
    feed.watch.readEvents();
  });
  const timer = setInterval(() => document.hidden || element.offsetParent === null || foot.hidden === false && list.childElementCount > limit || read(), EVERY_MS);
  feed.end.addEventListener("abort", () => clearInterval(timer));
  read();
  return element;
}

/** @param {string} key */
function empty(key) {
  return h("div", {}, h("p", { class: "quiet" }, "Nothing was noted yet. A machine can send its log lines:"), command(`curl -X POST ${location.origin}/v1/assets/${encodeURIComponent(key)}/events -H 'content-type: application/json' -d '{"kind":"log","start":"${new Date().toISOString()}","severity":"info","text":"filter changed"}'`, "the command that sends a log line"));
}

/**
 * Asks for a note or a label.
 * @param {import("../feed.js").Feed} feed
 * @param {{kind: "note" | "label", from?: number, to?: number}} given seconds
 */
export async function addEvent(feed, { kind, from, to }) {
  const now = feed.now ?? Date.now() / 1000;
  const start = instantInput(Math.floor((from ?? now - (kind === "label" ? 60 * feed.interval : 0)) * 1000));
  const end = instantInput(to === undefined ? null : Math.ceil(to * 1000));
  const classes = feed.type.health_classes ?? [];
  const named = choice(classes, classes[1] ?? classes[0]);
  const severity = choice({ "": "none", info: "info", warning: "warning", minor: "minor", major: "major", critical: "critical" }, "");
  const text = h("textarea", { rows: 3, maxlength: 10000 });
  const label = kind === "label";
  const done = await asked(
    {
      title: label ? "Say which class it was in" : "Add a note",
      detail: label ? "Labels teach the health classifier of the next fine-tune job." : undefined,
      submit: "Add",
      send: () => api.addEvent(feed.asset.key, { kind, start: instantOf(start), end: instantOf(end) ?? null, ...(label ? { class: named.value } : {}), severity: severity.value || null, text: words(text) ?? null }),
    },
    label ? field("Class", named, { pointer: "/class", wide: true }) : null,
    field("From", start, { pointer: "/start" }),
    field("To", end, { pointer: "/end", hint: label ? "Empty: it still lasts." : "Empty: an instant." }),
    field(label ? "Remark" : "Text", text, { pointer: "/text", wide: true }),
    field("Severity", severity, { pointer: "/severity" }),
  );
  if (done) feed.tell("event-changed");
}
