// @ts-check
/**
 * The asset as a diagram: control inputs lead into it, disturbances press on it from above, and
 * outputs come out of it. Each signal says its value, where it lies between its limits, what is
 * desired of it, where it is expected to be, whether it is old, and whether an alarm is on it.
 */

import { instant, numeric, quantileColumns } from "../align.js";
import { TONES } from "../alarm/words.js";
import { fill, h, say } from "../dom.js";
import { ago, number, plain, quantity, span, utc } from "../format.js";
import { assetLink } from "../router.js";

/** More signals of a group than this are shown on demand. */
const FIRST = 8;
/** More than this stand in two columns where there is room. */
const COLUMN = 4;
/** Assets at the other end of a signal that its card names. */
const ENDS = 3;
/** Signals grow old without an event that says so. */
const AGE_MS = 2000;

/** @param {import("../feed.js").Feed} feed */
export function schematicPanel(feed) {
  /** @type {Map<string, SignalCard>} */
  const cards = new Map();
  /** @param {string} role @param {string} name @param {string} title */
  const group = (role, name, title) => {
    const signals = feed.type.signals.filter((signal) => signal.role === role);
    if (!signals.length) return null;
    const made = signals.map((signal) => {
      const card = new SignalCard(feed, signal);
      cards.set(signal.name, card);
      return card.element;
    });
    const list = h("ul", { "aria-label": title, "data-many": signals.length > COLUMN }, made.slice(0, FIRST));
    const rest = made.slice(FIRST);
    const more = h("button", { type: "button", class: "small", onclick: () => { list.append(...rest); more.remove(); } }, `Show ${rest.length} more`);
    return h("div", { class: `sch-group sch-${name}`, "data-role": role }, h("h3", {}, title), list, rest.length ? more : null);
  };
  const answers = h("p", { class: "small quiet" });
  const inside = group("state", "inside", "States");
  const from = group("control_input", "in", "Control inputs");
  const above = group("disturbance", "above", "Disturbances");
  const out = group("output", "out", "Outputs");
  const arrow = (/** @type {string} */ place) => h("span", { class: `sch-arrow sch-to-${place}`, "aria-hidden": "true" });
  const key = (/** @type {string} */ mark, /** @type {Node | string} */ text) => h("span", { class: "key" }, h("i", { class: "sch-mark", "data-mark": mark }), text);
  const ahead = h("span", {});
  const aheadKey = key("ahead", ahead);
  aheadKey.hidden = true;
  const desiredKey = key("desired", "desired");
  const element = h(
    "section",
    { class: "panel", "aria-label": "Schematic", "data-panel": "schematic" },
    h("div", { class: "panel-head" }, h("h2", {}, "Schematic"), h("span", { class: "keys sch-keys push" }, key("now", "now"), desiredKey, aheadKey)),
    h(
      "div",
      { class: "sch", "data-sides": [from ? "in" : "", out ? "out" : ""].join(" ").trim() },
      above,
      above ? arrow("down") : null,
      from,
      from ? arrow("asset") : null,
      h("div", { class: "sch-asset" }, h("strong", {}, feed.asset.name || feed.asset.key), h("span", { class: "small quiet" }, feed.asset.type), answers, inside),
      out ? arrow("outputs") : null,
      out,
    ),
  );

  const drawState = () => {
    if (!feed.state) return;
    for (const card of cards.values()) card.drawState();
    desiredKey.hidden = !Object.keys(feed.state.desired ?? {}).length;
  };
  const drawPrediction = () => {
    const { prediction } = feed;
    if (!prediction) return;
    for (const card of cards.values()) card.drawPrediction(prediction);
    const { model } = prediction;
    say(answers, model?.source === "fallback" ? "forecast by the naive fallback" : model?.version > 0 ? `forecast by version ${model.version}` : "forecast by the base model");
    const last = prediction.timestamps.at(-1);
    const start = prediction.state?.observed_at ?? prediction.timestamps[0];
    say(ahead, last ? `expected in ${span(instant(last) - instant(start))}, with its 80\u202f% band` : "");
    aheadKey.hidden = !last;
  };
  feed.on("state", drawState);
  feed.on("prediction", drawPrediction);
  feed.on("relations", (all) => cards.forEach((card) => card.connected(all)));
  const ageing = setInterval(drawState, AGE_MS);
  feed.end.addEventListener("abort", () => clearInterval(ageing));
  drawState();
  drawPrediction();
  return {
    element,
    /** @param {any[]} alarms of the asset */
    alarmed(alarms) {
      for (const card of cards.values()) card.alarmed(alarms.filter((alarm) => alarm.signal === card.signal.name && alarm.active && !alarm.shelved));
    },
  };
}

/** One signal of the diagram; only what changed is written. */
class SignalCard {
  /** @param {import("../feed.js").Feed} feed @param {import("../api.js").Signal} signal */
  constructor(feed, signal) {
    this.feed = feed;
    this.signal = signal;
    this.labels = feed.labels.get(signal.name) ?? [];
    const { min, max } = signal;
    this.bounded = !this.labels.length && typeof min === "number" && typeof max === "number" && max > min;
    this.value = h("span", { class: "sch-value", "data-value": "" }, "–");
    this.old = h("span", { class: "badge", "data-tone": "warn", "data-stale": "", hidden: true });
    this.alarm = h("a", { class: "badge", href: assetLink(feed.asset.key, "alarms"), "data-alarm": "", hidden: true });
    this.desired = h("span", { class: "small sch-desired", "data-desired": "", hidden: true });
    this.ahead = h("span", { class: "small c-forecast", "data-ahead": "", hidden: true });
    this.ends = h("span", { class: "small quiet sch-links", hidden: true });
    this.marks = Object.fromEntries(["band", "ahead", "desired", "now"].map((name) => [name, h("i", { class: name === "band" ? "sch-band" : "sch-mark", "data-mark": name, hidden: true })]));
    this.bar = this.bounded
      ? h(
        "span",
        { class: "sch-scale" },
        h("span", { class: "sch-bar", "aria-hidden": "true" }, Object.values(this.marks)),
        h("span", { class: "sch-ends" }, h("span", {}, h("span", { class: "sr" }, "limits "), short(min)), h("span", {}, h("span", { class: "sr" }, "to "), short(max))),
      )
      : null;
    this.element = h(
      "li",
      { class: "sch-card", "data-signal": signal.name, title: signal.description ?? null },
      h("span", { class: "sch-name" }, h("span", {}, signal.name), this.alarm, this.old),
      h("span", { class: "sch-line" }, this.value, this.ahead, this.desired),
      this.bar,
      this.ends,
    );
  }

  drawState() {
    const { feed, signal, labels } = this;
    const reported = feed.state.reported?.[signal.name];
    const value = reported?.value;
    say(this.value, quantity(value, signal.unit, labels));
    const at = reported?.observed_at ? instant(reported.observed_at) : null;
    const age = at === null ? null : Math.max(0, (Date.now() - feed.skew) / 1000 - at);
    const old = age !== null && (feed.freshness === "stale" || feed.isStale(signal));
    this.old.hidden = !old;
    if (old) say(this.old, `stale, ${ago(age)}`);
    this.value.title = reported?.observed_at ? utc(reported.observed_at) : "no reading yet";
    this.element.dataset.freshness = old ? "old" : at === null ? "empty" : "live";
    const desired = feed.state.desired?.[signal.name];
    const wanted = desired ? desired.value ?? due(desired.schedule, (Date.now() - feed.skew) / 1000) : null;
    this.desired.hidden = !desired;
    if (desired) say(this.desired, wanted === null ? "desired: a schedule to come" : `desired ${plain(wanted, labels)}${desired.schedule ? ", by schedule" : ""}`);
    const seen = numeric(value, labels);
    this.place("now", seen);
    this.place("desired", numeric(wanted, labels));
    const { min, max } = signal;
    this.element.dataset.limits = seen !== null && ((typeof min === "number" && seen < min) || (typeof max === "number" && seen > max)) ? "out" : "in";
  }

  /** @param {import("../api.js").Prediction} prediction */
  drawPrediction(prediction) {
    const { signal, labels } = this;
    const [low, median, high] = quantileColumns(prediction.signals[signal.name]);
    const last = median.at(-1);
    this.ahead.hidden = last === undefined || last === null;
    if (this.ahead.hidden) return;
    say(this.ahead, `→ ${plain(last, labels)}`);
    this.ahead.title = `80 % band ${plain(low.at(-1), labels)} to ${plain(high.at(-1), labels)}`;
    this.place("ahead", last ?? null);
    const { min, max } = signal;
    const [from, to] = [low.at(-1), high.at(-1)];
    const band = this.marks.band;
    band.hidden = !this.bounded || typeof from !== "number" || typeof to !== "number";
    if (band.hidden) return;
    const start = share(/** @type {number} */ (from), /** @type {number} */ (min), /** @type {number} */ (max));
    band.style.left = `${start}%`;
    band.style.width = `${share(/** @type {number} */ (to), /** @type {number} */ (min), /** @type {number} */ (max)) - start}%`;
  }

  /** @param {"now" | "ahead" | "desired"} name @param {number | null} value */
  place(name, value) {
    const mark = this.marks[name];
    mark.hidden = !this.bounded || value === null;
    if (!mark.hidden) mark.style.left = `${share(/** @type {number} */ (value), /** @type {number} */ (this.signal.min), /** @type {number} */ (this.signal.max))}%`;
  }

  /** Which assets stand at the other end of it. @param {import("../api.js").Relationship[]} all */
  connected(all) {
    const { key } = this.feed.asset;
    const links = all.flatMap(({ source, target, from_signal: from, to_signal: to }) => (target === key && to === this.signal.name ? [["from ", source]] : source === key && from === this.signal.name ? [["to ", target]] : []));
    this.ends.hidden = !links.length;
    fill(this.ends, links.slice(0, ENDS).flatMap(([way, other], i) => [i ? ", " : "", way, h("a", { href: assetLink(other) }, other)]), links.length > ENDS ? ` and ${links.length - ENDS} more` : "");
  }

  /** @param {any[]} alarms active ones on this signal, the worst first */
  alarmed(alarms) {
    this.alarm.hidden = !alarms.length;
    this.element.dataset.tone = alarms.length ? TONES[alarms[0].severity] ?? "" : "";
    if (!alarms.length) return;
    this.alarm.dataset.tone = TONES[alarms[0].severity] ?? "";
    say(this.alarm, alarms.length === 1 ? alarms[0].severity : `${alarms[0].severity}, ${alarms.length} alarms`);
    this.alarm.title = alarms.map((one) => one.name).join(", ");
  }
}

/** A limit, without digits that say nothing. @param {number | null | undefined} value */
const short = (value) => (typeof value === "number" && String(value).length < 7 ? String(value).replace("-", "−") : number(value));

/** Where a value lies between its limits, in percent. @param {number} value @param {number} min @param {number} max */
const share = (value, min, max) => Math.min(100, Math.max(0, (100 * (value - min)) / (max - min)));

/** What a schedule wants at an instant; null before it begins. @param {{at: string, value: any}[] | undefined} schedule @param {number} now */
function due(schedule, now) {
  const passed = (schedule ?? []).filter(({ at }) => instant(at) <= now);
  return passed.length ? passed[passed.length - 1].value : null;
}
