// @ts-check
/** Fine-tune jobs: one as a card, all of them as a page. */

import { api } from "./api.js";
import { fill, h, problemBox } from "./dom.js";
import { percent, span, time, utc } from "./format.js";
import { assetLink } from "./router.js";
import { scoresTable } from "./model/scores.js";
import { stream } from "./stream.js";

const TONES = /** @type {Record<string, string>} */ ({ pending: "", running: "", succeeded: "good", failed: "bad", cancelled: "warn" });
const CAUSES = /** @type {Record<string, string>} */ ({ request: "asked for by a person", fresh_readings: "started by itself, enough fresh readings had come" });

/** @param {any} job */
export const unfinished = (job) => job.status === "pending" || job.status === "running";

/**
 * @param {any} job
 * @param {{cancel?: () => void, name: boolean}} use
 */
export function jobCard(job, { cancel, name }) {
  const verdict = job.verdict;
  const moving = unfinished(job);
  const took = job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
  return h(
    "article",
    { class: "stack job-row", "data-job-status": job.status, "data-job-id": job.id },
    h(
      "div",
      { class: "version-head" },
      name ? h("h2", {}, h("a", { href: assetLink(job.asset) }, job.asset)) : h("h3", {}, moving ? "Learning" : "Newest job"),
      h("span", { class: "badge", "data-tone": TONES[job.status] ?? "" }, job.status),
      verdict ? h("span", { class: "badge", "data-tone": verdict.promoted ? "good" : "warn" }, verdict.promoted ? "promoted" : "not promoted") : null,
      h("span", { class: "quiet small", title: utc(job.created_at) }, time(job.created_at)),
      moving && cancel ? h("button", { type: "button", class: "small push", onclick: cancel }, "Cancel") : null,
    ),
    moving
      ? h(
        "div",
        {},
        h("progress", { max: 1, value: job.progress ?? 0, "aria-label": `Progress of learning on ${job.asset}` }),
        h("p", { class: "small quiet" }, [percent(job.progress ?? 0), String(job.stage ?? "").replaceAll("_", " "), job.eta_s ? `about ${span(job.eta_s)} left` : ""].filter(Boolean).join("  ·  ")),
      )
      : null,
    verdict?.reason ? h("p", { class: "words", "data-verdict": verdict.promoted ? "promoted" : "kept" }, verdict.reason) : null,
    job.error ? h("p", { class: "problem" }, job.error) : null,
    h("p", { class: "small quiet" }, [CAUSES[job.cause] ?? job.cause, took === null ? "" : `took ${span(took)}`, job.model_version ? `made version ${job.model_version}` : ""].filter(Boolean).join("  ·  ")),
    verdict && name ? scoresTable(verdict) : null,
  );
}

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function jobsPage(page, end) {
  document.title = "Jobs · Counterpart";
  const list = h("div", {});
  const trouble = h("div", {});
  fill(page, h("div", { class: "page-head" }, h("h1", {}, "Jobs")), trouble, h("section", { class: "panel", "aria-label": "Fine-tune jobs" }, list));
  /** @type {any[]} */
  let jobs = [];
  const draw = () => fill(
    list,
    jobs.length
      ? jobs.map((job) => h("div", { class: "version" }, jobCard(job, { name: true, cancel: () => api.cancelJob(job.id).catch((error) => fill(trouble, problemBox(error))) })))
      : h("p", { class: "panel-body quiet" }, "No job yet. One starts by itself once an asset has enough fresh readings; its page can start one now."),
  );
  const read = async () => {
    jobs = (await api.jobs({ limit: 100 })).items;
    if (!end.aborted) draw();
  };
  stream.on("job", (changed) => {
    const index = jobs.findIndex((job) => job.id === changed.id);
    if (index < 0) jobs.unshift(changed);
    else jobs[index] = changed;
    draw();
  }, end);
  stream.on("resync", () => read().catch(() => {}), end);
  stream.follow(null);
  await read();
}
