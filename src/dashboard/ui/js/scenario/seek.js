// @ts-check
/** Find me a schedule: an aim, the inputs that are free, the search as it goes, its result as a scenario. */

import { lastKnown } from "../align.js";
import { ApiError, at } from "../api.js";
import { fill, h } from "../dom.js";
import { choice, field, form, typed } from "../form.js";
import { number, percent, span, unit } from "../format.js";
import { plot } from "../plot.js";
import { knotsOf } from "./course.js";
import { AGGREGATES, aimsOf } from "./plan.js";

const GOALS = { track: "hold at a setpoint", minimise: "make least", maximise: "make greatest" };

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{plan: () => import("./plan.js").Plan, found: (scenario: import("./plan.js").Scenario) => void}} use
 */
export function seekPanel(feed, { plan, found }) {
  const outputs = feed.type.signals.filter((signal) => signal.role === "output");
  const inputs = feed.type.signals.filter((signal) => signal.role === "control_input");
  const names = (/** @type {import("../api.js").Signal[]} */ list) => Object.fromEntries(list.map((signal) => [signal.name, unit(signal.unit) ? `${signal.name} (${unit(signal.unit)})` : signal.name]));
  let running = new AbortController();

  const goal = choice(GOALS, "track");
  const signal = choice(names(outputs), outputs[0]?.name);
  const usual = () => +(lastKnown(feed.history.values.get(signal.value) ?? []) ?? 0).toPrecision(3);
  const setpoint = h("input", { type: "number", step: "any", value: "" });
  const agg = choice(AGGREGATES, "mean");
  const evaluations = h("input", { type: "number", min: 1, step: 1, placeholder: "400" });
  const free = inputs.map((one) => ({ name: one.name, box: h("input", { type: "checkbox", checked: true }) }));
  const beyond = h("input", { type: "checkbox" });
  const progress = h("div", { class: "stack", role: "status" });
  const stop = h("button", { type: "button", class: "small", hidden: true, onclick: () => running.abort() }, "Stop the search");
  const setpointField = field("Setpoint", setpoint, { pointer: "/objective/setpoint" });
  const aggField = field("Of its", agg, { pointer: "/objective/kpi" });
  const shown = () => {
    setpointField.hidden = goal.value !== "track";
    aggField.hidden = goal.value === "track";
  };
  goal.addEventListener("change", shown);
  signal.addEventListener("change", () => { setpoint.placeholder = String(usual()); });
  shown();

  const body = () => {
    const value = typed(setpoint) ?? usual();
    return {
      horizon: plan().horizon,
      objective: goal.value === "track" ? { goal: "track", signal: signal.value, setpoint: value } : { goal: goal.value, kpi: { name: "aim", signal: signal.value, agg: agg.value } },
      controls: free.filter(({ box }) => box.checked).map(({ name }) => ({ signal: name })),
      ...(aimsOf(plan()).constraints ? { constraints: aimsOf(plan()).constraints } : {}),
      ...(typed(evaluations) === undefined ? {} : { evaluations: typed(evaluations) }),
      ...(beyond.checked ? { allow_outside_support: true } : {}),
    };
  };
  const search = async () => {
    running.abort();
    running = new AbortController();
    const mine = running.signal;
    stop.hidden = false;
    /** @type {[number, number][]} */
    const curve = [];
    fill(progress, h("p", { class: "small quiet" }, "Searching…"));
    try {
      for await (const { event, data } of events(`${at(feed.asset.key)}/goal-seek`, body(), mine)) {
        if (event === "progress") {
          curve.push([data.evaluations, data.objective]);
          drawProgress(progress, data, curve);
        } else if (event === "outcome") {
          drawOutcome(progress, data, curve);
          found(scenarioOf(data));
        } else if (event === "problem" || event === "error") {
          throw new ApiError(data.status ?? 500, data);
        }
      }
    } catch (error) {
      if (!mine.aborted) throw error;
      fill(progress, h("p", { class: "small quiet" }, "The search was stopped; nothing was kept."));
    } finally {
      stop.hidden = true;
    }
  };
  /** @param {any} outcome @returns {import("./plan.js").Scenario} */
  const scenarioOf = (outcome) => {
    const unitText = unit(outcome.units?.[signal.value]);
    const name = goal.value === "track" ? `Found: ${signal.value} at ${number(typed(setpoint) ?? usual())} ${unitText}`.trim() : `Found: ${goal.value === "minimise" ? "least" : "greatest"} ${signal.value} ${agg.value}`;
    /** @type {Record<string, import("./course.js").Course>} */
    const courses = {};
    for (const { name: input, box } of free) {
      const values = outcome.best.inputs[input]?.values;
      if (box.checked && values) courses[input] = { shape: "line", knots: knotsOf(values) };
    }
    return { name, courses, fixed: [], saved: null };
  };

  const element = h(
    "section",
    { class: "seek", "aria-label": "Find a schedule", "data-seek": "" },
    h("h3", {}, "Find me a schedule"),
    h("p", { class: "small quiet" }, "Searches the control inputs for what serves an aim best, keeps the limits above with their probabilities, and stays within what the model has seen."),
    form(
      { label: "Aim of the search", submit: "Search", send: search },
      field("Aim", goal, { pointer: "/objective/goal" }),
      field("Output", signal, { pointer: "/objective/signal" }),
      setpointField,
      aggField,
      h("div", { class: "field wide", "data-pointer": "/controls" }, h("span", { class: "legend" }, "May move"), h("div", { class: "row" }, free.map(({ name, box }) => h("label", { class: "check" }, box, name))), h("span", { class: "fault", hidden: true })),
      field("Schedules tried at most", evaluations, { pointer: "/evaluations" }),
      h("label", { class: "check wide" }, beyond, "It may leave what the model has seen"),
    ),
    stop,
    progress,
  );
  feed.on("history", () => { setpoint.placeholder ||= String(usual()); });
  return { element, stop: () => running.abort() };
}

/** @param {HTMLElement} place @param {any} data @param {[number, number][]} curve */
function drawProgress(place, data, curve) {
  fill(
    place,
    h("progress", { max: data.of, value: data.evaluations, "aria-label": "Progress of the search" }),
    h("p", { class: "small quiet" }, `${data.evaluations} of ${data.of} schedules tried, best so far ${number(data.objective)}${data.keeps ? "" : ", limits not kept yet"}`),
    curve.length > 1 ? plot({ title: "Best objective by schedules tried", x: "schedules", curves: [{ name: "best objective", color: "scenario", points: curve }] }) : null,
  );
}

/** @param {HTMLElement} place @param {any} outcome @param {[number, number][]} curve */
function drawOutcome(place, outcome, curve) {
  const { best, baseline, search } = outcome;
  fill(
    place,
    h("p", {}, h("span", { class: "badge", "data-tone": outcome.met ? "good" : "warn" }, outcome.met ? "limits kept" : "limits not all kept"), ` objective ${number(best.objective.mean)}, ${number(baseline.objective.mean)} if nothing changes`),
    h("p", { class: "small quiet" }, `${search.evaluations} schedules in ${span(search.took_s)}. ${best.constraints.map((/** @type {any} */ one) => `${one.signal} broken with ${percent(one.breach_probability.at(-1))}`).join(", ")} The result is a scenario above.`),
    curve.length > 1 ? plot({ title: "Best objective by schedules tried", x: "schedules", curves: [{ name: "best objective", color: "scenario", points: curve }] }) : null,
  );
}

/**
 * Events of an answer that is a stream; the browser's own reader of them cannot post.
 * @param {string} path @param {any} body @param {AbortSignal} signal
 * @returns {AsyncGenerator<{event: string, data: any}>}
 */
async function* events(path, body, signal) {
  const response = await fetch(path, { method: "POST", signal, headers: { accept: "text/event-stream", "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok || !response.body) throw new ApiError(response.status, await response.json().catch(() => null));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const lines = part.split("\n");
      const event = lines.find((line) => line.startsWith("event:"))?.slice(6).trim();
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (event && data) yield { event, data: JSON.parse(data) };
    }
  }
}
