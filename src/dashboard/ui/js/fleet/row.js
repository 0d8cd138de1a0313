// @ts-check
/** One asset of the fleet: how it stands, what it says, what is expected, what serves it. */

import { instant, numeric, quantileColumns } from "../align.js";
import { TONES } from "../alarm/words.js";
import { api, kindOf } from "../api.js";
import { fill, h, put, say } from "../dom.js";
import { ago, FRESHNESS, percent, quantity, seconds, span, utc } from "../format.js";
import { assetLink } from "../router.js";
import { details, limitText, LITTLE, tone, when, worst } from "../risk.js";
import { sparkline } from "../spark.js";

/** Values in a row. */
const VALUES = 4;
const SPARK_EVERY_MS = 10_000;
/** No reading is stale before. */
const YOUNG_MS = 60_000;
/** What is only scrolled past is not read. */
const STAYS_MS = 120;

/** One asset of the list; reads its details when it comes into view. */
export class Row {
  /** @param {import("../api.js").Asset} asset @param {AbortSignal} end */
  constructor(asset, end) {
    this.asset = asset;
    this.end = end;
    /** @type {import("../api.js").AssetType | null} */
    this.type = null;
    /** @type {any} */
    this.state = null;
    this.skew = 0;
    this.visible = false;
    this.sparkAt = -Infinity;
    this.badge = h("span", { class: "badge", "data-dot": "" }, "…");
    this.age = h("span", { class: "small quiet" });
    this.alarm = h("span", { class: "badge", hidden: true });
    this.health = h("span", { class: "badge", hidden: true });
    this.model = h("span", { class: "small fleet-model" });
    /** @type {number | undefined} */
    this.coming = undefined;
    /** How it stands, as the fleet's list and the stream have it. @type {any} */
    this.standing = null;
    this.risk = h("span", { class: "fleet-risk" });
    /** Active alarms that nobody has shelved. @type {any[]} */
    this.alarms = [];
    this.values = h("span", { class: "values" });
    this.spark = h("span", { class: "spark-cell" });
    this.fed = h("span", { class: "small quiet fleet-fed", hidden: true });
    this.element = h(
      "li",
      { "data-asset": asset.key },
      h(
        "a",
        { class: "fleet-row", href: assetLink(asset.key) },
        h("span", {}, h("strong", {}, asset.name || asset.key), h("span", { class: "small quiet" }, asset.name ? `${asset.key}  ·  ` : "", asset.type, asset.attributes.demo === true ? "  ·  demo data" : ""), this.fed),
        h("span", { class: "standing" }, this.badge, this.alarm, this.health, this.age),
        this.risk,
        this.values,
        this.model,
        this.spark,
      ),
    );
  }

  /** @param {boolean} visible */
  inView(visible) {
    this.visible = visible;
    clearTimeout(this.coming);
    if (visible) this.coming = setTimeout(() => (this.state ? this.draw() : this.read()), STAYS_MS);
  }

  /** Probability that a limit is broken; less than none where no limit is known. */
  get danger() {
    return this.standing?.risk && this.standing.freshness !== "stale" ? this.standing.risk.probability : -1;
  }

  /** @param {any} standing of the fleet's list */
  stands(standing) {
    this.standing = standing;
    if (standing.observed_at) this.skew = Date.now() - Date.parse(standing.observed_at) - standing.age_s * 1000;
    this.drawStanding();
  }

  /** Freshness, health and risk, which are known before the row is looked at. */
  drawStanding() {
    this.drawHealth();
    this.drawRisk();
    this.tick();
  }

  async read() {
    try {
      this.type ??= await api.assetType(this.asset.type, this.asset.version);
      this.state = await api.state(this.asset.key);
      this.stands({ ...this.standing, ...this.state });
    } catch (error) {
      if (!this.end.aborted) fill(this.values, h("span", { class: "quiet" }, /** @type {any} */ (error).title ?? "not readable"));
      return;
    }
    this.draw();
  }

  /** Where it stands among those that feed it. @param {number} depth @param {string[]} sources */
  placed(depth, sources) {
    this.element.dataset.depth = String(depth);
    this.element.style.setProperty("--depth", String(Math.min(depth, 6)));
    this.fed.hidden = !sources.length;
    say(this.fed, sources.length ? `fed by ${sources.join(", ")}` : "");
  }

  /** @param {any[]} alarms active ones, the worst first */
  alarmed(alarms) {
    this.alarms = alarms;
    this.alarm.hidden = !alarms.length;
    if (!alarms.length) return;
    this.alarm.dataset.tone = TONES[alarms[0].severity];
    say(this.alarm, alarms.length === 1 ? `1 ${alarms[0].severity} alarm` : `${alarms.length} alarms, ${alarms[0].severity}`);
    this.alarm.title = alarms.map((one) => one.name).join(", ");
  }

  /** Its class of health, or that its newest step is unusual. */
  drawHealth() {
    const { health, anomaly_score: score } = this.standing ?? {};
    // The first class of a type is the healthy one.
    const sick = this.type && health?.class !== undefined && health.class !== this.type.health_classes?.[0];
    const strange = score !== null && score !== undefined && score >= 1;
    this.health.hidden = !sick && !strange;
    this.health.dataset.tone = sick ? "bad" : "warn";
    if (sick) say(this.health, `${health.class}, ${percent(health.probabilities?.[health.class])}`);
    else if (strange) say(this.health, `unusual: ${score.toFixed(1)} × threshold`);
  }

  /** How likely a limit is broken, which and when. */
  drawRisk() {
    const risk = this.standing?.risk;
    const limit = worst(risk);
    const known = this.danger >= 0;
    this.risk.dataset.risk = known ? String(risk.probability) : "";
    if (!known) {
      fill(this.risk);
      this.risk.title = "";
      return;
    }
    const unit = (/** @type {string} */ name) => this.type?.signals.find((one) => one.name === name)?.unit;
    const high = risk.probability >= LITTLE;
    fill(
      this.risk,
      high ? h("span", { class: "badge", "data-tone": tone(risk.probability) }, percent(risk.probability)) : h("span", { class: "small quiet" }, "none seen"),
      high && limit ? h("span", { class: "small quiet" }, `${limitText(limit, unit(limit.signal))} ${when(limit)}`) : null,
    );
    this.risk.title = details(risk, unit);
  }

  /** @param {any} prediction */
  drawModel(prediction) {
    const { model, skill } = prediction ?? {};
    if (!model) return;
    const who = model.source === "fallback" ? "naive fallback" : model.source === "base" ? "base model" : `version ${model.version}`;
    const better = skill?.vs_naive;
    const old = model.trained_at ? (Date.now() - this.skew - Date.parse(model.trained_at)) / 1000 : null;
    const made = old === null ? null : h("span", { class: "quiet", title: utc(model.trained_at) }, ` · ${old < 60 ? "new" : `${span(old).split(" ").slice(0, 2).join(" ")} old`}`);
    fill(this.model, h("span", {}, who), made, h("br"), h("span", { class: "quiet" }, better === null || better === undefined ? "not measured yet" : `${percent(Math.abs(better))} ${better >= 0 ? "better" : "worse"} than naive`));
  }

  /** @param {any} event a state of the stream: values, and all that is judged of them */
  arrived(event) {
    const { observed_at, anomaly_score, health, risk } = event;
    const young = observed_at && Date.now() - this.skew - Date.parse(observed_at) < YOUNG_MS;
    this.standing = { ...this.standing, observed_at, anomaly_score, health, risk, freshness: young ? "live" : this.standing?.freshness ?? "empty" };
    if (this.state) {
      this.state.observed_at = observed_at;
      for (const [name, value] of Object.entries(event.reported ?? {})) {
        this.state.reported[name] = { ...this.state.reported[name], value: value?.value ?? value };
      }
    }
    if (!this.visible) return;
    if (this.state) this.draw();
    else this.drawStanding();
  }

  draw() {
    const { type, state } = this;
    if (!type || !state || this.end.aborted) return;
    const shown = [...type.signals].sort((a, b) => Number(b.role === "output") - Number(a.role === "output")).slice(0, VALUES);
    fill(this.values, shown.map((signal) => h("span", {}, h("span", { class: "quiet small" }, `${signal.name} `), quantity(state.reported?.[signal.name]?.value, signal.unit, kindOf(signal).labels))));
    this.drawStanding();
    this.drawSpark().catch(() => {});
  }

  tick() {
    const { standing } = this;
    if (!standing) return;
    const age = standing.observed_at ? Math.max(0, (Date.now() - this.skew - Date.parse(standing.observed_at)) / 1000) : null;
    const limit = this.type ? Math.max(60, 10 * (seconds(this.type.interval) || 1)) : null;
    const fresh = age === null ? "empty" : limit === null ? standing.freshness : age > limit ? "stale" : "live";
    const { tone: mood, text } = FRESHNESS[fresh];
    const turned = standing.freshness !== fresh;
    standing.freshness = fresh;
    if (turned) this.drawRisk();
    this.badge.dataset.tone = mood;
    say(this.badge, text);
    say(this.age, age === null ? "" : ago(age < 3 ? 0 : age));
    this.age.title = utc(standing.observed_at);
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
    this.drawModel(prediction);
    const { labels } = kindOf(signal);
    const values = (history.values[signal.name] ?? []).map((/** @type {any} */ value) => numeric(value, labels));
    const median = quantileColumns(prediction?.signals[signal.name])[1];
    fill(this.spark);
    put(this.spark, sparkline(signal.name, [history.timestamps.map(instant), values], [(prediction?.timestamps ?? []).map(instant), median]));
  }
}
