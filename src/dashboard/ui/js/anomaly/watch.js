// @ts-check
/**
 * Anomalies of the shown stretch of history, and the events in it: read now and then, shared by
 * the charts that mark them and the panels that list them. Events of the feed: `anomalies`,
 * `events`.
 */

import { instant } from "../align.js";
import { api } from "../api.js";

const EVERY_MS = 12_000;
const POINTS = 600;
const EVENTS = 200;

export class Watch {
  /** @param {import("../feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    /** @type {any} */
    this.anomalies = null;
    /** @type {any} why there are none */
    this.problem = null;
    this.looked = false;
    /** @type {any[]} */
    this.events = [];
    /** @type {AbortController | null} */
    this.busy = null;
    const shown = () => !document.hidden && (feed.tab === "" || feed.tab === "data");
    const timer = setInterval(() => shown() && this.read(), EVERY_MS);
    feed.end.addEventListener("abort", () => {
      clearInterval(timer);
      this.busy?.abort();
    });
    let window = 0;
    feed.on("history", () => {
      if (feed.window === window || feed.now === null) return;
      window = feed.window;
      this.read();
    });
  }

  async read() {
    const { feed } = this;
    if (feed.now === null) return;
    this.busy?.abort();
    const mine = new AbortController();
    this.busy = mine;
    const from = new Date((feed.now - feed.window) * 1000).toISOString();
    // Before the twin has scored a step there is nothing that anomalies could be told from.
    const scored = feed.state?.anomaly_score !== null && feed.state?.anomaly_score !== undefined;
    const [anomalies] = await Promise.allSettled([scored ? api.anomalies(feed.asset.key, { from, max_points: POINTS }, mine.signal) : null, this.readEvents(from)]);
    if (mine.signal.aborted || feed.end.aborted) return;
    this.looked = true;
    this.anomalies = anomalies.status === "fulfilled" ? anomalies.value : null;
    this.problem = anomalies.status === "rejected" ? anomalies.reason : null;
    feed.tell("anomalies");
  }

  /** @param {string} [from] */
  async readEvents(from) {
    const { feed } = this;
    try {
      const since = from ?? (feed.now === null ? undefined : new Date((feed.now - feed.window) * 1000).toISOString());
      this.events = (await api.events(feed.asset.key, { from: since, limit: EVENTS })).items;
      feed.tell("events");
    } catch {
      // The list of events tells its own troubles; charts merely go without marks.
    }
  }

  /** Of the stretch that the watch has read. @param {string} signal */
  marks(signal) {
    return marksOf(this.feed, this.anomalies, this.events, signal);
  }
}

/**
 * Intervals to mark behind a signal's line: its anomalies, and labels and notes at the bottom.
 * @param {import("../feed.js").Feed} feed @param {any} anomalies @param {any[]} events @param {string} signal
 * @returns {import("../paint.js").Mark[]}
 */
export function marksOf(feed, anomalies, events, signal) {
  const now = feed.now ?? 0;
  const healthy = feed.type.health_classes?.[0];
  const strange = (anomalies?.intervals ?? [])
    .filter((/** @type {any} */ one) => share(one, signal) >= 0.2)
    .map((/** @type {any} */ one) => ({ from: instant(one.start), to: Math.max(instant(one.end), instant(one.start) + feed.interval), color: "anomaly" }));
  const told = events
    .filter((event) => event.kind !== "label" || event.class !== healthy)
    .map((event) => ({ from: instant(event.start), to: event.end ? instant(event.end) : event.kind === "label" ? now : instant(event.start), color: event.kind === "label" ? "label" : "noted", strip: true }));
  return [...strange, ...told];
}

/** What part of an anomaly is a signal's. @param {any} interval @param {string} signal */
export function share(interval, signal) {
  const parts = Object.values(interval.contributions ?? {});
  const sum = parts.reduce((/** @type {number} */ a, /** @type {any} */ b) => a + b, 0);
  return sum > 0 ? (interval.contributions[signal] ?? 0) / sum : 0;
}
