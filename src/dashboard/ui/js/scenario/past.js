// @ts-check
/** What was measured before a what-if: of the live history, or read for itself where it lies further back. */

import { instant, numeric } from "../align.js";
import { api } from "../api.js";

const POINTS = 400;

export class Past {
  /** @param {import("../feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    /** @type {{from: number, to: number, t: number[], values: Record<string, any[]>} | null} */
    this.kept = null;
  }

  /** @param {number} from @param {number} to seconds */
  async read(from, to) {
    if (this.kept?.from === from && this.kept.to === to) return;
    const page = await api.history(this.feed.asset.key, { from: new Date(from * 1000).toISOString(), to: new Date((to + 0.001) * 1000).toISOString(), max_points: POINTS });
    this.kept = { from, to, t: page.timestamps.map(instant), values: page.values };
  }

  /**
   * The measured rows of a signal between two instants.
   * @param {string} name @param {number} from @param {number} to @param {boolean} apart whether it was read for itself
   * @returns {{t: number[], values: (number | null)[]}}
   */
  of(name, from, to, apart) {
    if (apart) {
      const labels = this.feed.labels.get(name) ?? [];
      return { t: this.kept?.t ?? [], values: (this.kept?.values[name] ?? []).map((value) => numeric(value, labels)) };
    }
    const { t, values } = this.feed.history;
    let first = t.findIndex((at) => at >= from);
    if (first < 0) first = t.length;
    let end = t.length;
    while (end > first && t[end - 1] > to) end -= 1;
    return { t: t.slice(first, end), values: (values.get(name) ?? []).slice(first, end) };
  }
}
