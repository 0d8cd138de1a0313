// @ts-check
/** Whether the readings can be believed, signal by signal, and whether there are enough to learn from. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { number, percent, span, time, unit, utc } from "../format.js";
import { SVG } from "../spark.js";

/** QARTOD's flags, the order of the bar. */
const FLAGS = /** @type {Record<number, {name: string, tone: string, count: string}>} */ ({
  1: { name: "pass", tone: "good", count: "pass" },
  3: { name: "suspect", tone: "warn", count: "suspect" },
  4: { name: "fail", tone: "bad", count: "fail" },
  9: { name: "missing", tone: "", count: "missing" },
  2: { name: "not evaluated", tone: "", count: "not_evaluated" },
});
const TESTS = /** @type {Record<string, string>} */ ({ source: "source's own quality", gap: "gap", gross_range: "gross range", spike: "spike", rate_of_change: "rate of change", flat_line: "flat line", unit_jump: "unit jump", duplicate: "duplicate", clock: "clock" });
const BASES = /** @type {Record<string, string>} */ ({ declared: "from the type", data: "from the data", fixed: "", none: "not applicable" });

/** @param {import("../feed.js").Feed} feed */
export function dataHealthPanel(feed) {
  const facts = h("div", { class: "facts-grid" });
  const body = h("div", {});
  const trouble = h("div", {});
  const again = h("button", { type: "button", class: "small", onclick: () => read() }, "Look again");
  const element = h("section", { class: "panel", "aria-label": "Data health", "data-panel": "data-health" }, h("div", { class: "panel-head" }, h("h2", {}, "Data health"), h("span", { class: "push" }, again)), trouble, facts, body);

  const read = async () => {
    again.disabled = true;
    try {
      const health = await api.dataHealth(feed.asset.key);
      if (feed.end.aborted) return;
      fill(trouble);
      draw(health);
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, h("div", { class: "panel-body" }, problemBox(error, read)));
    } finally {
      again.disabled = false;
    }
  };
  /** @param {any} health */
  const draw = (health) => {
    element.dataset.frames = String(health.frames);
    const readiness = health.readiness;
    const enough = readiness?.version?.enough;
    fill(
      facts,
      fact("Frames looked at", String(health.frames), health.first ? `${time(health.first)} to ${time(health.last)}` : ""),
      fact("Steps with a frame", health.frames ? percent(health.coverage) : "–", health.frames ? `a step is ${span(health.step_s)}, ${health.timing.silent_steps} are silent` : ""),
      fact("Left out of fine-tuning", String(health.dropped_frames), "frames that fail"),
      h("div", { class: "fact" }, h("span", { class: "small quiet" }, "Enough to learn from"), h("strong", { class: "fact-word" }, h("span", { class: "badge", "data-tone": enough ? "good" : "warn" }, enough ? "yes" : "not yet")), h("span", { class: "small quiet" }, readiness?.summary ?? "")),
    );
    fill(body, h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Flags by signal" }, h(
      "table",
      { class: "data health-table" },
      h("caption", { class: "sr" }, "QARTOD flags by signal"),
      h("thead", {}, h("tr", {}, ["Signal", "Worst flag", "Usable", "Flags of its values", "What is done", "Tests"].map((name, i) => h("th", { scope: "col", class: i === 2 ? "number" : "" }, name)))),
      h("tbody", {}, health.signals.map(signalRow), h("tr", {}, h("th", { scope: "row" }, "time stamps"), h("td", {}), h("td", {}), h("td", {}), h("td", { class: "small quiet" }, "of the frames themselves"), h("td", {}, tests(health.timing, "time stamps")))),
    )));
  };
  feed.on("tab", (name) => name === "data" && read());
  return element;
}

/** @param {string} name @param {string} value @param {string} more */
const fact = (name, value, more) => h("div", { class: "fact" }, h("span", { class: "small quiet" }, name), h("strong", { class: "fact-word" }, value), h("span", { class: "small quiet" }, more));

/** @param {any} signal */
function signalRow(signal) {
  const worst = FLAGS[signal.worst];
  return h(
    "tr",
    { "data-signal": signal.signal },
    h("th", { scope: "row" }, signal.signal, h("span", { class: "unit" }, ` ${unit(signal.unit)}`)),
    h("td", {}, h("span", { class: "badge", "data-tone": worst?.tone ?? "", "data-flag": signal.worst }, worst?.name ?? String(signal.worst))),
    h("td", { class: "number" }, percent(signal.usable)),
    h("td", { class: "flags-cell" }, flagBar(signal.counts)),
    h("td", { class: "small words" }, signal.action),
    h("td", {}, tests(signal, signal.signal)),
  );
}

/** Shares of the flags as one bar, and in words. @param {any} counts */
function flagBar(counts) {

  const sum = Object.values(FLAGS).reduce((all, { count }) => all + counts[count], 0);
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("class", "flag-bar");
  bar.setAttribute("viewBox", "0 0 100 8");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("aria-hidden", "true");
  let x = 0;
  for (const [flag, { count }] of [1, 3, 4, 9, 2].map((one) => /** @type {const} */ ([one, FLAGS[one]]))) {
    if (!counts[count]) continue;
    // What is rare must still be seen.
    const width = Math.max((counts[count] / sum) * 100, 1.5);
    const part = document.createElementNS(SVG, "rect");
    part.setAttribute("class", `flag-${flag}`);
    for (const [name, value] of Object.entries({ x, y: 0, width, height: 8 })) part.setAttribute(name, String(value));
    bar.append(part);
    x += width;
  }
  bar.setAttribute("viewBox", `0 0 ${Math.max(x, 1)} 8`);
  const named = Object.values(FLAGS).filter(({ count }) => counts[count]).map(({ name, count }) => `${counts[count]} ${name}`);
  return h("div", {}, bar, h("span", { class: "small quiet" }, named.join(", ") || "no values"));
}

/** @param {any} of with tests and stretches @param {string} name */
function tests(of, name) {
  const found = of.tests.filter((/** @type {any} */ test) => test.counts.suspect + test.counts.fail > 0).length;
  return h(
    "details",
    {},
    h("summary", {}, h("span", { class: "sr" }, `Tests of ${name}: `), found ? `${found} of ${of.tests.length} found something` : `${of.tests.length}, nothing found`),
    h("ul", { class: "tests small" }, of.tests.map((/** @type {any} */ test) => h(
      "li",
      {},
      h("strong", {}, TESTS[test.test] ?? test.test),
      ` ${Object.values(FLAGS).filter(({ count }) => test.counts[count]).map(({ name: flag, count }) => `${test.counts[count]} ${flag}`).join(", ")}`,
      h("span", { class: "quiet" }, Object.keys(test.thresholds).length ? ` (${Object.entries(test.thresholds).map(([key, value]) => `${key.replaceAll("_", " ")} ${number(value)}`).join(", ")}${BASES[test.basis] ? `, ${BASES[test.basis]}` : ""})` : ""),
    ))),
    of.stretches.length
      ? h("ul", { class: "tests small" }, of.stretches.slice(0, 8).map((/** @type {any} */ one) => h("li", { title: `${utc(one.start)} to ${utc(one.end)}` }, `${time(one.start)}: ${TESTS[one.test] ?? one.test}, ${FLAGS[one.flag]?.name ?? one.flag}, ${one.values} ${one.test === "gap" ? "steps" : "values"}`)))
      : null,
  );
}
