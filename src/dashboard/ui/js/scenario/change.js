// @ts-check
/** The editor of one change of a what-if: which input, how, to what, from when to when. */

import { kindOf } from "../api.js";
import { h, say } from "../dom.js";
import { number, quantity, span, unit } from "../format.js";
import { lastKnown } from "../align.js";
import { OPS, reach, slowest } from "./plan.js";

let serial = 0;

/**
 * @param {import("../feed.js").Feed} feed
 * @param {import("./plan.js").Change} change is edited in place
 * @param {{signals: import("../api.js").Signal[], horizon: () => number, edited: () => void, replaced: (signal: string) => void, removed: (() => void) | null}} use
 */
export function changeEditor(feed, change, use) {
  serial += 1;
  const id = (/** @type {string} */ part) => `change-${serial}-${part}`;
  const signal = /** @type {import("../api.js").Signal} */ (use.signals.find((s) => s.name === change.signal));
  const { kind, labels } = kindOf(signal);
  const seen = feed.history.values.get(signal.name) ?? [];
  const present = lastKnown(seen) ?? 0;
  const limits = reach(signal, kind, labels.length, seen);
  const hint = h("p", { class: "small quiet", id: id("hint") });

  const told = () => {
    const when = `from ${change.from === 0 ? "now" : `+${span(change.from * feed.interval)}`} to +${span(change.to * feed.interval)}`;
    const steps = slowest(signal, present, change.value, feed.interval);
    const given = change.op === "ramp" ? change.to - change.from : 1;
    const tooFast = steps > given ? ` This is faster than ${signal.name} may move: it needs ${steps} steps.` : "";
    const label = labels.length ? ` ${quantity(change.value, "", labels)},` : "";
    say(hint, `Now ${quantity(present, signal.unit, labels)};${label} ${when}${change.op === "ramp" ? ", then held" : ""}.${tooFast}`);
  };
  const edited = () => {
    told();
    use.edited();
  };

  const slider = h("input", { type: "range", id: id("slider"), min: limits.min, max: limits.max, step: limits.step, "aria-describedby": id("hint"), "data-what-if": "slider" });
  const field = h("input", { type: "number", id: id("value"), step: "any", "aria-describedby": id("hint"), "data-what-if": "value" });
  const show = () => {
    slider.value = String(change.value);
    slider.setAttribute("aria-valuetext", quantity(change.value, signal.unit, labels));
  };
  slider.addEventListener("input", () => {
    change.value = Number(slider.value);
    field.value = String(+change.value.toPrecision(6));
    slider.setAttribute("aria-valuetext", quantity(change.value, signal.unit, labels));
    edited();
  });
  field.addEventListener("input", () => {
    if (field.value === "" || !Number.isFinite(field.valueAsNumber)) return;
    change.value = field.valueAsNumber;
    show();
    edited();
  });
  field.value = String(+change.value.toPrecision(6));
  show();

  /** @param {"from" | "to"} which @param {string} text */
  const step = (which, text) => {
    const input = h("input", { type: "number", id: id(which), min: which === "from" ? 0 : 1, max: use.horizon(), step: 1, value: change[which] });
    input.addEventListener("input", () => {
      const value = input.valueAsNumber;
      const fits = Number.isInteger(value) && value >= 0 && (which === "from" ? value < change.to : value > change.from);
      input.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      change[which] = value;
      edited();
    });
    return h("label", { class: "field" }, h("span", {}, text), input);
  };

  const inputs = h(
    "select",
    { id: id("signal"), "data-what-if": "signal", onchange: () => use.replaced(inputs.value) },
    use.signals.map((s) => h("option", { value: s.name, selected: s.name === change.signal }, unit(s.unit) ? `${s.name} (${unit(s.unit)})` : s.name)),
  );
  const shapes = h(
    "select",
    {
      id: id("op"),
      onchange: () => {
        change.op = /** @type {"set" | "ramp"} */ (shapes.value);
        edited();
      },
    },
    Object.entries(OPS).map(([op, text]) => h("option", { value: op, selected: op === change.op }, text)),
  );
  told();
  return h(
    "div",
    { class: "change", role: "group", "aria-label": `Change of ${signal.name}` },
    h(
      "div",
      { class: "change-head" },
      h("label", { class: "field" }, h("span", {}, "Control input"), inputs),
      use.removed ? h("button", { type: "button", class: "bare", onclick: use.removed, "aria-label": `Remove the change of ${signal.name}` }, "Remove") : null,
    ),
    h(
      "div",
      { class: "slider" },
      h("label", { class: "sr", for: id("slider") }, `Value of ${signal.name}, slider`),
      h("label", { class: "sr", for: id("value") }, `Value of ${signal.name}, number`),
      slider,
      field,
      h("span", { class: "ends", "aria-hidden": "true" }, h("span", {}, number(limits.min)), h("span", {}, number(limits.max))),
      h("span", { class: "small quiet" }, unit(signal.unit)),
    ),
    h("div", { class: "fields" }, h("label", { class: "field" }, h("span", {}, "Shape"), shapes), step("from", "From step"), step("to", "To step")),
    hint,
  );
}
