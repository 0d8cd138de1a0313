// @ts-check
/** The scenarios of a plan as tabs: choose, add, duplicate, rename, remove, save, bring back. */

import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { asked, field, words } from "../form.js";
import { only } from "../role.js";
import { aimsOf, MOST, overrides } from "./plan.js";
import { coursesOf } from "./course.js";

/**
 * @param {import("../feed.js").Feed} feed
 * @param {{plan: () => import("./plan.js").Plan, active: () => number, choose: (index: number) => void, changed: () => void, add: () => void}} use
 */
export function shelf(feed, use) {
  const key = feed.asset.key;
  const trouble = h("div", {});
  const tabs = h("div", { class: "scenario-tabs", role: "group", "aria-label": "Scenarios" });
  const tools = h("div", { class: "row" });
  const kept = h("div", { class: "row kept" });
  const element = h("div", { class: "shelf" }, h("div", { class: "row" }, tabs, tools), kept, trouble);
  /** @type {any[]} */
  let saved = [];

  /** @param {() => Promise<any>} work */
  const act = async (work) => {
    try {
      fill(trouble);
      await work();
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, problemBox(error));
    }
  };
  const present = () => use.plan().scenarios[use.active()];
  const unique = (/** @type {string} */ name) => {
    const taken = new Set(use.plan().scenarios.map((one) => one.name));
    let fresh = name;
    for (let i = 2; taken.has(fresh); i += 1) fresh = `${name} ${i}`;
    return fresh;
  };
  /** @param {import("./plan.js").Scenario} scenario */
  const put = (scenario) => {
    const plan = use.plan();
    if (plan.scenarios.length >= MOST) return;
    plan.scenarios.push({ ...scenario, name: unique(scenario.name) });
    use.choose(plan.scenarios.length - 1);
    use.changed();
  };
  const duplicate = () => put({ ...structuredClone(present()), name: `${present().name} (copy)`, saved: null });
  const remove = () => {
    const plan = use.plan();
    plan.scenarios.splice(use.active(), 1);
    use.choose(Math.max(0, use.active() - 1));
    use.changed();
  };
  const rename = async () => {
    const scenario = present();
    const input = h("input", { type: "text", maxlength: 200, value: scenario.name });
    await asked({
      title: "Rename the scenario",
      submit: "Rename",
      send: async () => {
        const name = words(input);
        if (!name) throw { errors: [{ pointer: "/name", detail: "give it a name" }] };
        if (saved.some((one) => one.id === scenario.saved)) await api.changeScenario(key, scenario.saved ?? "", { name });
        scenario.name = use.plan().scenarios.some((one) => one !== scenario && one.name === name) ? unique(name) : name;
      },
    }, field("Name", input, { pointer: "/name", wide: true }));
    use.changed();
    await read();
  };
  const save = () => act(async () => {
    const scenario = present();
    const plan = use.plan();
    const body = { name: scenario.name, overrides: overrides(scenario, plan.horizon), horizon: plan.horizon, ...aimsOf(plan), limits: plan.clamp ? "clamp" : "refuse" };
    const known = saved.some((one) => one.id === scenario.saved);
    const answer = known && scenario.saved ? await api.changeScenario(key, scenario.saved, body) : await api.saveScenario(key, body);
    scenario.saved = answer.id;
    use.changed();
    await read();
  });
  /** @param {any} one as it is kept */
  const bring = (one) => {
    const plan = use.plan();
    const { courses, fixed } = coursesOf(one.overrides, one.horizon ?? plan.horizon);
    put({ name: one.name, courses, fixed, saved: one.id });
  };
  /** @param {any} one */
  const forget = async (one) => {
    if (!(await confirmed(`Delete the saved scenario “${one.name}”?`, "Its runs go with it. A copy that is open here stays until you close it.", "Delete"))) return;
    await act(() => api.removeScenario(key, one.id));
    for (const scenario of use.plan().scenarios) if (scenario.saved === one.id) scenario.saved = null;
    await read();
  };
  const read = async () => {
    try {
      saved = (await api.scenarios(key)).items;
    } catch {
      saved = [];
    }
    if (!feed.end.aborted) draw();
  };
  const draw = () => {
    const plan = use.plan();
    const scenario = present();
    const full = plan.scenarios.length >= MOST;
    const focused = element.contains(document.activeElement) ? document.activeElement?.getAttribute("data-act") : null;
    fill(tabs, plan.scenarios.map((one, i) => h("button", { type: "button", "aria-pressed": String(i === use.active()), "data-act": `tab-${i}`, onclick: () => use.choose(i) }, h("i", { class: `dot c-series-${i + 1}` }), h("span", {}, one.name))));
    const look = (/** @type {string} */ text, /** @type {() => any} */ run, disabled = false) => ({ type: "button", class: "small", "data-act": text, disabled, onclick: run });
    const tool = (/** @type {string} */ text, /** @type {() => any} */ run, disabled = false) => h("button", look(text, run, disabled), text);
    /** What changes something that is kept. */
    const keeping = (/** @type {string} */ text, /** @type {() => any} */ run) => h("button", only("operate", look(text, run)), text);
    fill(
      tools,
      tool("Add", () => use.add(), full),
      scenario ? [tool("Duplicate", duplicate, full), scenario.saved ? keeping("Rename", rename) : tool("Rename", rename), keeping(scenario.saved ? "Save again" : "Save", save), tool("Remove", remove, plan.scenarios.length < 2)] : null,
      full ? h("span", { class: "small quiet" }, `${MOST} at most`) : null,
    );
    const apart = saved.filter((one) => !plan.scenarios.some((open) => open.saved === one.id));
    kept.hidden = !saved.length;
    fill(kept, h("span", { class: "small quiet" }, "Saved:"), apart.length ? apart.map((one) => h("span", { class: "saved", "data-saved": one.id }, h("button", { type: "button", class: "small", disabled: full, onclick: () => bring(one) }, one.name), h("button", only("operate", { type: "button", class: "small bare", "aria-label": `Delete the saved scenario ${one.name}`, onclick: () => forget(one) }), "×"))) : h("span", { class: "small quiet" }, "all of them are open"));
    if (focused) /** @type {HTMLElement | null} */ (element.querySelector(`[data-act="${CSS.escape(focused)}"]`))?.focus();
  };
  read();
  return { element, draw, put };
}
