// @ts-check
/** The page of one asset: what it does now, what is expected, what if, what was learned. */

import { api } from "./api.js";
import { fill, h, problemBox, put, say } from "./dom.js";
import { Feed } from "./feed.js";
import { ago, assumptions, seconds, span, time, trust, utc } from "./format.js";
import { livePanel, usualWindow } from "./live.js";
import { modelsPanels } from "./models.js";
import { here } from "./router.js";
import { statePanel } from "./state.js";
import { stream } from "./stream.js";
import { whatIfPanel } from "./whatif.js";

export const FRESHNESS = /** @type {Record<string, {tone: string, text: string}>} */ ({
  live: { tone: "good", text: "live" },
  stale: { tone: "warn", text: "stale" },
  empty: { tone: "", text: "no readings" },
});

/** @param {HTMLElement} page @param {string} key @param {AbortSignal} end */
export async function twinPage(page, key, end) {
  document.title = `${key} · Counterpart`;
  fill(page, h("p", { class: "quiet" }, "Reading the asset…"));
  const asset = await api.asset(key);
  const type = await api.assetType(asset.type, asset.version);
  if (end.aborted) return;

  const feed = new Feed(asset, type, end);
  feed.window = Number(here().query.get("window")) || usualWindow(feed.interval);
  const trouble = h("div", {});
  const learning = modelsPanels(feed);
  const answered = h("section", { class: "panel", "aria-label": "Forecast in words" });
  fill(
    page,
    head(feed),
    trouble,
    h(
      "div",
      { class: "twin" },
      livePanel(feed),
      h("div", { class: "stack" }, statePanel(feed), answered, learning.job),
      h("div", { class: "wide", id: "what-if" }, whatIfPanel(feed)),
      h("div", { class: "wide", id: "models" }, learning.versions),
    ),
  );
  feed.on("problem", (error) => fill(trouble, problemBox(error, () => { fill(trouble); feed.readAll(); })));
  feed.on("state", () => trouble.childElementCount && fill(trouble));
  feed.on("prediction", () => forecastWords(answered, feed));
  stream.follow(key);
  await feed.start(feed.window);
}

/** @param {Feed} feed */
function head(feed) {
  const { asset } = feed;
  const badge = h("span", { class: "badge", "data-dot": "" });
  const age = h("span", {});
  const health = h("span", { class: "badge", hidden: true });
  const anomaly = h("span", { class: "badge", hidden: true });
  const draw = () => {
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
          age,
          h("span", {}, `type ${asset.type}${asset.version ? `, version ${asset.version}` : ""}`),
          h("span", {}, `a step is ${span(feed.interval)}`),
        ),
      ),
      h("nav", { class: "row push", "aria-label": "On this page" }, jump("What if", "what-if"), jump("Models", "models")),
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

/** A way down the page; the address after # is the page's own. @param {string} text @param {string} id */
function jump(text, id) {
  const go = () => document.getElementById(id)?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  return h("button", { type: "button", class: "small", onclick: go }, text);
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
