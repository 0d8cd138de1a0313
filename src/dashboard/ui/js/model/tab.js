// @ts-check
/** What was learned on an asset: the running job, the versions, why each serves or does not, and backtests of them. */

import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { follows, jobCard, redraw, unfinished } from "../jobs.js";
import { may, only } from "../role.js";
import { backtestPanel } from "./backtest.js";
import { recipeForm } from "./recipe.js";
import { losses, versionCard } from "./version.js";

/** @param {import("../feed.js").Feed} feed */
export function modelsTab(feed) {
  const key = feed.asset.key;
  const trouble = h("div", {});
  const job = h("div", { "data-job": "" });
  const versions = h("ol", { class: "timeline" });
  const start = h("button", only("operate", { type: "button", class: "primary small", onclick: () => act(() => api.startJob({ asset: key }).then(showJob)) }), "Fine-tune now");
  const back = h("button", only("operate", { type: "button", class: "small", hidden: true, onclick: () => rollBack() }), "Roll back");
  const recipe = recipeForm(key, (made) => showJob(made));
  const backtests = backtestPanel(feed);

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

  /** The job that is shown, and its card. @type {{job: any, card: HTMLElement} | null} */
  let newest = null;
  const curve = h("div", {});
  /** @param {any} told */
  const showJob = (told) => {
    if (told && !follows(told, newest?.job)) return;
    const busy = Boolean(told && unfinished(told));
    if (may("operate")) {
      start.disabled = busy;
      start.title = busy ? "A job is under way" : "";
    }
    recipe.hidden = busy;
    fill(curve, busy && told.curve?.length > 1 ? h("div", { "data-curve": String(told.curve.length) }, losses("Training curve of the job", told.curve)) : null);
    if (!told) {
      newest = null;
      fill(job, h("p", { class: "quiet" }, "Nothing has been learned yet. A job starts by itself once enough readings have come, or now with the button above."));
      return;
    }
    const card = redraw(newest?.card, newest?.job, told, jobCard(told, { cancel: () => act(() => api.cancelJob(told.id).then(showJob)), name: false }));
    const kept = card === newest?.card;
    newest = { job: told, card };
    if (kept) return;
    const focused = job.contains(document.activeElement);
    fill(job, card, curve);
    if (focused) card.querySelector("button")?.focus();
  };
  const readJobs = () => act(async () => showJob((await api.jobs({ asset: key, limit: 1 })).items[0]));
  /** What the list says; drawn anew only when that changes, so that what a person has opened stays open. */
  let shown = "";
  const readModels = () => act(async () => {
    const models = await api.models(key);
    const text = JSON.stringify([models.champion, models.items.map((/** @type {any} */ item) => [item.version, item.probation?.state, item.probation?.began_at])]);
    if (text === shown || feed.end.aborted) return;
    shown = text;
    back.hidden = !models.champion;
    backtests.know(models.items.map((/** @type {any} */ item) => item.version));
    fill(
      versions,
      models.items.map((/** @type {any} */ item) => versionCard(feed, item, { serves: item.version === models.champion, promote: () => promote(item.version) })),
      versionCard(feed, null, { serves: !models.champion, promote: () => promote(0), base: models.base }),
    );
    versions.dataset.count = String(models.items.length);
  });

  feed.on("job", (changed) => {
    showJob(changed);
    if (!unfinished(changed)) readModels();
  });
  feed.on("model", () => readModels());
  feed.on("tab", (tab) => {
    if (tab !== "models") return;
    readJobs();
    readModels();
  });
  return h(
    "div",
    { class: "models" },
    h(
      "section",
      { class: "panel", "aria-label": "Models", "data-panel": "models" },
      h("div", { class: "panel-head" }, h("h2", {}, "Versions"), h("span", { class: "push" }, back)),
      versions,
    ),
    h(
      "section",
      { class: "panel", "aria-label": "Learning", "data-panel": "learning" },
      h("div", { class: "panel-head" }, h("h2", {}, "Learning"), h("span", { class: "push" }, start)),
      h("div", { class: "panel-body stack" }, trouble, job, recipe),
    ),
    backtests.element,
  );
}
