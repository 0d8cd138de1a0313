// @ts-check
/** What if an input were set otherwise: the present future beside the changed one, while dragging. */

import { lastKnown, numeric } from "../align.js";
import { api, kindOf } from "../api.js";
import { changeEditor } from "./change.js";
import { fill, h, problemBox, say } from "../dom.js";
import { span, time } from "../format.js";
import { latest } from "./latest.js";
import { outcomePanel } from "./outcome.js";
import { fromText, reach, request, suggestion, toText } from "./plan.js";
import { here, remember } from "../router.js";

/** With "follow the live state" on, a new forecast computes the what-if again at most this often. */
const FOLLOW_MS = 3000;
/** Steps that the server looks ahead at most. */
const MAX_HORIZON = 512;

/** @param {import("../feed.js").Feed} feed */
export function whatIfPanel(feed) {
  const signals = feed.type.signals.filter((signal) => signal.role === "control_input");
  const computed = h("span", { class: "quiet small push", role: "status" });
  const controls = h("form", { class: "controls", "aria-label": "Changes", onsubmit: (/** @type {Event} */ event) => event.preventDefault() });
  const trouble = h("div", {});
  const outcome = outcomePanel(feed);
  const hint = h("p", { class: "panel-body quiet" }, signals.length ? "It begins as soon as there are readings to start from." : "The type of this asset has no control input, so there is nothing to change.");
  const body = h("div", { class: "what-if", hidden: true }, controls, h("div", { class: "outcome" }, trouble, outcome.element));
  const element = h("section", { class: "panel", "aria-label": "What if", "data-panel": "what-if" }, h("div", { class: "panel-head" }, h("h2", {}, "What if"), computed), hint, body);

  /** @type {import("./plan.js").Change[]} */
  let changes = [];
  let horizon = 60;
  // The curve goes on following the hand where the asset could not; what was used instead is said.
  let clamp = here().query.get("clamp") !== "0";
  let follow = true;
  let begun = false;

  const work = latest(async (signal) => {
    const started = performance.now();
    try {
      const answer = await api.whatIf(feed.asset.key, request(changes, horizon, clamp), signal);
      if (signal.aborted || feed.end.aborted) return;
      fill(trouble);
      outcome.show(answer, changes.map((change) => change.signal));
      const took = performance.now() - started;
      element.dataset.tookMs = took.toFixed(1);
      say(computed, `from the state of ${time(answer.state?.observed_at)}, answered in ${span(took / 1000)}`);
    } catch (error) {
      if (signal.aborted || feed.end.aborted) return;
      fill(trouble, problemBox(error));
      outcome.fade();
    }
  });

  const edited = () => {
    remember({ change: toText(changes), horizon, clamp: clamp ? null : 0 });
    work.ask();
  };
  /** @param {import("../api.js").Signal} signal */
  const suggested = (signal) => {
    const { kind, labels } = kindOf(signal);
    const seen = feed.history.values.get(signal.name) ?? [];
    const present = lastKnown(seen) ?? numeric(feed.state?.reported?.[signal.name]?.value, labels) ?? 0;
    return suggestion(signal, reach(signal, kind, labels.length, seen), present, feed.interval, horizon);
  };

  const build = () => {
    const free = signals.filter((signal) => !changes.some((change) => change.signal === signal.name));
    const steps = h("input", { type: "number", id: "what-if-horizon", min: 1, max: MAX_HORIZON, step: 1, value: horizon });
    const inTime = h("span", { class: "small quiet" }, `= ${span(horizon * feed.interval)}`);
    steps.addEventListener("input", () => {
      const value = steps.valueAsNumber;
      const fits = Number.isInteger(value) && value > 0 && value <= MAX_HORIZON;
      steps.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      for (const change of changes) {
        if (change.to === horizon || change.to > value) change.to = value;
        if (change.from >= change.to) change.from = 0;
      }
      horizon = value;
      say(inTime, `= ${span(horizon * feed.interval)}`);
      edited();
    });
    steps.addEventListener("change", build);
    /** @param {string} text @param {boolean} on @param {(on: boolean) => void} act */
    const check = (text, on, act) => {
      const box = h("input", { type: "checkbox", checked: on, onchange: () => act(box.checked) });
      return h("label", { class: "check" }, box, text);
    };
    fill(
      controls,
      changes.map((change, i) =>
        changeEditor(feed, change, {
          signals: signals.filter((signal) => signal.name === change.signal || free.includes(signal)),
          horizon: () => horizon,
          edited,
          replaced: (name) => {
            changes[i] = suggested(/** @type {import("../api.js").Signal} */ (signals.find((signal) => signal.name === name)));
            build();
            edited();
            controls.querySelectorAll("select")[i * 2]?.focus();
          },
          removed: changes.length > 1 ? () => { changes.splice(i, 1); build(); edited(); } : null,
        }),
      ),
      free.length ? h("div", {}, h("button", { type: "button", class: "small", onclick: () => { changes.push(suggested(free[0])); build(); edited(); } }, "Change another input")) : null,
      h("div", { class: "fields" }, h("label", { class: "field" }, h("span", {}, "Horizon, steps"), steps), h("p", { class: "beside" }, inTime)),
      check("Keep inputs within their limits and rates", clamp, (on) => { clamp = on; edited(); }),
      check("Follow the live state", follow, (on) => { follow = on; if (on) work.ask(); }),
    );
  };

  const begin = () => {
    if (begun || !signals.length || feed.now === null || !feed.history.t.length) return;
    begun = true;
    const { query } = here();
    const asked = Number(query.get("horizon"));
    horizon = Number.isInteger(asked) && asked > 0 && asked <= MAX_HORIZON ? asked : feed.prediction?.timestamps.length || horizon;
    changes = fromText(query.get("change"), (name) => signals.some((signal) => signal.name === name));
    if (!changes.length) changes = [suggested(signals[0])];
    hint.hidden = true;
    body.hidden = false;
    build();
    work.ask();
  };

  let last = 0;
  feed.on("history", () => feed.prediction && begin());
  feed.on("prediction", () => {
    begin();
    const now = performance.now();
    if (!begun || !follow || now - last < FOLLOW_MS || document.hidden) return;
    last = now;
    work.ask();
  });
  feed.end.addEventListener("abort", () => {
    work.cancel();
    outcome.destroy();
  });
  return element;
}
