// @ts-check
/** How good a version and simpler forecasters would have been on the asset's own history. */

import { api } from "../api.js";
import { fill, h, problemBox, renew } from "../dom.js";
import { choice, field, form, typed } from "../form.js";
import { percent, span, time, unit, utc } from "../format.js";
import { unfinished } from "../jobs.js";
import { only } from "../role.js";
import { backtestResult } from "./result.js";

const TONES = /** @type {Record<string, string>} */ ({ pending: "", running: "", succeeded: "good", failed: "bad", cancelled: "warn" });
const INPUTS = /** @type {Record<string, string>} */ ({ held: "held at their last value", measured: "as they were measured" });
/** How many are shown. */
const SHOWN = 8;

/** @param {number} version */
export const called = (version) => (version ? `Version ${version}` : "Base model");

/** @param {import("../feed.js").Feed} feed */
export function backtestPanel(feed) {
  const key = feed.asset.key;
  const trouble = h("div", {});
  const list = h("ol", { class: "backtests" });
  const nothing = h("p", { class: "quiet" }, "Nothing has been backtested yet. The last windows of the history are forecast anew, each from what was known at its start, and compared with what was then measured.");
  /** @type {Map<string, HTMLElement>} by id, newest first; only what changed is drawn anew, and of one that goes on no more than that */
  const rows = new Map();
  /** What cannot happen again: an end that was told before its beginning was answered. @type {Set<string>} */
  const ended = new Set();

  const version = choice({ "": "the one that serves", 0: "Base model" }, "", { "data-backtest": "version" });
  const windows = h("input", { type: "number", min: 1, max: 500, step: 1, placeholder: "20", "data-backtest": "windows" });
  const horizon = h("input", { type: "number", min: 1, max: 512, step: 1, placeholder: "60", "data-backtest": "horizon" });
  const step = h("input", { type: "number", min: 1, step: 1, placeholder: "the horizon", "data-backtest": "step_size" });
  const inputs = choice(INPUTS, "held", { "data-backtest": "inputs" });
  const ask = form(
    {
      label: "Backtest",
      submit: "Run the backtest",
      needs: "operate",
      send: async () => {
        fill(trouble);
        const asked = { windows: typed(windows), horizon: typed(horizon), step_size: typed(step), inputs: inputs.value, version: version.value === "" ? undefined : Number(version.value) };
        put(await api.startBacktest(key, asked), true);
      },
    },
    field("Version", version, { pointer: "/version" }),
    field("Windows", windows, { pointer: "/windows", hint: "1 to 500, the last ones" }),
    field("Horizon", horizon, { pointer: "/horizon", hint: "steps of a window" }),
    field("Step size", step, { pointer: "/step_size", hint: "steps between two windows" }),
    field("Inputs", inputs, { pointer: "/inputs", hint: "within a window" }),
  );

  /** @param {string} id */
  const cancel = async (id) => {
    try {
      fill(trouble);
      put(await api.cancelBacktest(key, id), false);
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, problemBox(error));
    }
  };
  /** @param {any} backtest @param {boolean} newest whether one that is not there yet belongs on top */
  const put = (backtest, newest) => {
    const old = rows.get(backtest.id);
    if (ended.has(backtest.id) && unfinished(backtest)) return;
    if (!unfinished(backtest)) ended.add(backtest.id);
    const open = old?.querySelector("details")?.open ?? (newest || !rows.size);
    const row = card(feed, backtest, { open, cancel: () => cancel(backtest.id) });
    if (old && unfinished(backtest)) {
      renew(old, row);
      return;
    }
    const focused = old?.contains(document.activeElement);
    rows.set(backtest.id, row);
    if (old) old.replaceWith(row);
    else if (newest) list.prepend(row);
    else list.append(row);
    while (list.childElementCount > SHOWN) {
      const last = /** @type {HTMLElement} */ (list.lastElementChild);
      rows.delete(last.dataset.backtestId ?? "");
      last.remove();
    }
    if (focused) /** @type {HTMLElement | null} */ (row.querySelector("button, summary"))?.focus();
    nothing.hidden = rows.size > 0;
  };
  const read = async () => {
    try {
      const { items } = await api.backtests(key, { limit: SHOWN });
      if (feed.end.aborted || items.every((/** @type {any} */ one) => rows.has(one.id) && !unfinished(one) && ended.has(one.id))) return;
      fill(list);
      rows.clear();
      for (const one of items) put(one, false);
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, problemBox(error, read));
    }
  };
  feed.on("backtest", (changed) => put(changed, true));
  feed.on("tab", (tab) => tab === "models" && read());

  const element = h(
    "section",
    { class: "panel backtest-panel", "aria-label": "Backtests", "data-panel": "backtests" },
    h("div", { class: "panel-head" }, h("h2", {}, "Backtests")),
    h("div", { class: "panel-body stack" }, ask, trouble, nothing),
    list,
  );
  return {
    element,
    /** Which versions there are to choose from. @param {number[]} numbers newest first */
    know: (numbers) => {
      const chosen = version.value;
      const options = [["", "the one that serves"], ...numbers.map((number) => [String(number), called(number)]), ["0", called(0)]];
      fill(version, ...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
    },
  };
}

/**
 * @param {import("../feed.js").Feed} feed
 * @param {any} backtest
 * @param {{open: boolean, cancel: () => void}} use
 */
function card(feed, backtest, { open, cancel }) {
  const moving = unfinished(backtest);
  const learned = backtest.result?.learned;
  const units = new Map(feed.type.signals.map((signal) => [signal.name, unit(signal.unit)]));
  const took = backtest.started_at && backtest.finished_at ? (Date.parse(backtest.finished_at) - Date.parse(backtest.started_at)) / 1000 : null;
  return h(
    "li",
    { class: "backtest", "data-backtest-id": backtest.id, "data-backtest-status": backtest.status },
    h(
      "div",
      { class: "version-head" },
      h("h3", {}, called(backtest.version)),
      h("span", { class: "badge", "data-tone": TONES[backtest.status] ?? "" }, backtest.status),
      learned?.seen_by_model ? h("span", { class: "badge", "data-tone": "warn", "data-seen": learned.seen_by_model }, `had learned from ${learned.seen_by_model} of ${learned.windows} windows`) : null,
      h("span", { class: "quiet small", title: utc(backtest.created_at) }, time(backtest.created_at)),
      moving ? h("button", only("operate", { type: "button", class: "small push", disabled: backtest.cancel_requested, onclick: cancel }), backtest.cancel_requested ? "Stopping" : "Cancel") : null,
    ),
    h(
      "p",
      { class: "small quiet" },
      [`${backtest.windows} ${backtest.windows === 1 ? "window" : "windows"} of ${backtest.horizon} steps, ${backtest.step_size} apart, up to ${time(backtest.cutoff)}`, `inputs ${INPUTS[backtest.inputs] ?? backtest.inputs}`, took === null ? "" : `took ${span(took)}`].filter(Boolean).join("  ·  "),
    ),
    moving
      ? h(
        "div",
        {},
        h("progress", { max: 1, value: backtest.progress ?? 0, "aria-label": `Progress of the backtest of ${called(backtest.version)}` }),
        h("p", { class: "small quiet" }, [percent(backtest.progress ?? 0), backtest.eta_s ? `about ${span(backtest.eta_s)} left` : ""].filter(Boolean).join("  ·  ")),
      )
      : null,
    backtest.error ? h("p", { class: "problem" }, backtest.error) : null,
    backtest.result ? h("details", { open }, h("summary", {}, "Scores"), backtestResult(backtest, units)) : null,
  );
}
