// @ts-check
/**
 * The stretch of time that the charts of an asset show: the newest part, which moves on by
 * itself, or a part of the past, which stands still. The address keeps it. Instants are those of
 * the readings, in seconds. Tells `moved` when the stretch or its readings are others.
 */

import { instant, numeric } from "../align.js";
import { marksOf } from "../anomaly/watch.js";
import { api } from "../api.js";
import { here, remember } from "../router.js";
import { windows } from "./windows.js";

const MAX_POINTS = 1200;
const ANOMALY_POINTS = 600;
const EVENTS = 200;
/** Fewer steps than this are no stretch. */
const LEAST_STEPS = 5;
/** The window of the address that means all there is. */
const ALL = "all";

export class View extends EventTarget {
  /** @param {import("../feed.js").Feed} feed */
  constructor(feed) {
    super();
    const { query } = here();
    this.feed = feed;
    this.window = feed.window;
    /** Whether the window is all there is. */
    this.whole = query.get("window") === ALL;
    const until = Date.parse(query.get("until") ?? "") / 1000;
    /** The end of a past stretch; null while the charts follow the newest reading. @type {number | null} */
    this.until = Number.isFinite(until) && !this.whole ? until : null;
    /** The oldest reading. @type {number | null} */
    this.first = null;
    /** @type {{t: number[], values: Map<string, (number|null)[]>}} */
    this.past = this.#nothing();
    /** @type {any} */
    this.anomalies = null;
    /** @type {any[]} */
    this.events = [];
    /** @type {any} */
    this.problem = null;
    this.loading = false;
    /** @type {AbortController | null} */
    this.busy = null;
    feed.end.addEventListener("abort", () => this.busy?.abort());
    // The parts of an asset's page have addresses of their own, so it is written again on coming back.
    feed.on("tab", (name) => name === "" && this.#keep());
    feed.on("state", () => this.first === null && feed.now !== null && this.#find());
    if (this.until !== null) feed.addEventListener("state", () => this.#read(), { once: true, signal: feed.end });
  }

  get live() {
    return this.until === null;
  }

  get history() {
    return this.live ? this.feed.history : this.past;
  }

  /** How far back the readings go, as far as is known. */
  get extent() {
    const { now } = this.feed;
    return now === null || this.first === null ? Infinity : Math.max(now - this.first, LEAST_STEPS * this.feed.interval);
  }

  /** From, to and now of the charts. */
  range() {
    const now = this.feed.now ?? Date.now() / 1000;
    if (this.until !== null) return { from: this.until - this.window, to: this.until, now };
    const last = this.feed.prediction?.timestamps.at(-1);
    const ahead = last ? Math.max(0, Math.min(instant(last) - now, this.window)) : 0;
    return { from: now - this.window, to: now + Math.max(ahead, this.window * 0.02), now };
  }

  /** @param {string} signal */
  marks(signal) {
    return this.live ? this.feed.watch.marks(signal) : marksOf(this.feed, this.anomalies, this.events, signal);
  }

  /** Shows a stretch. @param {number} window seconds @param {number | null} until null for the newest */
  show(window, until) {
    const { now, interval } = this.feed;
    this.whole = false;
    this.window = Math.max(window, LEAST_STEPS * interval);
    const least = this.first === null ? -Infinity : this.first + this.window;
    this.until = until === null || (now !== null && Math.max(until, least) >= now) ? null : Math.max(until, least);
    this.#apply();
  }

  /** Shows all there is, and what comes. */
  all() {
    this.whole = true;
    this.until = null;
    this.window = Number.isFinite(this.extent) ? this.extent : this.window;
    this.#apply();
  }

  /** Moves by a part of the window. @param {number} part negative for earlier */
  pan(part) {
    const end = this.until ?? this.feed.now;
    if (end !== null) this.show(this.window, end + part * this.window);
  }

  /** Makes the window larger or smaller; a past stretch keeps its middle. @param {number} factor */
  zoom(factor) {
    const window = Math.min(this.window * factor, this.extent);
    this.show(window, this.until === null ? null : this.until - (this.window - window) / 2);
  }

  get canGoBack() {
    const end = this.until ?? this.feed.now;
    return end !== null && (this.first === null || end - this.window > this.first + this.feed.interval);
  }

  #apply() {
    this.#keep();
    this.busy?.abort();
    this.loading = false;
    this.problem = null;
    if (this.live) this.feed.setWindow(this.window);
    else this.#read();
    this.#moved();
  }

  #keep() {
    remember({ window: this.whole ? ALL : +this.window.toFixed(3), until: this.until === null ? null : new Date(this.until * 1000).toISOString() });
  }

  /** Where the readings begin. */
  async #find() {
    this.first = -Infinity;
    try {
      const page = await api.history(this.feed.asset.key, { from: "1970-01-01T00:00:00Z", limit: 1 });
      this.first = page.timestamps.length ? instant(page.timestamps[0]) : null;
    } catch {
      this.first = null;
      return;
    }
    if (this.whole) this.all();
    else this.#moved();
  }

  /** Reads the past stretch anew. */
  async #read() {
    if (this.until === null) return;
    const mine = new AbortController();
    this.busy?.abort();
    this.busy = mine;
    this.loading = true;
    this.problem = null;
    const { key } = this.feed.asset;
    const between = { from: new Date((this.until - this.window) * 1000).toISOString(), to: new Date(this.until * 1000).toISOString() };
    try {
      const page = await api.history(key, { ...between, max_points: MAX_POINTS }, mine.signal);
      if (mine.signal.aborted) return;
      this.past = this.#nothing();
      this.past.t = page.timestamps.map(instant);
      for (const [name, column] of Object.entries(page.values)) {
        const labels = this.feed.labels.get(name) ?? [];
        this.past.values.set(name, /** @type {any[]} */ (column).map((value) => numeric(value, labels)));
      }
    } catch (error) {
      if (mine.signal.aborted) return;
      this.past = this.#nothing();
      this.problem = error;
    }
    this.loading = false;
    this.anomalies = null;
    this.events = [];
    this.#moved();
    // Marks come after the lines: scoring a long stretch takes the server longer than reading it.
    // Before the twin has scored a step there is nothing that anomalies could be told from.
    const scored = typeof this.feed.state?.anomaly_score === "number";
    const [anomalies, events] = await Promise.allSettled([!scored ? null : api.anomalies(key, { ...between, max_points: ANOMALY_POINTS }, mine.signal), api.events(key, { ...between, limit: EVENTS })]);
    if (mine.signal.aborted || this.feed.end.aborted) return;
    this.anomalies = anomalies.status === "fulfilled" ? anomalies.value : null;
    this.events = events.status === "fulfilled" ? events.value.items : [];
    this.#moved();
  }

  again() {
    this.#read();
  }

  #nothing() {
    return { t: /** @type {number[]} */ ([]), values: new Map(this.feed.type.signals.map((signal) => [signal.name, /** @type {(number|null)[]} */ ([])])) };
  }

  #moved() {
    if (!this.feed.end.aborted) this.dispatchEvent(new Event("moved"));
  }

  /** @param {() => void} handler */
  on(handler) {
    this.addEventListener("moved", handler, { signal: this.feed.end });
  }
}

const USUAL = [3600, 86400, 604800, 2592000];
const MOST = 6;

/**
 * The windows that are offered: an hour, a day, a week, a month where there is as much; scaled to
 * the step where the readings are few.
 * @param {number} interval seconds @param {number} extent seconds @param {number} usual the one to begin with
 */
export function presets(interval, extent, usual) {
  const fit = (/** @type {number} */ window) => window >= 25 * interval && window < extent;
  const chosen = [...new Set([usual, ...USUAL.filter(fit)])];
  for (const window of windows(interval)) if (chosen.length < MOST - 1 && window > usual && fit(window) && !chosen.includes(window) && !chosen.some((one) => Math.max(one, window) / Math.min(one, window) < 2.5)) chosen.push(window);
  return chosen.sort((a, b) => a - b);
}
