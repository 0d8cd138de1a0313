// @ts-check
/**
 * What the key of this browser may do. The server decides; here it is only shown beforehand, so that nobody
 * fills in a form for nothing.
 */

import { api } from "./api.js";
import { h } from "./dom.js";

/** @typedef {"operate" | "administer"} Right to act on what there is, or to change what there is */

/** The roles that have a right, as the server's own table says. @type {Record<Right, string[]>} */
const ROLES = { operate: ["operator", "admin"], administer: ["admin"] };

/** Unknown as long as nobody said: then everything is offered. @type {string | null} */
let role = null;
/** @type {Promise<void> | null} */
let asked = null;

/** Asks the server once who this is. */
export function learnRole() {
  asked ??= api.session().then((session) => void (role = session.role), () => void (asked = null));
  return asked;
}

/** Somebody else may sign in. */
export function forgetRole() {
  role = null;
  asked = null;
}

/** @param {Right} right */
export const may = (right) => role === null || ROLES[right].includes(role);

/** Why not. @param {Right} right */
export const takes = (right) => `This takes a key with the role ${ROLES[right].join(" or ")}; yours has ${role}`;

/**
 * Attributes of a button: where the right is missing it is off and says why.
 * @param {Right} right @param {Record<string, any>} attributes
 */
export const only = (right, attributes) => (may(right) ? attributes : { ...attributes, disabled: true, title: takes(right) });

/**
 * A way to a page that changes something: a link, or a button that is off and says why.
 * @param {Right} right @param {{class: string, href: string}} attributes @param {string} text
 */
export const way = (right, attributes, text) => (may(right) ? h("a", attributes, text) : h("button", only(right, { type: "button", class: attributes.class.replace("button", "").trim() || null }), text));
