// @ts-check
/** The control inputs of a what-if: a chart each with knots to drag, and the same numbers to type. */

import { lastKnown, sideBySide } from "../align.js";
import { kindOf } from "../api.js";
import { Chart } from "../chart.js";
import { fill, h, say } from "../dom.js";
import { quantity, span, unit } from "../format.js";
import { addKnot, courseFrom, courseValues, moveKnot, SHAPES } from "./course.js";
import { Knots } from "./knots.js";
import { farther, MOST, reach, slowest } from "./plan.js";

/**
 * @typedef {{t: number[], now: number, from: number, base: (name: string) => (number | null)[], past: (name: string) => {t: number[], values: (number | null)[]}}} Basis
 *   what the newest answer stands on: instants of the steps, inputs of the baseline, what was measured before
 * @typedef {{feed: import("../feed.js").Feed, plan: () => import("./plan.js").Plan, active: () => number, basis: () => Basis | null, edited: () => void, held: (held: boolean) => void}} Use
 */

/** @param {Use} use */
export function inputsEditor(use) {
  const signals = use.feed.type.signals.filter((signal) => signal.role === "control_input");
  const editors = signals.map((signal) => inputEditor(signal, use));
  const element = h("div", { class: "inputs" }, editors.map((editor) => editor.element));
  return {
    element,
    draw: () => editors.forEach((editor) => editor.draw()),
    /** After another scenario was chosen, or knots came from elsewhere. */
    rebuild: () => {
      element.dataset.active = String(use.active());
      for (const editor of editors) {
        editor.rows();
        editor.draw();
      }
    },
    destroy: () => editors.forEach((editor) => editor.destroy()),
  };
}

/** Keeps knots within a horizon that has become shorter. @param {import("./plan.js").Plan} plan */
export function within(plan) {
  for (const { courses } of plan.scenarios) {
    for (const course of Object.values(courses)) {
      const inside = course.knots.filter(([step]) => step < plan.horizon);
      course.knots = inside.length ? inside : [[0, course.knots[0][1]]];
    }
  }
}

/** @param {import("../api.js").Signal} signal @param {Use} use */
function inputEditor(signal, use) {
  const { feed } = use;
  const { kind, labels } = kindOf(signal);
  const scenario = () => use.plan().scenarios[use.active()];
  const course = () => scenario()?.courses[signal.name];
  const present = () => {
    const base = use.basis()?.base(signal.name)[0];
    return base ?? lastKnown(feed.history.values.get(signal.name) ?? []) ?? 0;
  };
  /** Fixed while a knot is held, so that the chart does not move under the hand. @type {{min: number, max: number, step: number} | null} */
  let grip = null;
  const limits = () => grip ?? reach(signal, kind, labels.length, [...(feed.history.values.get(signal.name) ?? []), ...(course()?.knots ?? []).map(([, value]) => value)]);

  const own = () => {
    const found = course();
    if (found) return found;
    return (scenario().courses[signal.name] = { shape: "step", knots: [[0, present()]] });
  };
  let frame = 0;
  const soon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
      values();
    });
  };
  const knots = new Knots({
    signal,
    labels,
    interval: feed.interval,
    reach: limits,
    knots: () => course()?.knots ?? [[0, present()]],
    ghost: () => !course(),
    at: (step) => (use.basis()?.t[0] ?? 0) + step * feed.interval,
    step: (t) => {
      const basis = use.basis();
      return basis ? Math.max(0, Math.min(use.plan().horizon - 1, Math.round((t - basis.t[0]) / feed.interval))) : 0;
    },
    move: (index, step, value) => {
      const had = Boolean(course());
      moveKnot(own(), index, step, value, use.plan().horizon);
      if (!had) rows();
      soon();
      use.edited();
    },
    add: (step, value) => {
      const index = addKnot(own(), step, value);
      rows();
      draw();
      use.edited();
      return index;
    },
    remove: (index) => remove(index),
    done: () => values(),
    held: (held) => {
      grip = held ? limits() : null;
      use.held(held);
    },
  });
  const chart = new Chart({
    title: `${signal.name}: its course`,
    unit: signal.unit,
    labels,
    height: 128,
    head: false,
    edited: true,
    sync: `what-if ${feed.asset.key}`,
    range: () => {
      if (labels.length) return [-0.2, labels.length - 0.8];
      const { min, max } = limits();
      const room = (max - min) * 0.06 || 1;
      return [min - room, max + room];
    },
    lines: [
      { label: "measured", color: "measured", step: true },
      { label: "unchanged", color: "baseline", dash: [5, 4], step: true },
      ...Array.from({ length: MOST }, (_, i) => ({ label: `scenario ${i + 1}`, color: `series-${i + 1}`, width: 1.8, step: true })),
    ],
    onready: (u) => knots.attach(u),
    ondraw: () => knots.place(),
  });
  const title = h("h3", {}, signal.name, h("span", { class: "unit" }, ` ${unit(signal.unit)}`));
  const now = h("span", { class: "small quiet" });
  const editor = h("div", { class: "knot-rows" });
  const hint = h("p", { class: "small quiet" });
  const element = h("section", { class: "input-editor", "aria-label": `Course of ${signal.name}`, "data-input": signal.name }, h("div", { class: "row input-head" }, title, now), chart.element, editor, hint);

  const draw = () => {
    const basis = use.basis();
    if (!basis) return;
    const { horizon, scenarios } = use.plan();
    const base = basis.base(signal.name).slice(0, horizon);
    const past = basis.past(signal.name);
    const courses = Array.from({ length: MOST }, (_, i) => {
      const own = scenarios[i]?.courses[signal.name];
      return own ? courseValues(own, horizon).map((value, step) => value ?? base[step]) : [];
    });
    chart.set({ ...sideBySide([{ t: past.t, columns: [past.values] }, { t: basis.t.slice(0, horizon), columns: [base, ...courses] }]), from: basis.from, to: basis.t[Math.min(horizon, basis.t.length) - 1], now: basis.now });
    say(now, `now ${quantity(present(), signal.unit, labels)}`);
  };
  /** @param {number} index */
  const remove = (index) => {
    const found = course();
    if (!found) return;
    found.knots.splice(index, 1);
    if (!found.knots.length) delete scenario().courses[signal.name];
    rows();
    draw();
    use.edited();
  };
  /** @type {{step: HTMLInputElement, value: HTMLInputElement}[]} */
  let fields = [];
  /** Writes into the fields what the knots are now, without touching the one that is typed in. */
  const values = () => {
    const found = course();
    fields.forEach(({ step, value }, i) => {
      const knot = found?.knots[i];
      if (!knot) return;
      if (document.activeElement !== step) step.value = String(knot[0]);
      if (document.activeElement !== value) value.value = String(+knot[1].toPrecision(6));
    });
    told();
  };
  const told = () => {
    const found = course();
    const way = found?.knots.length === 1 ? slowest(signal, present(), found.knots[0][1], feed.interval) : 1;
    say(hint, way > 1 ? `${signal.name} may not move so fast: it needs ${way} steps, ${span(way * feed.interval)}.` : "");
  };
  const rows = () => {
    const found = course();
    const shape = h(
      "select",
      {
        "aria-label": `Shape of ${signal.name}`,
        "data-shape": "",
        onchange: () => {
          if (!scenario()) return;
          if (shape.value === "") delete scenario().courses[signal.name];
          else {
            const target = course()?.knots.map(([, value]) => value).reduce((best, value) => (Math.abs(value - present()) > Math.abs(best - present()) ? value : best)) ?? farther(limits(), present(), feed.history.values.get(signal.name) ?? []);
            const wanted = /** @type {import("./course.js").Shape} */ (shape.value);
            scenario().courses[signal.name] = courseFrom(wanted, present(), target === present() ? farther(limits(), present(), feed.history.values.get(signal.name) ?? []) : target, use.plan().horizon, slowest(signal, present(), target, feed.interval));
          }
          rows();
          draw();
          use.edited();
          editor.querySelector("select")?.focus();
        },
      },
      h("option", { value: "", selected: !found }, "Unchanged"),
      Object.entries(SHAPES).filter(([name]) => kind === "number" || (name !== "ramp" && name !== "line")).map(([name, text]) => h("option", { value: name, selected: found?.shape === name }, text)),
    );
    fields = (found?.knots ?? []).map((knot, i) => ({
      step: number(`Step of knot ${i + 1} of ${signal.name}`, knot[0], { min: 0, max: use.plan().horizon - 1, step: 1 }, (value) => moveKnot(own(), i, value, own().knots[i][1], use.plan().horizon)),
      value: number(`Value of knot ${i + 1} of ${signal.name}`, +knot[1].toPrecision(6), { step: "any", "data-value": "" }, (value) => moveKnot(own(), i, own().knots[i][0], value, use.plan().horizon)),
    }));
    fill(
      editor,
      h("div", { class: "row" }, shape, found ? h("button", { type: "button", class: "small", "aria-label": `Add a knot to ${signal.name}`, onclick: () => {
        const last = found.knots[found.knots.length - 1];
        addKnot(found, Math.min(use.plan().horizon - 1, last[0] + Math.max(1, Math.round(use.plan().horizon / 6))), last[1]);
        rows();
        draw();
        use.edited();
      } }, "Add a knot") : null),
      fields.map(({ step, value }, i) => h("div", { class: "knot-row" }, h("span", { class: "small quiet" }, "at step"), step, h("span", { class: "small quiet" }, i && (found?.shape === "ramp" || found?.shape === "line") ? "reaches" : "is"), value, h("button", { type: "button", class: "small bare", "aria-label": `Remove knot ${i + 1} of ${signal.name}`, onclick: () => remove(i) }, "×"))),
    );
    told();
  };
  /** @param {string} name @param {number} value @param {Record<string, any>} attributes @param {(value: number) => void} set */
  const number = (name, value, attributes, set) => {
    const input = h("input", { type: "number", "aria-label": name, value, ...attributes });
    input.addEventListener("input", () => {
      const fits = input.value !== "" && Number.isFinite(input.valueAsNumber);
      input.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      set(input.valueAsNumber);
      soon();
      use.edited();
    });
    return input;
  };
  rows();
  return {
    element,
    draw,
    rows,
    destroy: () => {
      cancelAnimationFrame(frame);
      chart.destroy();
    },
  };
}
