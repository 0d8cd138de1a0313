// @ts-check
/** The bar above the charts: how long a stretch, which one, and back to the newest. */

import { fill, h, problemBox, say } from "../dom.js";
import { span, time, utc } from "../format.js";
import { presets } from "./view.js";
import { usualWindow } from "./windows.js";

/** What the arrow keys and buttons move by, in windows. */
const STEP = 0.5;

/** @param {import("./view.js").View} view */
export function rangeBar(view) {
  const { feed } = view;
  const choices = h("span", { class: "segments", role: "group", "aria-label": "Shown span of time" });
  const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) => h("button", { type: "button", class: "small", "aria-label": name, title: name, onclick: act }, text);
  const earlier = button("◀", "Earlier", () => view.pan(-STEP));
  const later = button("▶", "Later", () => view.pan(STEP));
  const closer = button("+", "Zoom in", () => view.zoom(0.5));
  const wider = button("−", "Zoom out", () => view.zoom(2));
  const live = h("button", { type: "button", class: "small range-live", onclick: () => view.show(view.window, null) }, "Back to live");
  const words = h("span", { class: "small quiet range-words", role: "status" });
  const trouble = h("div", {});
  const element = h("div", {}, h("div", { class: "range-bar", "data-view": "live" }, choices, h("span", { class: "segments" }, earlier, later), h("span", { class: "segments" }, wider, closer), live, words), trouble);
  let offered = "";
  const draw = () => {
    const usual = usualWindow(feed.interval);
    const all = presets(feed.interval, view.extent, usual);
    const pressed = (/** @type {number} */ window) => String(!view.whole && Math.abs(view.window - window) < 1e-6 * window);
    if (all.join() !== offered) {
      offered = all.join();
      const focused = document.activeElement instanceof HTMLElement && choices.contains(document.activeElement) ? document.activeElement.dataset.window : undefined;
      fill(
        choices,
        all.map((window) => h("button", { type: "button", class: "small", "data-window": window, onclick: () => view.show(window, view.until) }, span(window))),
        h("button", { type: "button", class: "small", "data-window": "all", onclick: () => view.all() }, "All"),
      );
      if (focused) /** @type {HTMLElement | null} */ (choices.querySelector(`[data-window="${focused}"]`))?.focus();
    }
    for (const one of choices.querySelectorAll("button")) one.setAttribute("aria-pressed", one.dataset.window === "all" ? String(view.whole) : pressed(Number(one.dataset.window)));
    live.hidden = view.live;
    later.disabled = view.live;
    earlier.disabled = !view.canGoBack;
    const { from, to } = view.range();
    const bar = /** @type {HTMLElement} */ (element.firstElementChild);
    bar.dataset.view = view.live ? "live" : "past";
    bar.dataset.from = String(from);
    bar.dataset.to = String(to);
    const empty = !view.live && !view.loading && !view.problem && !view.history.t.length;
    say(words, view.live ? `live, ${view.whole ? "all" : "the last"} ${span(view.window)}` : `${time(from * 1000)} to ${time(to * 1000)}${view.loading ? ", reading…" : empty ? ": no readings in this stretch" : ""}`);
    words.title = view.live ? "" : `${utc(from * 1000)} to ${utc(to * 1000)}`;
    if (view.problem) fill(trouble, h("div", { class: "panel-body" }, problemBox(view.problem, () => view.again())));
    else if (trouble.childElementCount) fill(trouble);
  };
  view.on(draw);
  feed.on("state", () => view.first === null && draw());
  // How far ahead it goes is known with the forecast.
  feed.on("prediction", draw);
  draw();
  return element;
}

/** The same by keys, on whatever has the focus inside. @param {HTMLElement} element @param {import("./view.js").View} view */
export function rangeKeys(element, view) {
  const acts = /** @type {Record<string, () => void>} */ ({
    ArrowLeft: () => view.canGoBack && view.pan(-STEP),
    ArrowRight: () => view.live || view.pan(STEP),
    Home: () => view.first !== null && view.show(view.window, view.first + view.window),
    End: () => view.show(view.window, null),
    "+": () => view.zoom(0.5),
    "-": () => view.zoom(2),
  });
  element.addEventListener("keydown", (event) => {
    const act = event.target === element && !event.ctrlKey && !event.metaKey && !event.altKey ? acts[event.key] : undefined;
    if (!act) return;
    event.preventDefault();
    act();
  });
}
