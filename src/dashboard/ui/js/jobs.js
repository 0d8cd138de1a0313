// @ts-check
/** Fine-tune jobs: one as a card, all of them as a page. */

import { api } from "./api.js";
import { fill, h, problemBox, renew } from "./dom.js";
import { choice, field } from "./form.js";
import { percent, span, time, utc } from "./format.js";
import { assetLink, here, remember } from "./router.js";
import { only } from "./role.js";
import { scoresTable } from "./model/scores.js";
import { stream } from "./stream.js";
import { command } from "./welcome.js";

const TONES = /** @type {Record<string, string>} */ ({ pending: "", running: "", succeeded: "good", failed: "bad", cancelled: "warn" });
const STATUSES = { "": "all", pending: "pending", running: "running", succeeded: "succeeded", failed: "failed", cancelled: "cancelled" };
const CAUSES = /** @type {Record<string, string>} */ ({ request: "asked for by a person", fresh_readings: "started by itself, enough fresh readings had come", drift: "started by itself, the signals had drifted", errors: "started by itself, the forecasts had got worse", schedule: "started by itself, it was time" });

/** @param {any} job */
export const unfinished = (job) => job.status === "pending" || job.status === "running";

/**
 * Whether a job can take the place of another: not one that goes on that of itself after its end, as an answer may that
 * was under way while the stream told of the end.
 * @param {any} job @param {any} shown
 */
export const follows = (job, shown) => job.id !== shown?.id || unfinished(shown) || !unfinished(job);

/**
 * Shows what became of a job on its card: one that goes on keeps its card, and with it the button that stops it.
 * @param {HTMLElement | undefined} card the one that is shown
 * @param {any} shown the job on it
 * @param {any} job
 * @param {HTMLElement} fresh
 */
export function redraw(card, shown, job, fresh) {
  if (!card || shown?.id !== job.id || !unfinished(shown) || !unfinished(job)) return fresh;
  renew(card, fresh);
  return card;
}

/**
 * @param {any} job
 * @param {{cancel?: () => void, name: boolean}} use
 */
export function jobCard(job, { cancel, name }) {
  const verdict = job.verdict;
  const moving = unfinished(job);
  const took = job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
  const scores = verdict && name ? scoresTable(verdict, `the job on ${job.asset} of ${time(job.created_at)}`) : null;
  return h(
    "article",
    { class: scores ? "job-row scored" : "job-row", "data-job-status": job.status, "data-job-id": job.id },
    h(
      "div",
      { class: "job-words" },
      h(
        "div",
        { class: "version-head" },
        name ? h("h2", {}, h("a", { href: assetLink(job.asset) }, job.asset)) : h("h3", {}, moving ? "Learning" : "Newest job"),
        h("span", { class: "badge", "data-tone": TONES[job.status] ?? "" }, job.status),
        verdict ? h("span", { class: "badge", "data-tone": verdict.promoted ? "good" : "warn" }, verdict.promoted ? "promoted" : "not promoted") : null,
        h("span", { class: "quiet small", title: utc(job.created_at) }, time(job.created_at)),
        moving && cancel ? h("button", only("operate", { type: "button", class: "small push", disabled: job.cancel_requested, onclick: cancel }), job.cancel_requested ? "Stopping" : "Cancel") : null,
      ),
      moving
        ? h(
          "div",
          {},
          h("progress", { max: 1, value: job.progress ?? 0, "aria-label": `Progress of learning on ${job.asset}` }),
          h("p", { class: "small quiet" }, [percent(job.progress ?? 0), String(job.stage ?? "").replaceAll("_", " "), job.stage === "learning" && Number.isInteger(job.rung) ? `search, rung ${job.rung}` : "", job.eta_s ? `about ${span(job.eta_s)} left` : ""].filter(Boolean).join("  ·  ")),
        )
        : null,
      verdict?.reason ? h("p", { class: "words", "data-verdict": verdict.promoted ? "promoted" : "kept" }, verdict.reason) : null,
      job.rolled_back ? h("p", { class: "words", "data-rolled-back": "" }, h("span", { class: "badge", "data-tone": "bad" }, "rolled back"), ` ${job.rolled_back}`) : null,
      job.error ? h("p", { class: "problem" }, job.error) : null,
      h("p", { class: "small quiet" }, [[CAUSES[job.cause] ?? job.cause, job.why].filter(Boolean).join(": "), took === null ? "" : `took ${span(took)}`, job.model_version ? `made version ${job.model_version}` : ""].filter(Boolean).join("  ·  ")),
    ),
    scores,
  );
}

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function jobsPage(page, end) {
  document.title = "Jobs · Counterpart";
  const list = h("div", {});
  const nothing = h("div", { class: "panel-body", hidden: true });
  const trouble = h("div", {});
  fill(page, h("div", { class: "page-head" }, h("h1", {}, "Jobs")), trouble, h("section", { class: "panel", "aria-label": "Fine-tune jobs" }, list, nothing));
  /** @type {Map<string, {row: HTMLElement, job: any}>} only the job that changed is drawn anew */
  const rows = new Map();
  const status = choice(STATUSES, here().query.get("status") ?? "");
  status.addEventListener("change", () => {
    remember({ status: status.value });
    read().catch((error) => fill(trouble, problemBox(error)));
  });
  page.querySelector(".page-head")?.append(h("div", { class: "filters push" }, field("Status", status)));
  /** @param {any} job @param {boolean} newest */
  const put = (job, newest) => {
    const old = rows.get(job.id);
    if (!follows(job, old?.job)) return;
    const cancel = () => api.cancelJob(job.id).then((asked) => put(asked, false)).catch((error) => fill(trouble, problemBox(error)));
    const row = redraw(old?.row, old?.job, job, h("div", { class: "version" }, jobCard(job, { name: true, cancel })));
    rows.set(job.id, { row, job });
    if (row === old?.row) return;
    const focused = old?.row.contains(document.activeElement);
    if (old) old.row.replaceWith(row);
    else if (newest) list.prepend(row);
    else list.append(row);
    if (focused) row.querySelector("button")?.focus();
  };
  const settle = () => {
    nothing.hidden = rows.size > 0;
    if (!rows.size && !nothing.childElementCount) nothing.append(h("p", { class: "words" }, "No job. One starts by itself once an asset has enough fresh readings; its page can start one now, and so can a command:"), command(`curl -X POST ${location.origin}/v1/fine-tune-jobs -H 'content-type: application/json' -d '{"asset":"demo-plant"}'`, "the command that starts a job"));
  };
  const read = async () => {
    const { items } = await api.jobs({ limit: 100, status: status.value });
    if (end.aborted) return;
    rows.clear();
    fill(list);
    for (const job of items) put(job, false);
    settle();
  };
  stream.on("job", (changed) => {
    if (status.value && changed.status !== status.value && !rows.has(changed.id)) return;
    put(changed, true);
    settle();
  }, end);
  stream.on("resync", () => read().catch(() => {}), end);
  stream.follow(null);
  await read();
}
