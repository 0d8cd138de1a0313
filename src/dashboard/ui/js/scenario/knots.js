// @ts-check
/**
 * The knots of a course as handles on its chart: dragged with a pointer, or moved with the arrow
 * keys (up and down the value, left and right the step; Delete removes, Enter adds one after it).
 */

import { h } from "../dom.js";
import { quantity, span } from "../format.js";

/**
 * @typedef {{
 *   signal: import("../api.js").Signal, labels: string[], interval: number,
 *   reach: () => {min: number, max: number, step: number},
 *   knots: () => import("./course.js").Knot[], ghost: () => boolean,
 *   at: (step: number) => number, step: (t: number) => number,
 *   move: (index: number, step: number, value: number) => void,
 *   add: (step: number, value: number) => number, remove: (index: number) => void, done: () => void,
 *   held: (held: boolean) => void,
 * }} Hand what the handles hold; `at` is the instant of a step
 */

export class Knots {
  /** @param {Hand} hand */
  constructor(hand) {
    this.hand = hand;
    /** @type {any} */
    this.u = null;
    /** @type {HTMLElement[]} */
    this.handles = [];
  }

  /** @param {any} u of uPlot */
  attach(u) {
    this.u = u;
    this.handles = [];
    u.over.addEventListener("dblclick", (/** @type {MouseEvent} */ event) => {
      if (/** @type {Element} */ (event.target).closest(".knot")) return;
      const box = u.over.getBoundingClientRect();
      this.hand.add(this.hand.step(u.posToVal(event.clientX - box.left, "x")), this.snapped(u.posToVal(event.clientY - box.top, "y")));
      this.hand.done();
    });
    this.place();
  }

  /** Puts the handles where the knots are. */
  place() {
    const { u, hand } = this;
    if (!u) return;
    const knots = hand.knots();
    while (this.handles.length > knots.length) this.handles.pop()?.remove();
    while (this.handles.length < knots.length) this.handles.push(this.handle(this.handles.length));
    const { min, max } = hand.reach();
    knots.forEach(([step, value], i) => {
      const handle = this.handles[i];
      if (handle.parentElement !== u.over) u.over.append(handle);
      // Set by script, which the policy allows; a style attribute it would not.
      handle.style.left = `${u.valToPos(hand.at(step), "x")}px`;
      handle.style.top = `${u.valToPos(value, "y")}px`;
      handle.classList.toggle("ghost", hand.ghost());
      const said = `${quantity(value, hand.signal.unit, hand.labels)} from ${step === 0 ? "now" : `+${span(step * hand.interval)}`}`;
      if (handle.getAttribute("aria-valuetext") === said) return;
      for (const [name, text] of Object.entries({ "aria-label": `${hand.signal.name}, knot ${i + 1} of ${knots.length}`, "aria-valuemin": min, "aria-valuemax": max, "aria-valuenow": +value.toPrecision(6), "aria-valuetext": said })) handle.setAttribute(name, String(text));
      handle.title = said;
    });
  }

  /** @param {number} value */
  snapped(value) {
    const { min, max, step } = this.hand.reach();
    return Math.min(max, Math.max(min, +(Math.round(value / step) * step).toPrecision(6)));
  }

  /** @param {number} index */
  handle(index) {
    const { hand } = this;
    const handle = h("div", { class: "knot", role: "slider", tabindex: 0, "aria-orientation": "vertical", "data-knot": hand.signal.name });
    let dragging = false;
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      dragging = true;
      hand.held(true);
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
      event.stopPropagation();
    });
    handle.addEventListener("mousedown", (event) => event.stopPropagation());
    handle.addEventListener("pointermove", (event) => {
      if (!dragging) return;
      const box = this.u.over.getBoundingClientRect();
      hand.move(index, hand.step(this.u.posToVal(event.clientX - box.left, "x")), this.snapped(this.u.posToVal(event.clientY - box.top, "y")));
    });
    const drop = () => {
      if (!dragging) return;
      dragging = false;
      hand.held(false);
      hand.done();
    };
    handle.addEventListener("pointerup", drop);
    handle.addEventListener("pointercancel", drop);
    handle.addEventListener("keydown", (event) => {
      const [step, value] = hand.knots()[index] ?? [0, 0];
      const size = hand.reach().step * (event.shiftKey ? 10 : 1);
      const jump = event.shiftKey ? 5 : 1;
      const { min, max } = hand.reach();
      const keys = /** @type {Record<string, () => void>} */ ({
        ArrowUp: () => hand.move(index, step, this.snapped(value + size)),
        ArrowDown: () => hand.move(index, step, this.snapped(value - size)),
        ArrowRight: () => hand.move(index, step + jump, value),
        ArrowLeft: () => hand.move(index, step - jump, value),
        Home: () => hand.move(index, step, min),
        End: () => hand.move(index, step, max),
        Delete: () => hand.remove(index),
        Enter: () => this.focus(hand.add(step + 5, value)),
      });
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
      hand.done();
    });
    return handle;
  }

  /** @param {number} index */
  focus(index) {
    this.place();
    this.handles[index]?.focus();
  }
}
