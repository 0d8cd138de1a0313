// @ts-check
/** What was learned on an asset: the running job, the versions, why each serves or does not. */

import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { time, utc } from "../format.js";
import { jobCard, unfinished } from "../jobs.js";
import { scoresTable } from "./scores.js";

/**
 * Two panels over the same data: the newest job, and the versions.
 * @param {import("../feed.js").Feed} feed
 */
export function modelsPanels(feed) {
  const key = feed.asset.key;
  const trouble = h("div", {});
  const job = h("div", { "data-job": "" });
  const versions = h("div", { class: "versions" });
  const start = h("button", { type: "button", class: "primary small", onclick: () => act(() => api.startJob({ asset: key }).then(showJob)) }, "Fine-tune now");
  const back = h("button", { type: "button", class: "small", hidden: true, onclick: () => rollBack() }, "Roll back");
  const learning = h(
    "section",
    { class: "panel", "aria-label": "Learning", "data-panel": "learning" },
    h("div", { class: "panel-head" }, h("h2", {}, "Learning"), h("span", { class: "push" }, start)),
    h("div", { class: "panel-body stack" }, trouble, job),
  );
  const all = h("section", { class: "panel", "aria-label": "Models", "data-panel": "models" }, h("div", { class: "panel-head" }, h("h2", {}, "Models"), h("span", { class: "push" }, back)), versions);

  /** @param {() => Promise<any>} work */
  const act = async (work) => {
    try {
      fill(trouble);
      await work();
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, problemBox(error));
    }
  };
  const rollBack = async () => {
    if (!(await confirmed("Roll back to what served before?", "The version that served before answers again at once. Nothing is deleted.", "Roll back"))) return;
    await act(() => api.rollBack(key));
    await readModels();
  };
  /** @param {number} version */
  const promote = async (version) => {
    const name = version ? `version ${version}` : "the base model";
    if (!(await confirmed(`Let ${name} serve?`, "It answers the next forecasts and what-ifs. What serves now stays and can be rolled back to.", "Promote"))) return;
    await act(() => api.promote(key, version));
    await readModels();
  };

  /** @param {any} newest */
  const showJob = (newest) => {
    start.disabled = Boolean(newest && unfinished(newest));
    start.title = start.disabled ? "A job is under way" : "";
    fill(
      job,
      newest
        ? jobCard(newest, { cancel: () => act(() => api.cancelJob(newest.id)), name: false })
        : h("p", { class: "quiet" }, "Nothing has been learned yet. A job starts by itself once enough readings have come, or now with the button above."),
    );
  };
  const readJobs = () => act(async () => showJob((await api.jobs({ asset: key, limit: 1 })).items[0]));
  const readModels = () => act(async () => {
    const models = await api.models(key);
    back.hidden = !models.champion;
    fill(versions, versionList(models, promote));
    versions.dataset.count = String(models.items.length);
  });

  feed.on("job", (changed) => {
    showJob(changed);
    if (!unfinished(changed)) readModels();
  });
  readJobs();
  readModels();
  return { job: learning, versions: all };
}

/** @param {import("../feed.js").Feed} feed */
export function modelsTab(feed) {
  const { job, versions } = modelsPanels(feed);
  return h("div", { class: "stack" }, job, versions);
}

/** @param {any} models @param {(version: number) => void} promote */
function versionList(models, promote) {
  const base = models.items[0]?.base;
  return [
    ...models.items.map((/** @type {any} */ item) => version(item, item.version === models.champion, promote)),
    h(
      "article",
      { class: "version" },
      h(
        "div",
        { class: "version-head" },
        h("h3", {}, "Base model"),
        models.champion ? null : h("span", { class: "badge", "data-tone": "good" }, "serves"),
        base ? h("span", { class: "quiet small" }, base) : null,
        models.champion ? h("button", { type: "button", class: "small push", onclick: () => promote(0) }, "Promote") : null,
      ),
      h("p", { class: "words" }, "Learned from many synthetic plants, nothing of this asset in it."),
    ),
  ];
}

/** @param {any} item @param {boolean} serves @param {(version: number) => void} promote */
function version(item, serves, promote) {
  const badge = serves ? ["good", "serves"] : item.promoted ? ["", "served before"] : ["warn", "not promoted"];
  const scores = scoresTable(item.scores);
  return h(
    "article",
    { class: "version", "data-version": item.version },
    h(
      "div",
      { class: "version-head" },
      h("h3", {}, `Version ${item.version}`),
      h("span", { class: "badge", "data-tone": badge[0] }, badge[1]),
      h("span", { class: "quiet small", title: utc(item.created_at) }, time(item.created_at)),
      serves ? null : h("button", { type: "button", class: "small push", onclick: () => promote(item.version) }, "Promote"),
    ),
    item.reason ? h("p", { class: "words" }, item.reason) : null,
    scores ? h("details", { open: serves }, h("summary", {}, "Scores on the holdout"), scores) : null,
  );
}
