// @ts-check
/**
 * What was said before: a forecast of the past over the chart, beside what came. It is the one that
 * was made so long before the newest reading, or the last one before an instant that a person
 * pointed at. The address keeps it. Tells `said` when it is another.
 */

import { instant } from "../align.js";
import { api } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { percent, quantity, seconds, span, time, utc } from "../format.js";
import { here, remember } from "../router.js";

const USUAL = [3600, 6 * 3600, 86400, 7 * 86400];
/** Forecasts are kept so long. */
const KEPT = 30 * 86400;
/** A forecast of the past is looked for again no more often. */
const AGAIN_S = 5;

export class Said extends EventTarget {
  /** @param {import("../feed.js").Feed} feed */
  constructor(feed) {
    super();
    this.feed = feed;
    const text = here().query.get("said") ?? "";
    const at = Date.parse(text) / 1000;
    /** Seconds before the newest reading. @type {number | null} */
    this.ago = Number.isFinite(seconds(text)) ? seconds(text) : null;
    /** An instant that was pointed at. @type {number | null} */
    this.at = this.ago === null && Number.isFinite(at) ? at : null;
    /** @type {any} with its outcome */
    this.vintage = null;
    /** @type {any} */
    this.problem = null;
    this.loading = false;
    this.looked = -Infinity;
    /** @type {AbortController | null} */
    this.busy = null;
    feed.end.addEventListener("abort", () => this.busy?.abort());
    feed.on("tab", (name) => name === "" && this.#keep());
    feed.on("prediction", () => this.on && this.#due() && this.read());
    feed.on("state", () => this.on && this.looked === -Infinity && feed.now !== null && this.read());
  }

  get on() {
    return this.ago !== null || this.at !== null;
  }

  /** How far the asset's own forecasts reach, seconds. */
  get reach() {
    const prediction = this.feed.prediction;
    const last = prediction?.timestamps.at(-1);
    return prediction && last ? instant(last) - instant(prediction.state.observed_at) : null;
  }

  /** The spans that are worth a button. @param {number} extent seconds of readings */
  choices(extent) {
    const { reach } = this;
    if (reach === null) return [];
    const short = reach < 0.75 * USUAL[0] ? [reach, 10 * reach] : [];
    return [...short, ...USUAL.filter((ago) => ago >= reach / 4 && ago > 2 * (short[1] ?? 0))].filter((ago) => ago < Math.min(extent, KEPT));
  }

  /** @param {number | null} ago seconds before the newest reading; null for none */
  before(ago) {
    this.#choose(ago, null);
  }

  /** @param {number} at seconds */
  point(at) {
    if (this.feed.now !== null && at < this.feed.now) this.#choose(null, at);
  }

  /** @param {number | null} ago @param {number | null} at */
  #choose(ago, at) {
    this.ago = ago;
    this.at = at;
    this.vintage = null;
    this.problem = null;
    this.#keep();
    this.busy?.abort();
    this.loading = false;
    if (this.on) this.read();
    else this.#tell();
  }

  #keep() {
    remember({ said: this.ago !== null ? `PT${+this.ago.toFixed(3)}S` : this.at !== null ? new Date(this.at * 1000).toISOString() : null });
  }

  /** Whether the one so long before the newest has moved on noticeably. */
  #due() {
    if (this.ago !== null) return performance.now() - this.looked > 1000 * Math.max(AGAIN_S, this.ago / 60);
    const { vintage } = this;
    // One that has not come true to its end is compared with more and more.
    return vintage !== null && (vintage.outcome?.passed ?? 0) < vintage.timestamps.length && performance.now() - this.looked > 1000 * AGAIN_S;
  }

  async read() {
    const { feed } = this;
    if (feed.now === null) return;
    this.busy?.abort();
    const mine = new AbortController();
    this.busy = mine;
    this.loading = true;
    this.looked = performance.now();
    this.#tell();
    const at = this.at ?? feed.now - (this.ago ?? 0);
    try {
      const [newest] = (await api.predictions(feed.asset.key, { before: Math.round(at * 1000) + 1, cause: "refresh", limit: 1 }, mine.signal)).items;
      const vintage = newest ? await api.prediction(feed.asset.key, newest.id, mine.signal) : null;
      if (mine.signal.aborted) return;
      this.vintage = vintage;
      this.problem = null;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.problem = error;
    }
    this.loading = false;
    this.#tell();
  }

  #tell() {
    if (!this.feed.end.aborted) this.dispatchEvent(new Event("said"));
  }

  /** @param {() => void} handler */
  hear(handler) {
    this.addEventListener("said", handler, { signal: this.feed.end });
  }

  /** In words, how long before, or when. */
  get when() {
    return this.ago !== null ? `${span(this.ago)} before` : this.vintage ? `at ${time(this.vintage.state.observed_at)}` : "";
  }
}

/** The bar that chooses. @param {Said} said @param {import("./view.js").View} view */
export function saidBar(said, view) {
  const { feed } = said;
  const choices = h("span", { class: "segments", role: "group", "aria-label": "What was said so long before" });
  const point = h("input", { type: "datetime-local", step: 1, "aria-label": "What was said at an instant" });
  const words = h("span", { class: "small quiet range-words", role: "status" });
  const trouble = h("div", {});
  const bar = h("div", { class: "said-bar", "data-said": "" }, h("span", { class: "small" }, "What was said"), choices, h("label", { class: "said-at small" }, "at ", point), words);
  const element = h("div", {}, bar, trouble);
  point.addEventListener("change", () => {
    const at = new Date(point.value).getTime() / 1000;
    if (Number.isFinite(at)) said.point(at);
  });
  let offered = "";
  const draw = () => {
    const all = said.choices(view.extent);
    if (said.ago !== null && !all.includes(said.ago)) all.push(said.ago);
    if (all.join() !== offered) {
      offered = all.join();
      const focused = document.activeElement instanceof HTMLElement && choices.contains(document.activeElement) ? document.activeElement.dataset.ago : undefined;
      fill(
        choices,
        h("button", { type: "button", class: "small", "data-ago": "", onclick: () => said.before(null) }, "off"),
        all.sort((a, b) => a - b).map((ago) => h("button", { type: "button", class: "small", "data-ago": ago, "aria-label": `${span(ago)} before`, onclick: () => choose(ago) }, span(ago), h("i", {}, " before"))),
      );
      if (focused !== undefined) /** @type {HTMLElement | null} */ (choices.querySelector(`[data-ago="${focused}"]`))?.focus();
    }
    for (const one of choices.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one.dataset.ago === "" ? !said.on : Number(one.dataset.ago) === said.ago));
    bar.dataset.said = said.vintage?.id ?? "";
    // Before the first forecast nothing was said.
    element.hidden = !said.on && !feed.prediction;
    if (said.at !== null && document.activeElement !== point) point.value = local(said.at);
    if (said.at === null && document.activeElement !== point) point.value = "";
    say(words, status());
    words.title = said.vintage ? `made from the state of ${utc(said.vintage.state.observed_at)}` : "";
    if (said.problem) fill(trouble, h("div", { class: "panel-body" }, problemBox(said.problem, () => said.read())));
    else if (trouble.childElementCount) fill(trouble);
  };
  /** @param {number} ago */
  const choose = (ago) => {
    said.before(ago);
    // It lies to the left of a shorter window.
    if (view.live && view.window < ago) view.show(1.2 * ago, null);
  };
  const status = () => {
    const { vintage } = said;
    if (!said.on) return "click a point of the past on a chart";
    if (!vintage) return said.loading ? "reading…" : said.problem ? "" : "no forecast that old is kept";
    const steps = vintage.timestamps.length;
    const passed = vintage.outcome?.passed ?? 0;
    const version = vintage.model.source === "model" ? `version ${vintage.model.version}` : vintage.model.source === "base" ? "the base model" : "the naive fallback";
    return `said at ${time(vintage.state.observed_at)} by ${version}${passed < steps ? `: ${passed} of ${steps} steps have come` : ""}`;
  };
  said.hear(draw);
  view.on(draw);
  feed.on("prediction", draw);
  draw();
  return element;
}

/** Local time as an input has it. @param {number} at seconds */
function local(at) {
  const date = new Date(at * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/**
 * How what was said of an output turned out, in words.
 * @param {Said} said @param {import("../api.js").Signal} signal @param {string[]} labels
 */
export function verdict(said, signal, labels) {
  const { vintage } = said;
  if (!said.on || !vintage?.signals[signal.name]) return "";
  const { outcome } = vintage;
  const passed = outcome?.passed ?? 0;
  const scores = outcome?.signals[signal.name]?.scores;
  const begin = `Said ${said.when}`;
  if (!passed || !scores) return `${begin}: nothing of it has come to pass yet.`;
  const gone = (outcome.inputs.departures ?? []).map((/** @type {any} */ one) => one.signal);
  const moved = gone.length ? `${gone.join(", ")} went otherwise than was assumed${outcome.inputs.steps ? ` after ${span(outcome.inputs.steps * seconds(vintage.frequency))}; what came later is not compared` : ", so it is not compared"}.` : "";
  if (!scores.truths) return `${begin}: ${moved || "nothing was measured since."}`;
  const off = `was off by ${quantity(scores.mae, signal.unit, labels)} on average`;
  const naive = typeof scores.naive_mae === "number" ? `, holding the last value by ${quantity(scores.naive_mae, signal.unit, labels)}` : "";
  const band = typeof scores.coverage_80 === "number" ? `; the 80\u202f% band held ${percent(scores.coverage_80)}` : "";
  const count = scores.truths < vintage.timestamps.length ? ` of ${scores.truths === 1 ? "the one value" : `the ${scores.truths} values`} that can be compared` : ` of ${scores.truths} values`;
  return `${begin}: ${off}${naive}${band}${band ? count : ""}.${moved ? ` ${moved[0].toUpperCase()}${moved.slice(1)}` : ""}`;
}
