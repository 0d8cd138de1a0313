// @ts-check
/** The document of an asset type as a form: its signals in a table, with what is wrong said in the cell. */

import { fill, h } from "../dom.js";
import { choice, field, spanField, typed, words } from "../form.js";
import { baseChoice } from "./base.js";

const ROLES = { control_input: "control input", disturbance: "disturbance", output: "output", state: "state" };
const KINDS = { number: "number", boolean: "boolean", enum: "enum" };

/**
 * @param {{key: string, fixed: boolean, document: any, columns?: boolean}} given `fixed`: the key cannot be changed
 */
export function typeBuilder({ key, fixed, document, columns = false }) {
  const name = h("input", { type: "text", value: key, maxlength: 128, disabled: fixed, spellcheck: "false" });
  const description = h("input", { type: "text", value: document.description ?? "", maxlength: 1000 });
  const interval = spanField("A frame every", document.interval ?? "PT1S", { pointer: "/interval" });
  const classes = h("input", { type: "text", value: (document.health_classes ?? []).join(", "), placeholder: "sound, leaking" });
  const invalid = choice({ refuse: "refuse it", warn: "keep it as uncertain" }, document.on_invalid ?? "refuse");
  const base = columns ? null : baseChoice(document.base_model);
  const body = h("tbody", {});
  /** @type {{column: string | null, value: () => any, element: HTMLElement}[]} */
  let rows = [];

  const settle = () => rows.forEach((row, i) => {
    for (const cell of row.element.querySelectorAll("[data-part]")) cell.setAttribute("data-pointer", `/signals/${i}/${cell.getAttribute("data-part")}`);
  });
  /** @param {any} signal */
  const add = (signal) => {
    const row = signalRow(signal, columns, () => {
      rows = rows.filter((one) => one !== row);
      row.element.remove();
      settle();
    });
    rows.push(row);
    body.append(row.element);
    settle();
    return row;
  };
  /** @param {any[]} signals */
  const replace = (signals) => {
    rows = [];
    fill(body);
    for (const signal of signals) add(signal);
  };
  replace(document.signals ?? []);
  const table = h("div", { class: "table-scroll wide", tabindex: 0, role: "region", "aria-label": "Signals", "data-pointer": "/signals" }, h(
    "table",
    { class: "data signal-table" },
    h("caption", { class: "sr" }, "Signals of the type"),
    h("thead", {}, h("tr", {}, [columns ? "Column" : null, "Signal", "Unit (UCUM)", "Role", "Kind", "Least", "Greatest", "Per second at most", ""].filter((one) => one !== null).map((text) => h("th", { scope: "col" }, text || h("span", { class: "sr" }, "Remove"))))),
    body,
  ), h("span", { class: "fault", hidden: true }));
  return {
    fields: [
      field("Key of the type", name, { pointer: "/key", hint: "Letters, digits and ._:-" }),
      interval.element,
      field("Health classes", classes, { pointer: "/health_classes", hint: "Separated by commas, the sound one first." }),
      field("A value outside its limits", invalid, { pointer: "/on_invalid" }),
      base ? field("Base model", base, { pointer: "/base_model", hint: "What versions of its assets learn on." }) : null,
      field("Description", description, { pointer: "/description", wide: true }),
      table,
      columns ? null : h("div", { class: "wide" }, h("button", { type: "button", class: "small", onclick: () => add({ name: "", role: "output", kind: "number" }).element.querySelector("input")?.focus() }, "Add a signal")),
    ],
    replace,
    /** @param {string} text */
    setInterval: (text) => {
      const fresh = spanField("A frame every", text, { pointer: "/interval" });
      interval.element.replaceWith(fresh.element);
      interval.element = fresh.element;
      interval.value = fresh.value;
    },
    key: () => name.value.trim(),
    /** Columns of a file and the signals that they become. @returns {[string, string][]} */
    mapping: () => rows.flatMap((row) => (row.column === null ? [] : [[row.column, row.value().name]])),
    value: () => ({
      ...(document.attributes?.length ? { attributes: document.attributes } : {}),
      ...(document.responses?.length ? { responses: document.responses } : {}),
      ...(document.template ? { template: document.template } : {}),
      ...(document.end_of_life ? { end_of_life: document.end_of_life } : {}),
      ...(base?.value ? { base_model: base.value } : {}),
      interval: interval.value(),
      description: words(description) ?? null,
      on_invalid: invalid.value,
      health_classes: classes.value.split(",").map((one) => one.trim()).filter(Boolean),
      signals: rows.map((row) => row.value()),
    }),
  };
}

/** @param {any} signal @param {boolean} columns @param {() => void} remove */
function signalRow(signal, columns, remove) {
  const said = () => name.value || signal.column || "new signal";
  const name = h("input", { type: "text", value: signal.name, maxlength: 128, spellcheck: "false", "aria-label": "Name of the signal" });
  const unit = h("input", { type: "text", value: signal.unit ?? "", "aria-label": `Unit of ${said()}`, spellcheck: "false" });
  const role = choice(ROLES, signal.role, { "aria-label": `Role of ${said()}` });
  const kind = choice(KINDS, typeof signal.kind === "string" ? signal.kind : "number", { "aria-label": `Kind of ${said()}` });
  const labels = h("input", { type: "text", value: (signal.labels ?? []).join(", "), placeholder: "off, low, high", "aria-label": `Labels of ${said()}` });
  const limit = (/** @type {string} */ part, /** @type {string} */ text) => h("input", { type: "number", step: "any", value: signal[part] ?? "", "aria-label": `${text} of ${said()}` });
  const min = limit("min", "Least value");
  const max = limit("max", "Greatest value");
  const rate = limit("max_rate", "Greatest change per second");
  const cell = (/** @type {string} */ part, /** @type {HTMLElement[]} */ ...controls) => h("td", { "data-part": part }, controls, h("span", { class: "fault", hidden: true }));
  const shown = () => {
    labels.hidden = kind.value !== "enum";
    for (const input of [min, max, rate]) input.disabled = kind.value !== "number";
    unit.disabled = kind.value !== "number";
  };
  kind.addEventListener("change", shown);
  shown();
  const element = h(
    "tr",
    {},
    columns ? h("th", { scope: "row" }, signal.column) : null,
    cell("name", name),
    cell("unit", unit),
    cell("role", role),
    h("td", { "data-part": "kind" }, kind, h("span", { class: "fault", hidden: true }), h("div", { "data-part": "labels" }, labels, h("span", { class: "fault", hidden: true }))),
    cell("min", min),
    cell("max", max),
    cell("max_rate", rate),
    h("td", {}, h("button", { type: "button", class: "small bare", "aria-label": columns ? `Leave out ${said()}` : `Remove ${said()}`, onclick: remove }, "×")),
  );
  return {
    element,
    column: signal.column ?? null,
    value: () => {
      const number = kind.value === "number";
      return {
        name: name.value.trim(),
        role: role.value,
        kind: kind.value,
        ...(number && unit.value.trim() ? { unit: unit.value.trim() } : {}),
        ...(kind.value === "enum" ? { labels: labels.value.split(",").map((one) => one.trim()).filter(Boolean) } : {}),
        ...(number && typed(min) !== undefined ? { min: typed(min) } : {}),
        ...(number && typed(max) !== undefined ? { max: typed(max) } : {}),
        ...(number && typed(rate) !== undefined ? { max_rate: typed(rate) } : {}),
        ...(signal.interval ? { interval: signal.interval } : {}),
        ...(signal.description ? { description: signal.description } : {}),
      };
    },
  };
}
