// @ts-check
/** What lies ahead of an asset: its health class at a few instants, when it is first in another, what remains until it fails, and which limits are broken. */

import { fill, h, say } from "../dom.js";
import { percent, seconds, span, time, utc } from "../format.js";
import { limitText, LITTLE } from "../risk.js";

/** Who says what will be: in a word, and in a sentence. */
export const WHO = /** @type {Record<string, {word: string, about: string}>} */ ({
  learned: { word: "learned", about: "learned from its labels; on steps that it never saw it was better than the others by more than luck" },
  held: { word: "held", about: "the probabilities of now, as if the class held: nothing that was learned is better" },
  rates: { word: "rates", about: "the class of now, and how often one class was followed by another within that time" },
  frequencies: { word: "how often", about: "how often each class comes at all, whatever is seen now" },
});

/** @param {import("../feed.js").Feed} feed */
export function outlookPanel(feed) {
  const since = h("span", { class: "quiet small push" });
  const body = h("div", {});
  const element = h("section", { class: "panel", "aria-label": "What lies ahead", "data-panel": "outlook", hidden: true }, h("div", { class: "panel-head" }, h("h2", {}, "What lies ahead"), since), body);
  let shown = "";
  const draw = () => {
    const { health, risk } = feed.state ?? {};
    const limits = feed.freshness === "live" ? (risk?.limits ?? []).filter((/** @type {any} */ one) => one.probability >= LITTLE) : [];
    const named = health?.probabilities && health.ahead?.length > 0;
    element.hidden = !named && !health?.remaining_time && !limits.length;
    const key = JSON.stringify([health, limits]);
    if (element.hidden || key === shown) return;
    shown = key;
    say(since, health ? `seen ${time(health.at)}` : "");
    since.title = utc(health?.at);
    fill(body, named ? classes(health, feed) : null, h("div", { class: "panel-body outlook-words" }, named ? reached(health) : null, health?.remaining_time ? remains(health.remaining_time) : null, limits.map((/** @type {any} */ one) => broken(one, risk, feed))));
  };
  feed.on("state", draw);
  draw();
  return element;
}

/** A row an instant, a column a class. @param {any} health @param {import("../feed.js").Feed} feed */
function classes(health, feed) {
  const known = Object.keys(health.probabilities);
  // As the type has them; what it does not name comes last.
  const typed = (feed.type.health_classes ?? []).filter((one) => known.includes(one));
  const order = [...typed, ...known.filter((one) => !typed.includes(one))];
  const healthy = feed.type.health_classes?.[0];
  const rows = [{ step: 0, at: health.at, class: health.class, probabilities: health.probabilities, by: null }, ...health.ahead];
  const who = [...new Set(health.ahead.map((/** @type {any} */ one) => one.by))];
  return [
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Probability of each health class, now and ahead" },
      h(
        "table",
        { class: "data outlook-table" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), order.map((name) => h("th", { scope: "col", class: "number" }, name)), h("th", { scope: "col" }, "Says who"))),
        h("tbody", {}, rows.map((row) => h(
          "tr",
          { "data-ahead": row.step, "data-by": row.by ?? "now" },
          h("th", { scope: "row", title: utc(row.at) }, row.by ? `in ${span(between(health.at, row.at))}` : "now"),
          order.map((name) => h("td", { class: name === row.class ? "number best" : "number" }, percent(row.probabilities[name]), bar(row.probabilities[name], name === healthy))),
          h("td", { class: "small quiet", title: row.by ? WHO[row.by]?.about : undefined }, row.by ? WHO[row.by]?.word ?? row.by : "seen"),
        ))),
      ),
    ),
    h("p", { class: "panel-body small quiet", "data-who": who.join(" ") }, `${who.map((/** @type {any} */ one) => `${WHO[one]?.word ?? one}: ${WHO[one]?.about ?? ""}`).join("; ")}. Nothing is said of the time between.`),
  ];
}

/** @param {number} share @param {boolean} good */
function bar(share, good) {
  const filled = h("i", { "data-tone": good ? "good" : "bad" });
  filled.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return h("span", { class: "outlook-bar", "aria-hidden": "true" }, filled);
}

/** When it is first in a class that it is not in. @param {any} health */
function reached(health) {
  return Object.entries(health.time_to_class ?? {}).map(([name, one]) => {
    const within = one.within.map((/** @type {any} */ by) => `${span(between(health.at, by.at))} ${percent(by.probability)}`);
    return h("p", { class: "words small", "data-time-to": name, title: WHO[one.by]?.about }, h("strong", {}, name), ` within ${within.join(", ")}; later or not at all ${percent(one.beyond)} (${WHO[one.by]?.word ?? one.by})`);
  });
}

/** The time until a run ends. @param {any} left */
function remains(left) {
  const by = (/** @type {string} */ level) => (left.quantiles[level] ? span(seconds(left.quantiles[level])) : null);
  return h("p", { class: "words small", "data-remains": left.class }, h("strong", {}, left.class), ` ${quantiles([by("0.1"), by("0.5"), by("0.9")])}; later than ${span(seconds(left.horizon))} ${percent(left.beyond_horizon)}`);
}

/** When a limit is broken. @param {any} limit @param {any} risk @param {import("../feed.js").Feed} feed */
function broken(limit, risk, feed) {
  const unit = feed.type.signals.find((one) => one.name === limit.signal)?.unit;
  const by = (/** @type {any} */ value) => (typeof value === "number" ? span(value) : null);
  const ahead = span(between(risk.at, risk.until));
  return h("p", { class: "words small", "data-limit-of": limit.signal }, h("strong", {}, limitText(limit, unit)), ` ${quantiles([by(limit.p10_s), by(limit.p50_s), by(limit.p90_s)])}; kept for ${ahead} ${percent(1 - limit.probability)}`);
}

/** Times that are not exceeded with 10, 50 and 90 %, as far as they are known. @param {(string | null)[]} times */
function quantiles(times) {
  const known = ["10", "50", "90"].flatMap((level, i) => (times[i] ? [`${level}\u202f% within ${times[i]}`] : []));
  return known.length ? known.join(", ") : "hardly within what is known";
}

/** Seconds between two instants. @param {string} from @param {string} to */
const between = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;
