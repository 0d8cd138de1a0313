// @ts-check
/** What if inputs were set otherwise: up to six futures beside the unchanged one, while dragging. */

import { instant, lastKnown, numeric } from "../align.js";
import { api, kindOf } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { instantInput, instantOf } from "../form.js";
import { span, time, trust } from "../format.js";
import { here, remember } from "../router.js";
import { aimsEditor } from "./aims.js";
import { comparePanel } from "./compare.js";
import { courseFrom } from "./course.js";
import { csv, download, png } from "./export.js";
import { inputsEditor, within } from "./inputs.js";
import { latest } from "./latest.js";
import { outcomePanel, stepsOf } from "./outcome.js";
import { Past } from "./past.js";
import { farther, fromQuery, MAX_HORIZON, reach, request, slowest, toQuery } from "./plan.js";
import { asOutcome } from "./retro.js";
import { seekPanel } from "./seek.js";
import { shelf } from "./shelf.js";

/** With "follow the live state" on, a new forecast computes the what-if again at most this often. */
const FOLLOW_MS = 3000;
const BUSY_MS = 1500;
/** Share of the horizon of measured past that is shown before "now". */
const BEFORE = 0.35;
/** An asset with fewer outputs than this is compared by all their means at first. */
const FIRST_KPIS = 3;

/** @param {import("../feed.js").Feed} feed */
export function whatIfPanel(feed) {
  const signals = feed.type.signals.filter((signal) => signal.role === "control_input");
  const outputs = feed.type.signals.filter((signal) => signal.role === "output");
  /** @type {import("./plan.js").Plan} */
  let plan = { scenarios: [], horizon: 60, clamp: true, limits: [], kpis: [], rank: null, asOf: null };
  let active = 0;
  let begun = false;
  let follow = true;
  let held = false;
  /** @type {any} */
  let answer = null;
  /** @type {import("./inputs.js").Basis | null} */
  let basis = null;
  const past = new Past(feed);

  const use = {
    feed,
    plan: () => plan,
    active: () => active,
    basis: () => basis,
    edited: () => edited(),
    held: (/** @type {boolean} */ is) => {
      held = is;
      if (!held) work.ask();
    },
    choose: (/** @type {number} */ index) => {
      active = Math.min(index, plan.scenarios.length - 1);
      redraw();
    },
    changed: () => {
      redraw();
      edited();
    },
    add: () => books.put({ name: `Scenario ${plan.scenarios.length + 1}`, courses: suggested(plan.scenarios.length), fixed: [], saved: null }),
  };
  const inputs = inputsEditor(use);
  const outcome = outcomePanel(feed, use);
  const compare = comparePanel(feed, use);
  const aims = aimsEditor(feed, use);
  const books = shelf(feed, use);
  const seek = seekPanel(feed, { plan: () => plan, found: (scenario) => books.put(scenario) });
  const computed = h("span", { class: "quiet small" });
  const trouble = h("div", {});
  const words = h("p", { class: "words" });
  const hint = h("p", { class: "panel-body quiet" }, signals.length ? "It begins as soon as there are readings to start from." : "The type of this asset has no control input, so there is nothing to change.");
  const back = h("div", { class: "chosen", hidden: true });
  const settings = h("div", { class: "settings" });
  const files = h(
    "span",
    { class: "row push" },
    computed,
    h("button", { type: "button", class: "small", onclick: async (/** @type {MouseEvent} */ event) => {
      const button = /** @type {HTMLElement} */ (event.currentTarget);
      address();
      say(button, await navigator.clipboard.writeText(location.href).then(() => "Copied", () => "Copy the address"));
      setTimeout(() => say(button, "Copy link"), 1500);
    } }, "Copy link"),
    h("button", { type: "button", class: "small", onclick: () => answer && download(new Blob([csv(answer)], { type: "text/csv" }), `${feed.asset.key}-what-if.csv`) }, "CSV"),
    h("button", { type: "button", class: "small", onclick: async () => {
      const blob = await png(body, `${feed.asset.key}: what if, ${time(answer?.state?.observed_at)}`);
      if (blob) download(blob, `${feed.asset.key}-what-if.png`);
    } }, "PNG"),
  );
  const body = h(
    "div",
    { hidden: true },
    books.element,
    back,
    h("div", { class: "what-if" }, h("div", { class: "controls" }, settings, inputs.element), h("div", { class: "outcome" }, trouble, outcome.element, words)),
    compare.element,
    h("div", { class: "what-if-foot" }, aims.element, seek.element),
  );
  const element = h("section", { class: "panel", "aria-label": "What if", "data-panel": "what-if" }, h("div", { class: "panel-head" }, h("h2", {}, "What if"), files), hint, body);

  const work = latest(async (signal) => {
    const started = performance.now();
    try {
      const asked = request(plan);
      // Limits and numbers need sample paths; under the hand only the curves move.
      if (held) for (const name of ["constraints", "kpis", "rank_by"]) delete /** @type {any} */ (asked)[name];
      const retro = plan.asOf !== null;
      const fresh = retro ? asOutcome(await api.retroWhatIf(feed.asset.key, asked, signal)) : await api.whatIf(feed.asset.key, asked, signal);
      if (signal.aborted || feed.end.aborted) return;
      if (retro) await past.read(instant(fresh.state.observed_at) - BEFORE * plan.horizon * feed.interval, instant(fresh.state.observed_at));
      if (signal.aborted || feed.end.aborted) return;
      const light = held || asked.scenarios.length !== plan.scenarios.length;
      answer = fresh;
      basis = basisOf(fresh);
      fill(trouble);
      outcome.show(fresh);
      inputs.draw();
      if (!light) compare.show(fresh);
      const took = performance.now() - started;
      element.dataset.tookMs = took.toFixed(1);
      element.dataset.answers = String(Number(element.dataset.answers ?? 0) + 1);
      say(words, trust(fresh));
      words.dataset.source = fresh.model?.source ?? "";
      say(computed, `from the state of ${time(fresh.state?.observed_at)}, answered in ${span(took / 1000)}`);
    } catch (error) {
      if (signal.aborted || feed.end.aborted) return;
      fill(trouble, problemBox(error));
      outcome.fade();
      // A server that is busy just now is asked once more, a little later.
      if (/** @type {any} */ (error).status === 503) setTimeout(() => feed.end.aborted || work.ask(), BUSY_MS);
    }
  });
  /** @param {any} fresh @returns {import("./inputs.js").Basis} */
  const basisOf = (fresh) => {
    const t = stepsOf(fresh);
    const now = instant(fresh.state.observed_at);
    const from = now - (t[t.length - 1] - now) * BEFORE;
    return {
      t,
      now,
      from,
      base: (name) => (fresh.baseline.inputs?.[name]?.values ?? []).map((/** @type {any} */ value) => numeric(value, feed.labels.get(name) ?? [])),
      past: (name) => past.of(name, from, now, plan.asOf !== null),
    };
  };
  const address = () => begun && feed.tab === "what-if" && remember({ ...toQuery(plan), sel: active || null });
  const edited = () => {
    address();
    work.ask();
  };
  const redraw = () => {
    books.draw();
    inputs.rebuild();
    outcome.draw();
    if (answer && answer.scenarios.length === plan.scenarios.length) compare.show(answer);
    back.hidden = plan.asOf === null;
    if (plan.asOf) fill(back, h("strong", {}, `Looking back: from ${time(plan.asOf)}`), h("span", { class: "small" }, "what would have been, had the inputs been set otherwise"), h("button", { type: "button", class: "small push", onclick: () => { plan.asOf = null; draw(); use.changed(); } }, "Back to now"));
    address();
  };
  /** A first scenario for the n-th input. @param {number} n */
  const suggested = (n) => {
    const signal = signals[n % signals.length];
    const { kind, labels } = kindOf(signal);
    const seen = feed.history.values.get(signal.name) ?? [];
    const present = lastKnown(seen) ?? numeric(feed.state?.reported?.[signal.name]?.value, labels) ?? 0;
    const target = farther(reach(signal, kind, labels.length, seen), present, seen);
    return { [signal.name]: courseFrom("step", present, target, plan.horizon, slowest(signal, present, target, feed.interval)) };
  };
  const draw = () => {
    const steps = h("input", { type: "number", id: "what-if-horizon", min: 1, max: MAX_HORIZON, step: 1, value: plan.horizon });
    const inTime = h("span", { class: "small quiet" }, `= ${span(plan.horizon * feed.interval)}`);
    steps.addEventListener("input", () => {
      const value = steps.valueAsNumber;
      const fits = Number.isInteger(value) && value > 0 && value <= MAX_HORIZON;
      steps.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      plan.horizon = value;
      within(plan);
      inputs.rebuild();
      say(inTime, `= ${span(value * feed.interval)}`);
      edited();
    });
    const check = (/** @type {string} */ text, /** @type {boolean} */ on, /** @type {(on: boolean) => void} */ act) => {
      const box = h("input", { type: "checkbox", checked: on, onchange: () => act(box.checked) });
      return h("label", { class: "check" }, box, text);
    };
    const from = instantInput(plan.asOf ? Date.parse(plan.asOf) : null, { id: "what-if-from" });
    from.addEventListener("change", () => {
      plan.asOf = instantOf(from) ?? null;
      use.changed();
    });
    fill(
      settings,
      h("label", { class: "field" }, h("span", {}, "Horizon, steps"), h("span", { class: "row steps-row" }, steps, inTime)),
      h("label", { class: "field" }, h("span", {}, "From a past instant"), from),
      check("Keep inputs within their limits and rates", plan.clamp, (on) => { plan.clamp = on; edited(); }),
      check("Follow the live state", follow, (on) => { follow = on; if (on) work.ask(); }),
    );
  };
  /** Takes what the address says. */
  const take = () => {
    const { query } = here();
    const known = (/** @type {string} */ name) => feed.type.signals.some((signal) => signal.name === name);
    plan = fromQuery(query, { control: (name) => signals.some((signal) => signal.name === name), known, horizon: feed.prediction?.timestamps.length || 60 });
    active = Math.max(0, Math.min(Number(query.get("sel")) || 0, plan.scenarios.length - 1));
    if (!query.has("kpis")) plan.kpis = outputs.slice(0, FIRST_KPIS).map((signal) => ({ signal: signal.name, agg: "mean" }));
    if (!plan.scenarios.length) plan.scenarios = [{ name: "Scenario 1", courses: suggested(0), fixed: [], saved: null }];
  };
  const begin = () => {
    if (begun || !signals.length || feed.now === null || !feed.history.t.length || feed.tab !== "what-if") return;
    take();
    begun = true;
    hint.hidden = true;
    body.hidden = false;
    draw();
    aims.draw();
    redraw();
    work.ask();
  };

  let last = 0;
  feed.on("history", () => (feed.prediction ? begin() : undefined));
  feed.on("prediction", () => {
    begin();
    const now = performance.now();
    if (!begun || !follow || held || plan.asOf || feed.tab !== "what-if" || now - last < FOLLOW_MS || document.hidden) return;
    last = now;
    work.ask();
  });
  feed.on("tab", (tab) => {
    if (tab !== "what-if") return;
    if (!begun) begin();
    else {
      // A way from elsewhere may name an instant; without one the address is that of the plan.
      const asOf = here().query.get("as_of");
      if (asOf && !Number.isNaN(Date.parse(asOf))) plan.asOf = new Date(asOf).toISOString();
      draw();
      use.changed();
    }
  });
  feed.end.addEventListener("abort", () => {
    work.cancel();
    outcome.destroy();
    inputs.destroy();
    seek.stop();
  });
  return element;
}
