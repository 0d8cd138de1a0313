// @ts-check
/** Asset types: what kinds of machines there are, and a form that makes one of a pasted CSV header. */

import { api } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { field, form } from "../form.js";
import { seconds, span, time, unit, utc } from "../format.js";
import { way } from "../role.js";
import { stream } from "../stream.js";
import { command } from "../welcome.js";
import { basesPanel } from "./base.js";
import { typeBuilder } from "./builder.js";
import { guessesOf, sheetOf } from "./columns.js";

const PAGE = 200;
const ROLES = /** @type {Record<string, string>} */ ({ control_input: "control inputs", disturbance: "disturbances", output: "outputs", state: "states" });

/** @param {HTMLElement} page @param {string | undefined} key `new`, one to be changed, or none @param {AbortSignal} end */
export async function typesPage(page, key, end) {
  document.title = "Asset types · Counterpart";
  stream.follow(null);
  if (key === "new") newType(page);
  else if (key) await changeType(page, key, end);
  else await list(page, end);
}

/** @param {HTMLElement} page @param {AbortSignal} end */
async function list(page, end) {
  const [{ items }, bases] = await Promise.all([api.assetTypes({ limit: PAGE }), api.baseModels()]);
  if (end.aborted) return;
  fill(
    page,
    h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Asset types"), h("p", { class: "facts" }, items.length === 1 ? "1 type" : `${items.length} types`)), way("administer", { class: "button push", href: "#/types/new" }, "New type")),
    items.length
      ? h("div", { class: "types" }, items.map(card))
      : h("section", { class: "panel", "aria-label": "No type" }, h("div", { class: "panel-body" }, h("p", { class: "words" }, "No type yet. A type says what the signals of a kind of machine are. Make one of a CSV header with the button above, or by hand:"), command(`curl -X POST ${location.origin}/v1/asset-types -H 'content-type: application/json' -d '{"key":"tank","interval":"PT1S","signals":[
  {"name":"pump","unit":"%","role":"control_input","min":0,"max":100},
  {"name":"level","unit":"m","role":"output"}]}'`, "the command that makes a type"))),
    basesPanel(bases.items),
  );
}

/** @param {any} type */
function card(type) {
  return h(
    "section",
    { class: "panel", "aria-label": type.key, "data-type": type.key },
    h("div", { class: "panel-head" }, h("h2", {}, type.key), h("span", { class: "badge" }, `version ${type.version}`), h("span", { class: "small quiet", title: utc(type.created_at) }, `${time(type.created_at)}${type.interval ? `, a frame every ${span(seconds(type.interval))}` : ""}`), type.extends ? h("span", { class: "small quiet push" }, `extends ${type.extends.type}`) : way("administer", { class: "button small push", href: `#/types/${encodeURIComponent(type.key)}` }, "Change")),
    h(
      "div",
      { class: "panel-body" },
      type.description ? h("p", { class: "words" }, type.description) : null,
      Object.entries(ROLES).map(([role, text]) => {
        const signals = type.signals.filter((/** @type {any} */ signal) => signal.role === role);
        return signals.length ? h("p", { class: "type-signals" }, h("span", { class: "small quiet" }, text), signals.map((/** @type {any} */ signal) => h("span", { class: "badge", title: signal.description }, signal.name, unit(signal.unit) ? h("span", { class: "unit" }, unit(signal.unit)) : null))) : null;
      }),
      type.base_model ? h("p", { class: "type-signals", "data-base-model": type.base_model }, h("span", { class: "small quiet" }, "base model"), h("span", { class: "badge" }, type.base_model === "auto" ? "the best of all" : type.base_model)) : null,
      type.health_classes?.length ? h("p", { class: "type-signals" }, h("span", { class: "small quiet" }, "health classes"), type.health_classes.map((/** @type {string} */ name) => h("span", { class: "badge" }, name))) : null,
    ),
  );
}

/** @param {string} title @param {...import("../dom.js").Child} more */
const head = (title, ...more) => h("div", {}, h("p", { class: "crumbs" }, h("a", { href: "#/types" }, "Asset types"), ` / ${title}`), h("div", { class: "page-head" }, h("h1", {}, title), more));

/** @param {HTMLElement} page */
function newType(page) {
  const builder = typeBuilder({ key: "", fixed: false, document: { interval: "PT1S", signals: [] } });
  const read = h("p", { class: "small quiet", role: "status" });
  const paste = h("textarea", { class: "mono", rows: 4, spellcheck: "false", placeholder: "time,pump [%],outlet valve [%],level [m],temperature [°C]\n2026-11-24T10:00:00Z,40,55,2.31,21.4" });
  paste.addEventListener("input", () => {
    const sheet = sheetOf(paste.value);
    const guesses = guessesOf(sheet);
    builder.replace(guesses);
    if (sheet.interval) builder.setInterval(sheet.interval);
    say(read, guesses.length ? `${guesses.length} signals${sheet.time < 0 ? "; no column of time is named" : ""}${sheet.interval ? `, a frame every ${span(seconds(sheet.interval))}` : ""}. Names, units, roles and kinds are guesses: look at them.` : "");
  });
  fill(
    page,
    head("New type"),
    h(
      "section",
      { class: "panel", "aria-label": "New type" },
      h(
        "div",
        { class: "panel-body" },
        h("div", { class: "field" }, field("A CSV header, and a few rows if you have them", paste), read),
        form({
          label: "New asset type",
          submit: "Create the type",
          needs: "administer",
          send: async () => {
            await api.addAssetType({ key: builder.key(), ...builder.value() });
            location.hash = "#/types";
          },
        }, ...builder.fields),
      ),
    ),
  );
}

/** @param {HTMLElement} page @param {string} key @param {AbortSignal} end */
async function changeType(page, key, end) {
  const type = await api.assetType(key, 0);
  if (end.aborted) return;
  if (type.extends) {
    fill(page, head(key), problemBox({ title: "This type extends another", detail: "Its document is better changed through the API." }));
    return;
  }
  const builder = typeBuilder({ key, fixed: true, document: type });
  fill(
    page,
    head(key),
    h("section", { class: "panel", "aria-label": key }, h("div", { class: "panel-body" }, h("p", { class: "words" }, `What is saved here becomes version ${type.version + 1}. Assets stay with the version that they have.`), form({
      label: `Document of ${key}`,
      submit: "Save as a new version",
      needs: "administer",
      send: async () => {
        await api.changeAssetType(key, builder.value());
        location.hash = "#/types";
      },
    }, ...builder.fields))),
  );
}
