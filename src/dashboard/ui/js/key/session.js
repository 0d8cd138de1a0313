// @ts-check
/** Signing in. The key goes into a cookie that no script can read, this one included. */

import { api } from "../api.js";
import { fill, h } from "../dom.js";
import { field, form } from "../form.js";
import { command } from "../welcome.js";

/** What a key of a role may do. */
export const ROLES = /** @type {Record<string, string>} */ ({
  device: "sends telemetry and events, reads nothing",
  reader: "reads, predicts, asks what if",
  operator: "also acts: desired values, scenarios, alarms, labels, jobs, imports",
  admin: "everything, keys included",
});

/** @param {HTMLElement} page @param {() => void} done */
export function signInPage(page, done) {
  document.title = "Sign in · Counterpart";
  const line = h("div", { "data-key-command": "" });
  const show = (/** @type {string} */ text) => fill(line, command(text, "the command that makes a key"));
  show("counterpart key create --name NAME --role reader");
  // The server knows where its database lies.
  api.keyCommand().then((told) => show(told.command), () => {});
  const key = h("input", { type: "password", autocomplete: "current-password", spellcheck: false, required: true });
  const send = async () => {
    await api.signIn(key.value.trim());
    done();
  };
  fill(
    page,
    h("div", { class: "page-head" }, h("h1", {}, "Sign in")),
    h(
      "section",
      { class: "panel narrow-panel", "aria-label": "Sign in" },
      h(
        "div",
        { class: "panel-body" },
        h("p", { class: "words" }, "This server asks for an API key. An admin makes one on the page Keys; on the server's machine, this does:"),
        line,
        form({ label: "Sign in", submit: "Sign in", send }, field("Key", key, { pointer: "/key", wide: true, hint: "It begins with cpk_ and stays in this browser for 30 days, or until you sign out." })),
      ),
    ),
  );
  key.focus();
}

/** Who is signed in, and the way out. @param {{key_needed: boolean, role: string, key: any}} session */
export function standing(session) {
  if (!session.key) return h("p", { class: "facts" }, "No key is needed yet");
  const out = async () => {
    await api.signOut();
    // Everything that was read with the key goes, too.
    location.reload();
  };
  return h(
    "p",
    { class: "facts" },
    h("span", {}, "Signed in as ", h("strong", {}, session.key.name), ` (${session.role}, `, h("code", {}, session.key.prefix), ")"),
    h("button", { type: "button", class: "small", onclick: out }, "Sign out"),
  );
}
