// @ts-check
/** The API keys: who may do what, a new one, and the end of one. Beside them the webhooks, which are for admins too. */

import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { asked, choice, field, instantInput, instantOf } from "../form.js";
import { ago, time, utc } from "../format.js";
import { here, remember } from "../router.js";
import { stream } from "../stream.js";
import { webhooksPanel } from "../webhook/panel.js";
import { shownOnce } from "./once.js";
import { ROLES, standing } from "./session.js";

const PAGE = 100;
const NAMES = Object.fromEntries(Object.keys(ROLES).map((name) => [name, name]));
const STANDINGS = { active: "active", expired: "expired", revoked: "revoked", "": "all" };
const TONES = /** @type {Record<string, string>} */ ({ active: "good", expired: "warn", revoked: "" });

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function keysPage(page, end) {
  document.title = "Keys and webhooks · Counterpart";
  stream.follow(null);
  const session = await api.session();
  if (end.aborted) return;
  const head = h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Keys and webhooks"), standing(session)));
  if (session.role !== "admin") {
    fill(page, head, h("section", { class: "panel", "aria-label": "Keys" }, h("p", { class: "panel-body words" }, `Your key has the role ${session.role}: it ${ROLES[session.role]}. Keys are shown, made and revoked with a key of an admin; sign out to use another one.`)));
    return;
  }
  const { query } = here();
  const selects = { standing: choice(STANDINGS, query.get("standing") ?? "active"), role: choice({ "": "all", ...NAMES }, query.get("role") ?? "") };
  const list = h("ul", { class: "rules" });
  const trouble = h("div", {});
  const more = h("button", { type: "button", class: "small", onclick: () => read(next) }, "Show older ones");
  const foot = h("div", { class: "panel-body", hidden: true }, more);
  const add = h("button", { type: "button", class: "primary", onclick: () => create() }, "New key");
  /** @type {string | null} */
  let next = null;

  /** @param {string | null} [cursor] */
  const read = async (cursor = null) => {
    try {
      const found = await api.keys({ standing: selects.standing.value, role: selects.role.value, limit: PAGE, cursor });
      if (end.aborted) return;
      fill(trouble);
      if (!cursor) fill(list);
      list.append(...found.items.map(row));
      if (!list.childElementCount) fill(list, h("li", { class: "panel-body quiet" }, selects.standing.value === "active" && !selects.role.value ? "No active key." : "No key fits these filters."));
      next = found.next;
      foot.hidden = !next;
    } catch (error) {
      if (!end.aborted) fill(trouble, problemBox(error, () => read()));
    }
  };
  /** @param {any} key */
  const row = (key) => h(
    "li",
    { class: "rule", "data-key": key.prefix },
    h(
      "div",
      {},
      h("strong", {}, key.name),
      " ",
      h("span", { class: "badge" }, key.role),
      " ",
      h("span", { class: "badge", "data-tone": TONES[key.standing] }, key.standing),
      session.key?.id === key.id ? [" ", h("span", { class: "badge" }, "this browser's")] : null,
      h("p", { class: "small" }, h("code", {}, `${key.prefix}_…`), ` · ${ROLES[key.role]}`),
      h("p", { class: "small quiet" }, at("made", key.created_at), " · ", at("last used", key.last_used_at), " · ", key.standing === "revoked" ? at("revoked", key.revoked_at) : at(key.standing === "expired" ? "expired" : "expires", key.expires_at)),
    ),
    key.standing === "active" ? h("button", { type: "button", class: "small", "aria-label": `Revoke the key ${key.name}, ${key.prefix}`, onclick: () => revoke(key) }, "Revoke") : null,
  );

  const create = async () => {
    const name = h("input", { type: "text", maxlength: 100, required: true, autocomplete: "off" });
    const role = choice(Object.fromEntries(Object.entries(ROLES).map(([value, words]) => [value, `${value}: ${words}`])), session.key_needed ? "reader" : "admin");
    const expires = instantInput(null);
    /** @type {any} */
    let made = null;
    const done = await asked(
      {
        title: "New key",
        detail: session.key_needed ? undefined : "From the first key of an admin on, every request to this server needs a key, those of this page included.",
        submit: "Make the key",
        send: async () => { made = await api.addKey({ name: name.value, role: role.value, expires_at: instantOf(expires) ?? null }); },
      },
      field("Name", name, { pointer: "/name", wide: true, hint: "Who or what will use it." }),
      field("Role", role, { pointer: "/role", wide: true }),
      field("Expires", expires, { pointer: "/expires_at", wide: true, hint: "Empty: never." }),
    );
    if (!done || !made) return;
    const locks = !session.key_needed && made.role === "admin";
    // Otherwise whoever made the first key would stand before the door that it closed.
    if (locks) await api.signIn(made.key).catch((error) => fill(trouble, problemBox(error)));
    await shownOnce({ title: `The key “${made.name}”`, detail: `This is the only time that it is shown: the server keeps only its hash.${locks ? " This browser is signed in with it." : ""}`, secret: made.key, name: "the new key" });
    if (locks) await keysPage(page, end);
    else await read();
  };
  /** @param {any} key */
  const revoke = async (key) => {
    const own = session.key?.id === key.id;
    if (!(await confirmed(`Revoke the key “${key.name}”?`, `Whoever uses ${key.prefix}_… is refused from now on.${own ? " This browser does: you will have to sign in with another one." : ""}`, "Revoke"))) return;
    try {
      await api.revokeKey(key.id).catch(async (error) => {
        const last = error.status === 409;
        if (!last) throw error;
        if (await confirmed("Revoke the last key of an admin?", error.detail, "Revoke it all the same")) await api.revokeKey(key.id, true);
      });
    } catch (error) {
      fill(trouble, problemBox(error));
      return;
    }
    await read();
    add.focus();
  };

  for (const [name, select] of Object.entries(selects)) {
    select.addEventListener("change", () => {
      remember({ [name]: name === "standing" && select.value === "active" ? null : select.value || (name === "standing" ? "all" : null) });
      read();
    });
  }
  if (query.get("standing") === "all") selects.standing.value = "";
  head.append(h("div", { class: "filters push" }, field("Standing", selects.standing), field("Role", selects.role), h("div", { class: "beside-filters" }, add)));
  fill(
    page,
    head,
    session.key_needed ? null : h("p", { class: "banner" }, h("strong", {}, "Open"), "Whoever reaches this server can read and change everything. The first key of an admin ends that."),
    h("section", { class: "panel", "aria-label": "Keys" }, trouble, list, foot),
    webhooksPanel(end),
  );
  await read();
}

/** @param {string} what @param {string | null} instant */
const at = (what, instant) => (instant
  ? h("span", { title: utc(instant) }, `${what} ${Date.parse(instant) > Date.now() ? time(instant) : ago((Date.now() - Date.parse(instant)) / 1000)}`)
  : h("span", {}, what === "last used" ? "never used" : "never expires"));
