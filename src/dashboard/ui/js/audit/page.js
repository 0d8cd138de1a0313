// @ts-check
/** The audit trail: what was changed or refused and with which key, and what the server did by itself. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { choice, field } from "../form.js";
import { time, utc } from "../format.js";
import { standing } from "../key/session.js";
import { assetLink, here, remember } from "../router.js";
import { stream } from "../stream.js";

const PAGE = 100;
const ACTORS = { "": "all", key: "with a key", open: "without a key", server: "the server itself" };
const ACTS = /** @type {Record<string, string>} */ ({ promote: "let serve", roll_back: "rolled back", fine_tune: "made a job" });
const ACTIONS = { "": "all", POST: "POST", PUT: "PUT", PATCH: "PATCH", DELETE: "DELETE", ...ACTS };
const FILTERS = /** @type {const} */ (["actor", "key", "action", "path"]);

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function auditPage(page, end) {
  document.title = "Audit · Counterpart";
  stream.follow(null);
  const session = await api.session();
  if (end.aborted) return;
  const head = h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Audit"), standing(session)));
  if (session.role !== "admin") {
    fill(page, head, h("section", { class: "panel", "aria-label": "Audit" }, h("p", { class: "panel-body words" }, `Your key has the role ${session.role}. What was changed, and with which key, is shown to a key of an admin; sign out to use another one.`)));
    return;
  }
  const { query } = here();
  const keys = await allKeys();
  if (end.aborted) return;
  const controls = {
    actor: choice(ACTORS, query.get("actor") ?? ""),
    key: choice({ "": "all", ...Object.fromEntries(keys.map((key) => [key.id, `${key.name} (${key.prefix})`])) }, query.get("key") ?? ""),
    action: choice(ACTIONS, query.get("action") ?? ""),
    path: h("input", { type: "search", maxlength: 500, placeholder: "/v1/assets/pump-7", spellcheck: false, autocomplete: "off", value: query.get("path") ?? "" }),
  };
  const rows = h("tbody", {});
  const empty = h("p", { class: "panel-body quiet", hidden: true }, "Nothing in the trail fits these filters.");
  const trouble = h("div", {});
  const more = h("button", { type: "button", class: "small", onclick: () => read(next) }, "Show older ones");
  const foot = h("div", { class: "panel-body", hidden: true }, more);
  /** @type {string | null} */
  let next = null;
  /** Answers to what was asked before no longer count. */
  let asked = 0;

  /** @param {string | null} [cursor] */
  const read = async (cursor = null) => {
    const own = (asked += 1);
    try {
      const found = await api.trail({ ...Object.fromEntries(FILTERS.map((name) => [name, controls[name].value.trim()])), limit: PAGE, cursor });
      if (end.aborted || own !== asked) return;
      fill(trouble);
      if (!cursor) fill(rows);
      rows.append(...found.items.map(row));
      rows.dataset.count = String(rows.childElementCount);
      empty.hidden = rows.childElementCount > 0;
      next = found.next;
      foot.hidden = !next;
    } catch (error) {
      if (!end.aborted && own === asked) fill(trouble, problemBox(error, () => read()));
    }
  };
  for (const name of FILTERS) {
    controls[name].addEventListener("change", () => {
      remember({ [name]: controls[name].value.trim() || null });
      read();
    });
  }
  head.append(h("div", { class: "filters push" }, field("Who", controls.actor), field("Key", controls.key), field("What", controls.action), field("Address begins with", controls.path)));
  fill(
    page,
    head,
    h(
      "section",
      { class: "panel", "aria-label": "Audit" },
      trouble,
      h(
        "div",
        { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Audit trail" },
        h("table", { class: "data", "data-trail": "" }, h("caption", { class: "sr" }, "What was done, the newest first"), h("thead", {}, h("tr", {}, ["When", "Who", "What", "To what", "How it went"].map((text) => h("th", { scope: "col" }, text)))), rows),
      ),
      empty,
      foot,
    ),
  );
  await read();
}

/** Every key there was, for the filter; revoked ones have left entries too. @returns {Promise<any[]>} */
async function allKeys() {
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await api.keys({ limit: 1000, cursor });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return found;
}

/** @param {any} entry */
function row(entry) {
  const who = entry.actor === "server" ? h("strong", {}, "the server") : entry.actor === "open" ? h("span", { class: "quiet" }, "without a key") : h("span", {}, entry.key_name, h("span", { class: "quiet" }, ` (${entry.role})`));
  return h(
    "tr",
    { "data-actor": entry.actor, "data-action": entry.act ?? entry.method },
    h("td", { title: utc(entry.at) }, time(entry.at)),
    h("td", {}, who),
    h("td", {}, entry.act ? ACTS[entry.act] ?? entry.act : h("code", {}, entry.method)),
    h("td", {}, address(entry.path)),
    entry.act ? h("td", { class: "words" }, entry.reason) : h("td", {}, outcome(entry.status)),
  );
}

/** An address, with a way to the asset that it is of. @param {string} path */
function address(path) {
  const asset = /^\/v1\/assets\/([^/]+)/.exec(path)?.[1];
  const code = h("code", {}, path);
  if (!asset) return code;
  try {
    return h("a", { href: assetLink(decodeURIComponent(asset)) }, code);
  } catch {
    return code;
  }
}

/** @param {number | null} status */
function outcome(status) {
  if (status === null) return h("span", { class: "badge", "data-tone": "warn" }, "its client left");
  const tone = status < 300 ? "good" : status < 500 ? "warn" : "bad";
  const words = status === 401 || status === 403 ? "refused" : status < 300 ? "done" : status < 500 ? "not valid" : "failed";
  return h("span", { class: "badge", "data-tone": tone }, `${words}, ${status}`);
}
