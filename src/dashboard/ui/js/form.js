// @ts-check
/** Forms: a field with its label and hint, and what the server found wrong said at the field. */

import { fill, h, problemBox } from "./dom.js";
import { seconds } from "./format.js";
import { only } from "./role.js";

let serial = 0;

/**
 * A labelled control.
 * @param {string} label
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} control
 * @param {{pointer?: string, hint?: string, wide?: boolean}} [about] `pointer` is that of the request's value
 */
export function field(label, control, { pointer, hint, wide } = {}) {
  serial += 1;
  control.id ||= `field-${serial}`;
  const fault = h("span", { class: "fault", id: `${control.id}-fault`, hidden: true });
  const about = hint ? h("span", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  control.setAttribute("aria-describedby", [about?.id, fault.id].filter(Boolean).join(" "));
  return h("div", { class: wide ? "field wide" : "field", "data-pointer": pointer }, h("label", { for: control.id }, label), control, about, fault);
}

/** @param {Element} form */
function clear(form) {
  for (const fault of form.querySelectorAll(".fault")) {
    fault.textContent = "";
    /** @type {HTMLElement} */ (fault).hidden = true;
  }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  const box = form.querySelector(".faults");
  if (box) fill(box);
}

/**
 * Says each fault at its field, and the rest above the buttons.
 * @param {Element} form @param {any} error
 */
export function showFaults(form, error) {
  clear(form);
  const rest = [];
  for (const one of error?.errors ?? []) {
    const place = nearest(form, one.pointer ?? "");
    const fault = /** @type {HTMLElement | null | undefined} */ (place?.querySelector(".fault"));
    if (!place || !fault) {
      rest.push(one);
      continue;
    }
    fault.textContent = [fault.textContent, one.detail].filter(Boolean).join("; ");
    fault.hidden = false;
    place.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
  }
  const box = form.querySelector(".faults");
  if (box && (rest.length || !(error?.errors ?? []).length)) fill(box, problemBox({ title: error?.title, detail: error?.detail, errors: rest }));
  const first = /** @type {HTMLElement | null} */ (form.querySelector('[aria-invalid="true"]'));
  // A field inside a closed group could not be seen.
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
}

/** The field of a pointer, or of what holds it. @param {Element} form @param {string} pointer */
function nearest(form, pointer) {
  const known = [...form.querySelectorAll("[data-pointer]")];
  for (let path = pointer; path; path = path.slice(0, path.lastIndexOf("/"))) {
    const found = known.find((element) => element.getAttribute("data-pointer") === path);
    if (found) return found;
  }
  return null;
}

/**
 * A form that is sent once at a time; `needs` is the right that sending takes.
 * @param {{label: string | null, submit: string, send: () => Promise<any>, cancel?: () => void, needs?: import("./role.js").Right}} use
 * @param {...(import("./dom.js").Child | import("./dom.js").Child[])} fields
 */
export function form({ label, submit, send, cancel, needs }, ...fields) {
  const look = { type: "submit", class: "primary" };
  const button = h("button", needs ? only(needs, look) : look, submit);
  const element = h(
    "form",
    { class: "form", "aria-label": label, novalidate: true },
    fields,
    h("div", { class: "faults wide" }),
    h("div", { class: "row wide form-end" }, button, cancel ? h("button", { type: "button", onclick: cancel }, "Cancel") : null),
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    clear(element);
    try {
      await send();
    } catch (error) {
      button.disabled = false;
      showFaults(element, error);
    } finally {
      button.disabled = false;
    }
  });
  return element;
}

/**
 * Asks for some fields in a dialog. Resolves true once `send` has worked.
 * @param {{title: string, detail?: string, submit: string, send: () => Promise<any>}} use
 * @param {...(import("./dom.js").Child | import("./dom.js").Child[])} fields
 * @returns {Promise<boolean>}
 */
export function asked({ title, detail, submit, send }, ...fields) {
  return new Promise((resolve) => {
    serial += 1;
    const name = h("h2", { id: `dialog-${serial}` }, title);
    const body = form({
      label: null,
      submit,
      send: async () => {
        await send();
        dialog.close("yes");
      },
      cancel: () => dialog.close(),
    }, ...fields);
    const dialog = h("dialog", { "aria-labelledby": name.id }, name, detail ? h("p", {}, detail) : null, body);
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A number that was typed, or undefined. @param {HTMLInputElement} input */
export const typed = (input) => (input.value.trim() === "" || !Number.isFinite(Number(input.value)) ? undefined : Number(input.value));

/** Text that was typed, or undefined. @param {HTMLInputElement | HTMLTextAreaElement} input */
export const words = (input) => input.value.trim() || undefined;

/** @param {Record<string, string> | string[]} options @param {string | null} [chosen] @param {Record<string, any>} [attributes] */
export function choice(options, chosen, attributes = {}) {
  const entries = Array.isArray(options) ? options.map((value) => [value, value]) : Object.entries(options);
  return h("select", attributes, entries.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
}

const SIZES = /** @type {Record<string, [number, string]>} */ ({ S: [1, "seconds"], M: [60, "minutes"], H: [3600, "hours"] });

/**
 * A span of time as a number and its unit.
 * @param {string} label
 * @param {string | null | undefined} duration ISO 8601
 * @param {{pointer?: string, hint?: string}} about
 */
export function spanField(label, duration, about) {
  const size = duration ? seconds(duration) : NaN;
  const fitting = Number.isFinite(size) ? (["H", "M"].find((name) => size >= SIZES[name][0] && size % SIZES[name][0] === 0) ?? "S") : "S";
  const count = h("input", { type: "number", min: 0, step: "any", value: Number.isFinite(size) ? size / SIZES[fitting][0] : "" });
  const unit = choice(Object.fromEntries(Object.entries(SIZES).map(([name, [, text]]) => [name, text])), fitting, { "aria-label": `${label}, unit` });
  const element = field(label, count, about);
  const pair = h("span", { class: "pair" });
  count.replaceWith(pair);
  pair.append(count, unit);
  return { element, /** @returns {string | undefined} */ value: () => (typed(count) ? `PT${typed(count)}${unit.value}` : undefined) };
}

/** An instant for an `<input type="datetime-local">`, in local time. @param {number} ms */
export function localText(ms) {
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 19);
}

/** What such an input holds, as RFC 3339. @param {HTMLInputElement} input */
export const instantOf = (input) => (input.value ? new Date(input.value).toISOString() : undefined);

/** @param {number | null} ms @param {Record<string, any>} [attributes] */
export const instantInput = (ms, attributes = {}) => h("input", { type: "datetime-local", step: 1, value: ms === null ? "" : localText(ms), ...attributes });

const WHO = "counterpart.who";

/** Who acts, as they said before. There are no accounts, so it is only a word. */
export function whoField() {
  const input = h("input", { type: "text", maxlength: 200, autocomplete: "name", value: who() ?? "" });
  input.addEventListener("change", () => {
    try {
      localStorage.setItem(WHO, input.value.trim());
    } catch {
      // Without storage it is asked for again.
    }
  });
  return { element: field("Your name", input, { pointer: "/who", hint: "Kept in this browser." }), value: () => words(input) };
}

/** @returns {string | undefined} */
export function who() {
  try {
    return localStorage.getItem(WHO) || undefined;
  } catch {
    return undefined;
  }
}
