// @ts-check
/**
 * What is known about one asset, kept live: its state, its recent history and its newest
 * forecast. Panels listen; nobody else fetches these. Events: `state`, `history`,
 * `prediction`, `job`, `backtest`, `model`, `alarm`, `problem`, and those of the watch over anomalies and events.
 */

import { instant, numeric } from "./align.js";
import { api, kindOf } from "./api.js";
import { Watch } from "./anomaly/watch.js";
import { seconds } from "./format.js";
import { stream } from "./stream.js";

/** How often the tail of the history is read again: the stream may leave out frames between. */
const CATCH_UP_MS = 4000;
const MAX_POINTS = 1200;
/** What a state says beside values; absent where nothing is known. */
const JUDGED = ["anomaly_score", "contributions", "health", "risk"];

export class Feed extends EventTarget {
  /**
   * @param {import("./api.js").Asset} asset
   * @param {import("./api.js").AssetType} type
   * @param {AbortSignal} end
   */
  constructor(asset, type, end) {
    super();
    this.asset = asset;
    this.type = type;
    this.end = end;
    this.interval = seconds(type.interval) || 1;
    this.labels = new Map(type.signals.map((signal) => [signal.name, kindOf(signal).labels]));
    /** @type {any} */
    this.state = null;
    /** @type {import("./api.js").Prediction | null} */
    this.prediction = null;
    /** @type {{t: number[], values: Map<string, (number|null)[]>}} */
    this.history = { t: [], values: new Map(type.signals.map((signal) => [signal.name, []])) };
    /** Seconds of history that charts show. */
    this.window = 0;
    /** Milliseconds that the browser's clock is ahead of the server's. */
    this.skew = 0;
    /** Which part of the page is shown. */
    this.tab = "";
    this.settled = 0;
    this.loading = 0;
    this.watch = new Watch(this);
  }

  /** The newest instant, seconds. @returns {number | null} */
  get now() {
    return this.state?.observed_at ? instant(this.state.observed_at) : null;
  }

  /** Seconds since the newest reading. */
  get age() {
    return this.now === null ? null : Math.max(0, (Date.now() - this.skew) / 1000 - this.now);
  }

  get freshness() {
    if (this.age === null) return "empty";
    return this.isOld(this.age, this.interval) ? "stale" : "live";
  }

  /** Whether the newest value of a signal is older than its own interval explains. @param {import("./api.js").Signal} signal */
  isStale(signal) {
    const reported = this.state?.reported?.[signal.name];
    if (!reported?.observed_at) return false;
    const age = (Date.now() - this.skew) / 1000 - instant(reported.observed_at);
    return this.isOld(age, Math.max(this.interval, seconds(signal.interval) || 0));
  }

  /** As the server has it: ten intervals, and a minute at least. @param {number} age @param {number} interval */
  isOld(age, interval) {
    return age > Math.max(60, 10 * interval);
  }

  /** Reads everything, then keeps it live until `end`. @param {number} window seconds */
  async start(window) {
    this.window = window;
    stream.on("state", (event) => event.asset === this.asset.key && this.#arrived(event), this.end);
    stream.on("prediction", (event) => event.asset === this.asset.key && this.readPrediction(), this.end);
    stream.on("job", (job) => job.asset === this.asset.key && this.tell("job", job), this.end);
    stream.on("backtest", (one) => one.asset === this.asset.key && this.tell("backtest", one), this.end);
    stream.on("model", (served) => served.asset === this.asset.key && this.tell("model", served), this.end);
    stream.on("alarm", (alarm) => alarm.asset === this.asset.key && this.tell("alarm", alarm), this.end);
    stream.on("resync", () => this.readAll(), this.end);
    const tail = setInterval(() => !document.hidden && this.#catchUp(), CATCH_UP_MS);
    this.end.addEventListener("abort", () => clearInterval(tail));
    await this.readAll();
  }

  async readAll() {
    await this.readState();
    await Promise.all([this.readHistory(), this.readPrediction()]);
  }

  /** @param {number} window seconds */
  setWindow(window) {
    this.window = window;
    return this.readHistory();
  }

  async readState() {
    await this.#quietly(async () => {
      this.state = await api.state(this.asset.key);
      if (this.state.observed_at && Number.isFinite(this.state.age_s)) {
        this.skew = Date.now() - Date.parse(this.state.observed_at) - this.state.age_s * 1000;
      }
      this.tell("state");
    });
  }

  async readPrediction() {
    await this.#quietly(async () => {
      this.prediction = await api.newestPrediction(this.asset.key);
      this.tell("prediction");
    });
  }

  async readHistory() {
    const now = this.now;
    if (now === null) {
      this.tell("history");
      return;
    }
    this.loading += 1;
    const mine = this.loading;
    await this.#quietly(async () => {
      const from = new Date((now - this.window) * 1000).toISOString();
      const page = await api.history(this.asset.key, { from, max_points: MAX_POINTS });
      if (mine !== this.loading) return;
      this.history = { t: [], values: new Map(this.type.signals.map((signal) => [signal.name, []])) };
      this.#append(page);
      this.settled = this.history.t.at(-1) ?? 0;
      this.tell("history");
    });
  }

  /** A reading, or what is judged of one, came by the stream. @param {any} event */
  #arrived(event) {
    if (!this.state) return;
    for (const name of JUDGED) this.state[name] = event[name];
    if (!event.observed_at) {
      this.tell("state");
      return;
    }
    const at = instant(event.observed_at);
    const before = this.now;
    this.state.seq = event.seq;
    this.state.observed_at = event.observed_at;
    for (const [name, value] of Object.entries(event.reported ?? {})) {
      const old = this.state.reported[name] ?? {};
      const seen = value !== null && typeof value === "object" && "value" in value ? value.value : value;
      if (seen !== null) this.state.reported[name] = { ...old, value: seen, observed_at: old.value === seen && before === at ? old.observed_at : event.observed_at };
    }
    this.tell("state");
    if (before === null) {
      this.readHistory();
      return;
    }
    if (at > (this.history.t.at(-1) ?? -Infinity)) {
      this.#push(at, (name) => {
        const value = event.reported?.[name];
        return value !== null && typeof value === "object" ? value?.value : value;
      });
      this.tell("history");
    }
  }

  /** Reads what lies after the last settled instant: frames that the stream left out. */
  async #catchUp() {
    const { t } = this.history;
    const now = this.now;
    if (now === null || !t.length) return;
    if (t.length > 2.5 * MAX_POINTS) {
      await this.readHistory();
      return;
    }
    if ((t.at(-1) ?? 0) <= this.settled) return;
    const mine = this.loading;
    await this.#quietly(async () => {
      const page = await api.history(this.asset.key, { from: new Date(this.settled * 1000).toISOString(), max_points: MAX_POINTS });
      if (mine !== this.loading || !page.timestamps.length) return;
      const newest = this.history.t.at(-1) ?? 0;
      if (instant(page.timestamps.at(-1)) < newest - 60 * this.interval) {
        await this.readHistory();
        return;
      }
      this.#cut(this.settled);
      this.#append(page);
      this.settled = this.history.t.at(-1) ?? this.settled;
      this.#forget(now - this.window * 1.1);
      this.tell("history");
    });
  }

  /** @param {any} page */
  #append(page) {
    page.timestamps.forEach((/** @type {string} */ text, /** @type {number} */ row) => {
      const at = instant(text);
      if (at > (this.history.t.at(-1) ?? -Infinity)) this.#push(at, (name) => page.values[name]?.[row]);
    });
  }

  /** @param {number} at @param {(name: string) => any} value */
  #push(at, value) {
    this.history.t.push(at);
    for (const [name, column] of this.history.values) column.push(numeric(value(name), this.labels.get(name) ?? []));
  }

  /** Drops what is newer than an instant. @param {number} at */
  #cut(at) {
    const { t, values } = this.history;
    while (t.length && t[t.length - 1] > at) t.pop();
    for (const column of values.values()) column.length = t.length;
  }

  /** Drops what is older than an instant. @param {number} at */
  #forget(at) {
    const { t, values } = this.history;
    const count = t.findIndex((x) => x >= at);
    if (count <= 0) return;
    t.splice(0, count);
    for (const column of values.values()) column.splice(0, count);
  }

  /** @param {() => Promise<void>} act */
  async #quietly(act) {
    try {
      await act();
    } catch (error) {
      if (!this.end.aborted) this.tell("problem", error);
    }
  }

  /** @param {string} name @param {any} [detail] */
  tell(name, detail) {
    if (!this.end.aborted) this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {string} name @param {(detail: any) => void} handler */
  on(name, handler) {
    this.addEventListener(name, (event) => handler(/** @type {CustomEvent} */ (event).detail), { signal: this.end });
  }
}
