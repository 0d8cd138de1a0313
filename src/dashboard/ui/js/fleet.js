// @ts-check
/** Every asset with how fresh it is and what it says now; an empty server says how to begin. */

import { instant, numeric, quantileColumns } from "./align.js";
import { api, kindOf } from "./api.js";
import { fill, h, problemBox, put, say } from "./dom.js";
import { ago, FRESHNESS, quantity, seconds, utc } from "./format.js";
import { assetLink } from "./router.js";
import { sparkline } from "./spark.js";
import { stream } from "./stream.js";
import { welcome } from "./welcome.js";

const PAGE = 200;
/** Values in a row. */
const VALUES = 4;
const SPARK_EVERY_MS = 10_000;

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function fleetPage(page, end) {
  document.title = "Fleet · Counterpart";
  const count = h("p", { class: "facts" });
  const list = h("ul", { class: "fleet" });
  const body = h("div", {});
  fill(page, h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Fleet"), count)), body);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let polling = /** @type {number | undefined} */ (undefined);

  const read = async () => {
    let cursor;
    do {
      const result = await api.assets({ limit: PAGE, cursor });
      if (end.aborted) return;
      for (const asset of result.items) {
        if (rows.has(asset.key)) continue;
        const row = new Row(asset, end);
        rows.set(asset.key, row);
        list.append(row.element);
        seen.observe(row.element);
      }
      cursor = result.next;
    } while (cursor);
    say(count, rows.size === 0 ? "" : rows.size === 1 ? "1 asset" : `${rows.size} assets`);
    page.dataset.assets = String(rows.size);
    if (!rows.size) {
      if (!body.childElementCount) fill(body, welcome());
      polling = setTimeout(() => read().catch(() => {}), 3000);
    } else if (!list.isConnected) {
      const names = h("div", { class: "fleet-row fleet-head", "aria-hidden": "true" }, h("span", {}, "Asset"), h("span", {}, "Freshness"), h("span", {}, "Newest values"), h("span", {}, "First output, with its forecast"));
      fill(body, h("section", { class: "panel", "aria-label": "Assets" }, names, list));
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) rows.get(/** @type {HTMLElement} */ (entry.target).dataset.asset ?? "")?.inView(entry.isIntersecting);
  }, { rootMargin: "300px" });
  const ticking = setInterval(() => {
    for (const row of rows.values()) row.tick();
  }, 1000);
  end.addEventListener("abort", () => {
    seen.disconnect();
    clearInterval(ticking);
    clearTimeout(polling);
  });
  stream.on("state", (event) => rows.get(event.asset)?.arrived(event), end);
  stream.on("resync", () => rows.forEach((row) => row.read()), end);
  stream.follow(null);
  try {
    await read();
  } catch (error) {
    if (!end.aborted) fill(body, problemBox(error, () => { fill(body); read(); }));
  }
}

/** One asset of the list; reads its details when it comes into view. */
class Row {
  /** @param {import("./api.js").Asset} asset @param {AbortSignal} end */
  constructor(asset, end) {
    this.asset = asset;
    this.end = end;
    /** @type {import("./api.js").AssetType | null} */
    this.type = null;
    /** @type {any} */
    this.state = null;
    this.skew = 0;
    this.visible = false;
    this.sparkAt = -Infinity;
    this.badge = h("span", { class: "badge", "data-dot": "" }, "…");
    this.age = h("span", { class: "small quiet" });
    this.values = h("span", { class: "values" });
    this.spark = h("span", { class: "spark-cell" });
    this.element = h(
      "li",
      { "data-asset": asset.key },
      h(
        "a",
        { class: "fleet-row", href: assetLink(asset.key) },
        h("span", {}, h("strong", {}, asset.name || asset.key), h("span", { class: "small quiet" }, asset.name ? `${asset.key}  ·  ` : "", asset.type, asset.attributes.demo === true ? "  ·  demo data" : "")),
        h("span", {}, this.badge, h("br"), this.age),
        this.values,
        this.spark,
      ),
    );
  }

  /** @param {boolean} visible */
  inView(visible) {
    const first = visible && !this.state;
    this.visible = visible;
    if (first) this.read();
  }

  async read() {
    try {
      this.type ??= await api.assetType(this.asset.type, this.asset.version);
      this.state = await api.state(this.asset.key);
      if (this.state.observed_at) this.skew = Date.now() - Date.parse(this.state.observed_at) - this.state.age_s * 1000;
    } catch (error) {
      if (!this.end.aborted) fill(this.values, h("span", { class: "quiet" }, /** @type {any} */ (error).title ?? "not readable"));
      return;
    }
    this.draw();
  }

  /** @param {any} event */
  arrived(event) {
    if (!this.state) return;
    this.state.observed_at = event.observed_at;
    for (const [name, value] of Object.entries(event.reported ?? {})) {
      this.state.reported[name] = { ...this.state.reported[name], value: value?.value ?? value };
    }
    if (this.visible) this.draw();
  }

  draw() {
    const { type, state } = this;
    if (!type || !state || this.end.aborted) return;
    const shown = [...type.signals].sort((a, b) => Number(b.role === "output") - Number(a.role === "output")).slice(0, VALUES);
    fill(this.values, shown.map((signal) => h("span", {}, h("span", { class: "quiet small" }, `${signal.name} `), quantity(state.reported?.[signal.name]?.value, signal.unit, kindOf(signal).labels))));
    this.tick();
    this.drawSpark().catch(() => {});
  }

  tick() {
    if (!this.state || !this.type) return;
    const age = this.state.observed_at ? Math.max(0, (Date.now() - this.skew - Date.parse(this.state.observed_at)) / 1000) : null;
    const limit = Math.max(60, 10 * (seconds(this.type.interval) || 1));
    const { tone, text } = FRESHNESS[age === null ? "empty" : age > limit ? "stale" : "live"];
    this.badge.dataset.tone = tone;
    say(this.badge, text);
    say(this.age, age === null ? "" : ago(age < 3 ? 0 : age));
    this.age.title = utc(this.state.observed_at);
  }

  async drawSpark() {
    if (performance.now() - this.sparkAt < SPARK_EVERY_MS || !this.visible || !this.state?.observed_at) return;
    this.sparkAt = performance.now();
    const signal = this.type?.signals.find((s) => s.role === "output");
    if (!signal) return;
    const length = 150 * (seconds(this.type?.interval) || 1);
    const from = new Date(Date.parse(this.state.observed_at) - length * 1000).toISOString();
    const [history, prediction] = await Promise.all([api.history(this.asset.key, { from, signals: signal.name, max_points: 150 }), api.newestPrediction(this.asset.key)]);
    if (this.end.aborted) return;
    const { labels } = kindOf(signal);
    const values = (history.values[signal.name] ?? []).map((/** @type {any} */ value) => numeric(value, labels));
    const median = quantileColumns(prediction?.signals[signal.name])[1];
    fill(this.spark);
    put(this.spark, sparkline(signal.name, [history.timestamps.map(instant), values], [(prediction?.timestamps ?? []).map(instant), median]));
  }
}
