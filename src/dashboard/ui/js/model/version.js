// @ts-check
/** One version in the timeline: its verdict, its scores, how it learned, what it can tell apart. */

import { api } from "../api.js";
import { keys } from "../chart.js";
import { fill, h, problemBox } from "../dom.js";
import { percent, time, utc } from "../format.js";
import { plot } from "../plot.js";
import { only } from "../role.js";
import { aheadScores } from "./ahead.js";
import { confusion } from "./confusion.js";
import { diffDetails } from "./diff.js";
import { responsesDetails } from "./responses.js";
import { scoresTable } from "./scores.js";
import { LEARNS, searchDetails } from "./search.js";

/**
 * @param {import("../feed.js").Feed} feed
 * @param {any} item of the API; null is the base model
 * @param {{serves: boolean, promote: () => void, base?: string}} use
 */
export function versionCard(feed, item, { serves, promote, base }) {
  const number = item?.version ?? 0;
  const badge = serves ? ["good", "serves"] : item?.probation?.state === "rolled_back" ? ["bad", "rolled back"] : item?.promoted || SERVED.includes(item?.probation?.state) ? ["", "served before"] : item?.probation?.state === "in_shadow" ? ["", "in the shadow"] : item ? ["warn", "not promoted"] : null;
  const gain = item?.scores?.vs_naive;
  return h(
    "li",
    { class: "version", "data-version": number, "data-serves": serves },
    h(
      "div",
      { class: "version-head" },
      h("h3", {}, item ? `Version ${number}` : "Base model"),
      badge ? h("span", { class: "badge", "data-tone": badge[0] }, badge[1]) : null,
      item ? h("span", { class: "quiet small", title: utc(item.created_at) }, time(item.created_at)) : null,
      h("span", { class: "quiet small", "data-base": item?.base ?? base }, item ? `on ${item.base}` : base),
      gain === undefined || gain === null ? null : h("span", { class: "small" }, `${percent(gain)} better than naive`),
      serves ? null : h("button", only("operate", { type: "button", class: "small push", onclick: promote, "aria-label": `Promote ${item ? `version ${number}` : "the base model"}` }), "Promote"),
    ),
    h("p", { class: "words" }, item ? item.reason : "Learned from many synthetic plants, nothing of this asset in it."),
    item?.note ? h("p", { class: "note" }, item.note) : null,
    item?.probation ? probation(item.probation) : null,
    item || !serves ? diffDetails(feed, number, serves) : null,
    item ? details("Scores on the holdout", serves, () => scores(item)) : null,
    item?.curve?.length > 1 ? details("How it learned", false, () => curve(item)) : null,
    item?.search ? searchDetails(feed, item) : null,
    item ? healthDetails(item) : null,
    item?.data ? details("What it learned from", false, () => [dataCard(item.data), item.data.bases?.length ? triedTable(item.data.bases) : null]) : null,
    responsesDetails(feed, number),
  );
}

const STANDS = /** @type {Record<string, string>} */ ({ on_probation: "On probation", kept: "Kept after its probation", rolled_back: "Rolled back by the server", replaced: "Not compared to the end", in_shadow: "In the shadow", promoted: "Promoted from the shadow", not_promoted: "Left in the shadow" });
/** States that only what served can have. */
const SERVED = ["on_probation", "kept", "promoted"];

/** How it did beside what served before it or, in the shadow, serves. @param {any} one */
function probation(one) {
  const tone = { kept: "good", promoted: "good", rolled_back: "bad" }[/** @type {string} */ (one.state)] ?? "";
  return h("p", { class: "words", "data-probation": one.state }, h("span", { class: "badge", "data-tone": tone }, STANDS[one.state] ?? one.state), ` ${one.reason}`, one.ended_at ? h("span", { class: "quiet small", title: utc(one.ended_at) }, ` ${time(one.ended_at)}`) : null);
}

/** Built when it is opened. @param {string} title @param {boolean} open @param {() => import("../dom.js").Child | import("../dom.js").Child[]} build */
function details(title, open, build) {
  const body = h("div", { class: "stack" });
  const element = h("details", { open }, h("summary", {}, title), body);
  const show = () => {
    const content = build();
    if (!body.childElementCount) fill(body, ...(Array.isArray(content) ? content : [content]));
  };
  if (open) show();
  else element.addEventListener("toggle", () => element.open && !body.childElementCount && show());
  return element;
}

/** @param {any} item */
function scores(item) {
  const leads = item.scores?.candidate?.by_lead ?? [];
  const middle = (/** @type {any} */ lead) => (lead.from_step + lead.to_step) / 2;
  const at = (/** @type {string} */ field) => leads.map((/** @type {any} */ lead) => [middle(lead), lead[field] ?? NaN]);
  const level = (/** @type {number} */ value) => leads.map((/** @type {any} */ lead) => [middle(lead), value]);
  return [
    scoresTable(item.scores, `version ${item.version}`),
    leads.length > 1
      ? h(
        "div",
        {},
        h("p", { class: "legend" }, "What its bands held, by lead time"),
        keys({ text: "80\u202f% band", color: "forecast" }, { text: "95\u202f% band", color: "series-2" }, { text: "honest", color: "baseline", kind: "dash" }),
        plot({
          title: "Share of the truth inside the bands by lead time",
          x: "steps ahead",
          show: (value) => percent(value),
          range: [Math.min(0.5, ...leads.map((/** @type {any} */ lead) => lead.coverage_80)), 1],
          curves: [
            { name: "80 % band", color: "forecast", points: at("coverage_80") },
            { name: "95 % band", color: "series-2", points: at("coverage_95") },
            { name: "honest 80 %", color: "baseline", dash: true, points: level(0.8) },
            { name: "honest 95 %", color: "baseline", dash: true, points: level(0.95) },
          ],
        }),
      )
      : null,
  ];
}

/** Losses step by step, as a picture with its key. @param {string} title @param {any[]} points */
export function losses(title, points) {
  return [
    keys({ text: "training loss", color: "series-2" }, { text: "validation loss", color: "series-1" }),
    plot({
      title,
      x: "steps",
      curves: [
        { name: "training loss", color: "series-2", points: points.map((one) => [one.step, one.train_loss]) },
        { name: "validation loss", color: "series-1", points: points.map((one) => [one.step, one.validation_loss]) },
      ],
    }),
  ];
}

/** @param {any} item */
function curve(item) {
  const recipe = item.recipe;
  return [
    ...losses(`Training curve of version ${item.version}`, item.curve),
    h("p", { class: "small quiet", "data-learns": recipe.freeze ?? "head" }, `Learned: ${LEARNS[recipe.freeze ?? "head"] ?? recipe.freeze}. ${recipe.optimizer}, ${recipe.loss}, learning rate ${recipe.learning_rate ?? "chosen"}, batch ${recipe.batch}, dropout ${recipe.dropout}, L1 ${recipe.l1}, L2 ${recipe.l2}, seed ${recipe.seed}`),
  ];
}

/** The health verdict is its job's. @param {any} item */
function healthDetails(item) {
  const body = h("div", { class: "stack" });
  const read = async () => {
    try {
      const job = await api.job(item.job);
      const health = job.verdict?.health;
      if (!health) fill(body, h("p", { class: "small quiet" }, "It learned no health classes: there were no labels, or too few."));
      else fill(body, h("p", { class: "words small" }, health.reason), health.candidate ? confusion(health.candidate, `Confusion on ${health.candidate.cases} labelled steps that it never saw: rows are the truth, columns what it said`, `Confusion matrix of version ${item.version}`) : null, health.ahead ? aheadScores(health.ahead, item.version) : null, health.left_out.length ? h("p", { class: "small quiet" }, `Too few labelled steps: ${health.left_out.join(", ")}`) : null);
    } catch (error) {
      fill(body, problemBox(error, read));
    }
  };
  const element = h("details", { "data-health-of": item.version }, h("summary", {}, "Health classes"), body);
  element.addEventListener("toggle", () => element.open && !body.childElementCount && read());
  return element;
}

/** Base models that were tried. @param {any[]} bases */
function triedTable(bases) {
  return h(
    "table",
    { class: "data", "data-tried": String(bases.length) },
    h("caption", {}, "Base models on the validation windows; the least loss was learned on"),
    h("thead", {}, h("tr", {}, ["Base model", "Loss"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, bases.map((one) => h("tr", {}, h("th", { scope: "row" }, one.base), h("td", {}, one.loss === null ? "no answer" : one.loss.toFixed(4))))),
  );
}

/** @param {any} data */
function dataCard(data) {
  const removed = (data.signals ?? []).filter((/** @type {any} */ one) => Object.values(one.removed ?? {}).some((/** @type {any} */ count) => count > 0));
  return h("p", { class: "small words" }, `${data.frames} frames${data.first ? `, ${time(data.first)} to ${time(data.last)}` : ""}, in ${data.segments} ${data.segments === 1 ? "stretch" : "stretches"}; ${data.dropped_frames} left out as a whole. Windows: ${data.windows.fresh} fresh and ${data.windows.replay} replayed teach, ${data.windows.stopping} stop, ${data.windows.calibrating} calibrate, ${data.windows.holdout} judge.${removed.length ? ` Values left out of ${removed.map((/** @type {any} */ one) => one.signal).join(", ")}.` : ""}`);
}
