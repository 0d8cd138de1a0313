// @ts-check
/** What a version says otherwise than the one that serves, or than the one before it, to the scenarios that people keep. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { percent, quantity, time, unit } from "../format.js";

/** @param {import("../feed.js").Feed} feed @param {number} version @param {boolean} serves */
export function diffDetails(feed, version, serves) {
  const body = h("div", { class: "stack" });
  const read = async () => {
    fill(body, h("p", { class: "small quiet", role: "status" }, "Asking both versions…"));
    try {
      const found = await api.modelDiff(feed.asset.key, version, null, feed.end);
      fill(body, found.scenarios.length ? shown(found) : h("p", { class: "small quiet" }, "No scenario is saved. Save one in the What-if tab, and it is asked of both."));
    } catch (error) {
      if (!feed.end.aborted) fill(body, problemBox(error, read));
    }
  };
  const element = h("details", { "data-diff": version }, h("summary", {}, `Saved scenarios, beside what ${serves ? "served before" : "serves"}`), body);
  element.addEventListener("toggle", () => element.open && !body.childElementCount && read());
  return element;
}

/** What differs most, in a line. @param {any} found */
function most(found) {
  const parts = Object.entries(found.outputs).map(([name, gap]) => {
    const worst = gap.delta.largest > gap.baseline.largest ? gap.delta : gap.baseline;
    return `${name} ${quantity(worst.largest, gap.unit)} at step ${worst.step}${gap.share === null ? "" : `, ${percent(gap.share)} of its range`}`;
  });
  return parts.length ? `The answers differ at most by: ${parts.join("; ")}.` : "None of the scenarios can be asked any more.";
}

/** Limits that one of the two says are kept and the other that they are not. @param {any} found @param {(number: number) => string} name */
function limits(found, name) {
  const all = found.scenarios.flatMap((/** @type {any} */ scenario) => scenario.constraints.map((/** @type {any} */ one) => ({ ...one, scenario: scenario.name })));
  if (!all.length) return null;
  const turned = all.filter((/** @type {any} */ one) => one.met !== one.met_against);
  if (!turned.length) return h("p", { class: "small quiet", "data-turned": "0" }, all.length === 1 ? "The limit is judged the same by both." : `All ${all.length} limits are judged the same by both.`);
  const range = (/** @type {any} */ one) => [one.min === null ? null : `at least ${quantity(one.min, one.unit)}`, one.max === null ? null : `at most ${quantity(one.max, one.unit)}`].filter(Boolean).join(" and ");
  const line = (/** @type {any} */ one) => `${one.scenario}: ${one.signal} ${range(one)} is ${one.met ? "kept" : "broken"} as ${name(found.version)} sees it (kept with ${percent(one.kept)}), ${one.met_against ? "kept" : "broken"} as ${name(found.against)} does (kept with ${percent(one.kept_against)})`;
  return h("ul", { class: "words", "data-turned": String(turned.length) }, turned.map((/** @type {any} */ one) => h("li", {}, line(one))));
}

/** @param {any} found */
function shown(found) {
  const outputs = Object.keys(found.outputs);
  const name = (/** @type {number} */ number) => (number ? `version ${number}` : "the base model");
  const cells = (/** @type {any} */ gaps) => outputs.flatMap((output) => {
    const gap = gaps[output];
    return ["baseline", "delta"].map((part) => h("td", { class: "number", title: gap ? `largest at step ${gap[part].step}` : null }, gap ? `${quantity(gap[part].largest, gap.unit)} / ${quantity(gap[part].mean, gap.unit)}` : "–"));
  });
  const row = (/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, one.name), one.problem ? h("td", { colspan: outputs.length * 2, class: "words" }, one.problem) : cells(one.outputs));
  return [
    h("p", { class: "words", "data-most": "" }, most(found)),
    limits(found, name),
    h("p", { class: "small words" }, `How far the medians of ${name(found.version)} and ${name(found.against)} lie apart, both asked from ${time(found.as_of)}: the largest difference, and the mean over the steps.`),
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Saved scenarios, answered by ${name(found.version)} and ${name(found.against)}` },
      h(
        "table",
        { class: "data" },
        h("caption", { class: "sr" }, "Largest and mean difference by scenario and output"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Scenario"), outputs.flatMap((output) => [`${output}: future`, `${output}: effect`].map((text) => h("th", { scope: "col", class: "number" }, text, h("span", { class: "unit" }, ` ${unit(found.outputs[output].unit)}`)))))),
        h("tbody", {}, found.scenarios.map(row), found.scenarios.length > 1 ? h("tr", { "data-all": "" }, h("th", { scope: "row" }, "all"), cells(found.outputs)) : null),
      ),
    ),
    found.more ? h("p", { class: "small quiet" }, `The newest ${found.scenarios.length} scenarios; there are more.`) : null,
  ];
}
