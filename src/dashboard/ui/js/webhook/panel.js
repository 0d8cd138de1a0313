// @ts-check
/** Webhooks: who is told what happens, a test, and what became of telling them. */

import { SEVERITIES } from "../alarm/words.js";
import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { asked, field } from "../form.js";
import { ago, utc } from "../format.js";
import { shownOnce } from "../key/once.js";
import { deliveriesOf, result } from "./deliveries.js";

/** What can be told. */
const EVENTS = /** @type {Record<string, string>} */ ({
  "alarm.raised": "alarm raised",
  "alarm.cleared": "alarm cleared",
  "alarm.acknowledged": "alarm acknowledged",
  "alarm.shelved": "alarm shelved",
  "alarm.unshelved": "alarm unshelved",
  "alarm.commented": "alarm commented",
  "model.promoted": "model promoted",
  "model.rolled_back": "model rolled back",
  "job.failed": "job failed",
});
const USUAL = ["alarm.raised", "alarm.cleared"];

/** @param {AbortSignal} end */
export function webhooksPanel(end) {
  const list = h("ul", { class: "rules" });
  const trouble = h("div", {});
  const add = h("button", { type: "button", class: "small primary", onclick: () => edit(null) }, "Add a webhook");
  const element = h("section", { class: "panel", "aria-label": "Webhooks", "data-panel": "webhooks" }, h("div", { class: "panel-head" }, h("h2", {}, "Webhooks"), h("span", { class: "push" }, add)), trouble, list);

  const read = async () => {
    try {
      const items = await api.webhooks();
      if (end.aborted) return;
      fill(trouble);
      fill(list, items.length ? items.map(row) : h("li", { class: "panel-body quiet" }, "None. Add one, and alarms and changes of models are posted to it, signed."));
    } catch (error) {
      if (!end.aborted) fill(trouble, problemBox(error, read));
    }
  };
  /** Does something to a webhook and shows how it is then. @param {() => Promise<any>} act */
  const doing = async (act) => {
    try {
      await act();
      await read();
    } catch (error) {
      fill(trouble, problemBox(error));
    }
  };
  /** @param {any} hook */
  const row = (hook) => {
    const below = h("div", { class: "wide", "data-below": "" });
    const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) => h("button", { type: "button", class: "small", "aria-label": `${name} ${hook.name}`, onclick: act }, text);
    const test = async () => {
      fill(below, h("p", { class: "small quiet", role: "status" }, "Sending…"));
      try {
        fill(below, h("p", { class: "small", role: "status", "data-tested": "" }, result(await api.testWebhook(hook.id))));
      } catch (error) {
        fill(below, problemBox(error));
      }
    };
    const only = [["assets", hook.assets], ["types", hook.asset_types], ["severities", hook.severities]].filter(([, keys]) => keys).map(([name, keys]) => `only ${name} ${keys.join(", ")}`);
    return h(
      "li",
      { class: "rule", "data-webhook": hook.id },
      h(
        "div",
        {},
        h("strong", {}, hook.name),
        " ",
        h("span", { class: "badge", "data-tone": hook.enabled ? "good" : "" }, hook.enabled ? "on" : "switched off"),
        hook.failures ? [" ", h("span", { class: "badge", "data-tone": "warn", title: hook.failing_since ? `since ${utc(hook.failing_since)}` : null }, `${hook.failures} failed in a row`)] : null,
        h("p", { class: "small words" }, h("code", {}, hook.url)),
        h("p", { class: "small quiet" }, [hook.events.map((/** @type {string} */ name) => EVENTS[name] ?? name).join(", "), ...only].join(" · ")),
        hook.disabled_reason ? h("p", { class: "small words" }, `Switched off ${ago((Date.now() - Date.parse(hook.updated_at)) / 1000)}: ${hook.disabled_reason}`) : null,
        hook.previous_secret_until ? h("p", { class: "small quiet" }, `Signed with the secret before, too, until ${utc(hook.previous_secret_until)}`) : null,
      ),
      h(
        "div",
        { class: "row wide" },
        button("Test", "Send a test to", test),
        button("Deliveries", "Show the deliveries to", () => fill(below, below.querySelector("[data-deliveries]") ? null : deliveriesOf(hook.id, end))),
        button("Edit", "Edit", () => edit(hook)),
        button("New secret", "New secret for", () => rotate(hook)),
        button("Remove", "Remove", () => remove(hook)),
      ),
      below,
    );
  };
  /** @param {any} hook */
  const remove = async (hook) => {
    if (!(await confirmed(`Remove the webhook “${hook.name}”?`, "It is told nothing more; what waits for it is not delivered.", "Remove"))) return;
    await doing(() => api.removeWebhook(hook.id));
    add.focus();
  };
  /** @param {any} made with its secret */
  const show = (made) => shownOnce({ title: `The secret of “${made.name}”`, detail: "This is the only time that it is shown. The receiver checks with it that events come from this server (Standard Webhooks, HMAC-SHA256).", secret: made.secret, name: "the secret" });
  /** @param {any} hook */
  const rotate = async (hook) => {
    if (!(await confirmed(`Another secret for “${hook.name}”?`, "For a day events are signed with both, so that the receiver can change over.", "Make it"))) return;
    await doing(async () => show(await api.rotateWebhook(hook.id)));
  };
  /** @param {any} hook null for a new one */
  const edit = async (hook) => {
    const { fields, body } = webhookFields(hook);
    /** @type {any} */
    let made = null;
    const done = await asked({
      title: hook ? `Webhook “${hook.name}”` : "New webhook",
      submit: hook ? "Save" : "Add",
      send: async () => { made = hook ? await api.changeWebhook(hook.id, body()) : await api.addWebhook(body()); },
    }, ...fields);
    if (!done) return;
    if (!hook) await show(made);
    await read();
  };
  read();
  return element;
}

/** Boxes of which several can be ticked. @param {string} legend @param {Record<string, string>} options @param {string[]} chosen @param {{pointer: string, hint?: string}} about */
function boxes(legend, options, chosen, { pointer, hint }) {
  const all = Object.entries(options).map(([value, text]) => ({ value, text, box: h("input", { type: "checkbox", checked: chosen.includes(value) }) }));
  const element = h(
    "fieldset",
    { class: "field wide boxes", "data-pointer": pointer },
    h("legend", {}, legend),
    all.map(({ box, text }) => h("label", { class: "check" }, box, text)),
    hint ? h("span", { class: "hint" }, hint) : null,
    h("span", { class: "fault", hidden: true }),
  );
  return { element, value: () => all.filter(({ box }) => box.checked).map(({ value }) => value) };
}

/** @param {any} hook */
function webhookFields(hook) {
  const name = h("input", { type: "text", maxlength: 100, required: true, value: hook?.name ?? "" });
  const url = h("input", { type: "url", maxlength: 2000, required: true, autocomplete: "off", spellcheck: false, placeholder: "where events are posted, over HTTPS", value: hook?.url ?? "" });
  const events = boxes("Told of", EVENTS, hook?.events ?? USUAL, { pointer: "/events" });
  const severities = boxes("Severities", Object.fromEntries(SEVERITIES.map((one) => [one, one])), hook?.severities ?? [], { pointer: "/severities", hint: "None: all." });
  const keys = (/** @type {string[] | null} */ given) => h("input", { type: "text", autocomplete: "off", spellcheck: false, value: (given ?? []).join(", ") });
  const assets = keys(hook?.assets);
  const types = keys(hook?.asset_types);
  const enabled = h("input", { type: "checkbox", checked: hook?.enabled ?? true });
  const split = (/** @type {HTMLInputElement} */ input) => {
    const found = input.value.split(/[\s,]+/).filter(Boolean);
    return found.length ? found : null;
  };
  const body = () => ({
    name: name.value,
    url: url.value.trim(),
    events: events.value(),
    assets: split(assets),
    asset_types: split(types),
    severities: severities.value().length ? severities.value() : null,
    enabled: enabled.checked,
  });
  return {
    body,
    fields: [
      field("Name", name, { pointer: "/name", wide: true, hint: "Who listens there." }),
      field("Address", url, { pointer: "/url", wide: true, hint: "Where events are posted to. Networks that are not public need a setting of the server." }),
      events.element,
      severities.element,
      field("Assets", assets, { pointer: "/assets", hint: "Keys, separated by commas. Empty: all." }),
      field("Asset types", types, { pointer: "/asset_types", hint: "Keys. Empty: all." }),
      h("label", { class: "check wide" }, enabled, "Switched on"),
    ],
  };
}
