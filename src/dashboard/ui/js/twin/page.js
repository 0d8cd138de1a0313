// @ts-check
/** The page of one asset: what it does now, what is expected, what if, what was learned. */

import { alarmList } from "../alarm/list.js";
import { emptyAlarms } from "../alarm/page.js";
import { rulesPanel } from "../alarm/rules.js";
import { alarmTimeline } from "../alarm/timeline.js";
import { anomaliesPanel } from "../anomaly/panel.js";
import { api } from "../api.js";
import { fill, h, problemBox, put, say } from "../dom.js";
import { addEvent, eventsPanel } from "../event/panel.js";
import { Feed } from "../feed.js";
import { ago, assumptions, FRESHNESS, percent, seconds, span, time, trust, utc } from "../format.js";
import { modelsTab } from "../model/tab.js";
import { dataHealthPanel } from "../quality/panel.js";
import { details, limitText, LITTLE, tone, when, worst } from "../risk.js";
import { assetLink, here } from "../router.js";
import { whatIfPanel } from "../scenario/panel.js";
import { stream } from "../stream.js";
import { livePanel } from "./live.js";
import { outlookPanel } from "./outlook.js";
import { relationsPanel } from "./relations.js";
import { schematicPanel } from "./schematic.js";
import { statePanel } from "./state.js";
import { usualWindow } from "./windows.js";

/** @type {Record<string, {name: string, build: (feed: Feed) => HTMLElement}>} */
const TABS = {
  "": { name: "Now", build: nowTab },
  "what-if": { name: "What if", build: (feed) => h("div", {}, whatIfPanel(feed)) },
  models: { name: "Models", build: modelsTab },
  alarms: { name: "Alarms and events", build: alarmsTab },
  data: { name: "Data", build: dataTab },
};

/**
 * @param {HTMLElement} page @param {string} key @param {AbortSignal} end
 * @returns {Promise<(() => void) | undefined>} what shows another of its tabs
 */
export async function twinPage(page, key, end) {
  document.title = `${key} · Counterpart`;
  fill(page, h("p", { class: "quiet" }, "Reading the asset…"));
  const asset = await api.asset(key);
  const type = await api.assetType(asset.type, asset.version);
  if (end.aborted) return undefined;

  const feed = new Feed(asset, type, end);
  feed.window = Number(here().query.get("window")) || usualWindow(feed.interval);
  const trouble = h("div", {});
  const body = h("div", {});
  const links = Object.entries(TABS).map(([tab, { name }]) => h("a", { href: assetLink(key, tab), "data-tab": tab }, name));
  fill(page, head(feed), h("nav", { class: "tab-nav", "aria-label": `Parts of ${key}` }, links), trouble, body);
  feed.on("problem", (error) => fill(trouble, problemBox(error, () => { fill(trouble); feed.readAll(); })));
  feed.on("state", () => trouble.childElementCount && fill(trouble));

  /** @type {Map<string, HTMLElement>} built when they are first looked at, then kept */
  const built = new Map();
  const show = () => {
    const tab = here().path[2] ?? "";
    const known = tab in TABS ? tab : "";
    for (const link of links) {
      if (link.dataset.tab === known) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
    if (!built.has(known)) {
      const element = TABS[known].build(feed);
      built.set(known, element);
      body.append(element);
    }
    for (const [name, element] of built) element.hidden = name !== known;
    feed.tab = known;
    feed.tell("tab", known);
  };
  show();
  stream.follow(key);
  feed.start(feed.window);
  return show;
}

/** @param {Feed} feed */
function nowTab(feed) {
  const answered = h("section", { class: "panel", "aria-label": "Forecast in words" });
  const key = feed.asset.key;
  const schematic = schematicPanel(feed);
  const alarms = alarmList({ asset: key, end: feed.end, counted: schematic.alarmed, empty: () => h("p", { class: "panel-body quiet" }, "No alarm is active. ", h("a", { href: assetLink(key, "alarms") }, "Rules")) });
  alarms.only({ state: "active" });
  feed.on("prediction", () => forecastWords(answered, feed));
  forecastWords(answered, feed);
  return h(
    "div",
    { class: "twin" },
    h("div", { class: "wide" }, schematic.element),
    livePanel(feed),
    h(
      "div",
      { class: "stack" },
      h("section", { class: "panel narrow", "aria-label": "Active alarms" }, h("div", { class: "panel-head" }, h("h2", {}, "Active alarms")), alarms.element),
      answered,
      outlookPanel(feed),
      relationsPanel(feed),
      eventsPanel(feed, { limit: 5, whole: false }),
      statePanel(feed),
    ),
  );
}

/** @param {Feed} feed */
function alarmsTab(feed) {
  const key = feed.asset.key;
  const timeline = alarmTimeline({ asset: false });
  const list = alarmList({ asset: key, end: feed.end, empty: () => emptyAlarms(key), counted: timeline.show });
  list.read();
  return h(
    "div",
    { class: "twin" },
    h("section", { class: "panel", "aria-label": "Alarms" }, h("div", { class: "panel-head" }, h("h2", {}, "Alarms")), timeline.element, list.element),
    h("div", { class: "stack" }, rulesPanel(feed)),
    h("div", { class: "wide" }, eventsPanel(feed, { limit: 30, whole: true })),
  );
}

/** @param {Feed} feed */
function dataTab(feed) {
  return h(
    "div",
    { class: "stack" },
    dataHealthPanel(feed),
    anomaliesPanel(feed, { label: (from, to) => addEvent(feed, { kind: feed.type.health_classes?.length ? "label" : "note", from, to }) }),
  );
}

/** @param {Feed} feed */
function head(feed) {
  const { asset } = feed;
  const badge = h("span", { class: "badge", "data-dot": "" });
  const age = h("span", {});
  const health = h("span", { class: "badge", hidden: true });
  const anomaly = h("span", { class: "badge", hidden: true });
  const risk = h("span", { class: "badge", hidden: true });
  const draw = () => {
    drawRisk(risk, feed);
    drawHealth(health, feed);
    drawAnomaly(anomaly, feed);
    const { tone, text } = FRESHNESS[feed.freshness];
    badge.dataset.tone = tone;
    say(badge, feed.state ? text : "…");
    say(age, feed.age === null ? "" : `newest reading ${ago(feed.age < 3 ? 0 : feed.age)}`);
    age.title = utc(feed.state?.observed_at);
  };
  feed.on("state", draw);
  const ticking = setInterval(draw, 1000);
  feed.end.addEventListener("abort", () => clearInterval(ticking));

  const element = h("div", {});
  if (asset.attributes.demo === true) {
    put(element, h("p", { class: "banner" }, h("strong", {}, "DEMO DATA"), h("span", {}, "This plant is simulated. No real machine is behind these numbers.")));
  }
  put(
    element,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Fleet"), " / ", asset.key),
    h(
      "div",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", {}, asset.name || asset.key),
        h(
          "p",
          { class: "facts" },
          badge,
          health,
          anomaly,
          risk,
          age,
          h("span", {}, `type ${asset.type}${asset.version ? `, version ${asset.version}` : ""}`),
          h("span", {}, `a step is ${span(feed.interval)}`),
        ),
      ),
    ),
  );
  return element;
}

/** The class that the asset is in, and how long it is until it fails, as the version that serves says. @param {HTMLElement} badge @param {Feed} feed */
function drawHealth(badge, feed) {
  const health = feed.state?.health;
  badge.hidden = !health;
  if (!health) return;
  const { class: named, probabilities = {}, remaining_time: left } = health;
  badge.dataset.tone = named === undefined ? "" : named === feed.type.health_classes?.[0] ? "good" : "bad";
  badge.dataset.health = named ?? "";
  const until = left && `${left.class} in ${lasting(left, "0.5")}`;
  say(badge, [named && `${named}, ${Math.round(100 * (probabilities[named] ?? 0))} %`, until].filter(Boolean).join("; "));
  const shares = Object.entries(probabilities).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
  const band = left && `${left.class}: with 80 % between ${lasting(left, "0.1")} and ${lasting(left, "0.9")}`;
  badge.title = [...shares, band].filter(Boolean).join(", ");
}

/** A quantile of a remaining time, which may lie beyond what is known. @param {any} left @param {string} level */
function lasting(left, level) {
  return left.quantiles[level] ? span(seconds(left.quantiles[level])) : `more than ${span(seconds(left.horizon))}`;
}

/** How far the newest step lies from normal operation. @param {HTMLElement} badge @param {Feed} feed */
function drawAnomaly(badge, feed) {
  const score = feed.state?.anomaly_score;
  badge.hidden = score === undefined || score === null;
  if (badge.hidden) return;
  badge.dataset.tone = score >= 1 ? "warn" : "";
  badge.dataset.anomaly = String(score);
  say(badge, score >= 1 ? `unusual: ${score.toFixed(1)} times the threshold` : "as expected");
  const parts = Object.entries(feed.state.contributions ?? {}).sort(([, a], [, b]) => b - a);
  badge.title = `anomaly score ${score.toFixed(2)}; 1 is the threshold. ${parts.map(([name, part]) => `${name} ${part.toFixed(2)}`).join(", ")}`;
}

/** How likely a limit is broken, which and when. @param {HTMLElement} badge @param {Feed} feed */
function drawRisk(badge, feed) {
  const risk = feed.state?.risk;
  const limit = worst(risk);
  badge.hidden = !limit || risk.probability < LITTLE || feed.freshness !== "live";
  badge.dataset.risk = risk ? String(risk.probability) : "";
  if (badge.hidden) return;
  const unit = (/** @type {string} */ name) => feed.type.signals.find((one) => one.name === name)?.unit;
  badge.dataset.tone = tone(risk.probability);
  say(badge, `risk ${percent(risk.probability)}: ${limitText(limit, unit(limit.signal))} ${when(limit)}`);
  badge.title = details(risk, unit);
}

/** @param {HTMLElement} panel @param {Feed} feed */
function forecastWords(panel, feed) {
  const prediction = feed.prediction;
  fill(
    panel,
    h("div", { class: "panel-head" }, h("h2", {}, "Forecast"), prediction?.created_at ? h("span", { class: "quiet small push", title: utc(prediction.created_at) }, `made ${time(prediction.created_at)}`) : null),
    h(
      "div",
      { class: "panel-body" },
      prediction
        ? [h("p", { class: "words", "data-source": prediction.model?.source ?? "" }, trust(prediction)), h("p", { class: "small quiet" }, assumptions(prediction.inputs))]
        : h("p", { class: "quiet" }, "No forecast yet. It is made by itself once enough readings have come."),
    ),
  );
}
