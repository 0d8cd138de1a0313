// @ts-check
/** The three layers of the state in one table: reported, desired, predicted. */

import { instant, quantileColumns } from "../align.js";
import { fill, h, say } from "../dom.js";
import { ago, plain, span, time, unit, utc } from "../format.js";

export const ROLES = /** @type {Record<string, string>} */ ({ output: "Outputs", control_input: "Control inputs", disturbance: "Disturbances", state: "States" });

/** @param {import("../feed.js").Feed} feed */
export function statePanel(feed) {
  const since = h("span", { class: "quiet small push" });
  const predicted = h("th", { class: "number", scope: "col" }, "Predicted");
  /** @type {Map<string, {signal: import("../api.js").Signal, reported: HTMLElement, desired: HTMLElement, predicted: HTMLElement}>} */
  const cells = new Map();
  const groups = Object.entries(ROLES).map(([role, title]) => {
    const signals = feed.type.signals.filter((signal) => signal.role === role);
    return signals.length
      ? h(
        "tbody",
        {},
        h("tr", { class: "group" }, h("th", { colspan: 5, scope: "colgroup" }, title)),
        signals.map((signal) => {
          const row = { signal, reported: h("td", { class: "number", "data-reported": signal.name }, "–"), desired: h("td", { class: "number" }, "–"), predicted: h("td", { class: "number" }, "–") };
          cells.set(signal.name, row);
          return h("tr", {}, h("th", { scope: "row", title: signal.description }, signal.name.split(/(?<=_)/).map((part) => [part, h("wbr")])), row.reported, row.desired, row.predicted, h("td", { class: "unit" }, unit(signal.unit)));
        }),
      )
      : null;
  });
  const element = h(
    "section",
    { class: "panel", "aria-label": "State" },
    h("div", { class: "panel-head" }, h("h2", {}, "State"), since),
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Reported, desired and predicted values" },
      h(
        "table",
        { class: "data state-table" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Signal"), h("th", { class: "number", scope: "col" }, "Reported"), h("th", { class: "number", scope: "col" }, "Desired"), predicted, h("th", { scope: "col" }, "Unit"))),
        groups,
      ),
    ),
  );

  const drawState = () => {
    const { state } = feed;
    if (!state) return;
    for (const [name, row] of cells) {
      const labels = feed.labels.get(name);
      const reported = state.reported?.[name];
      say(row.reported, plain(reported?.value, labels));
      row.reported.dataset.freshness = feed.freshness === "live" && feed.isStale(row.signal) ? "stale" : "live";
      row.reported.title = reported?.observed_at ? `${ago((Date.now() - feed.skew - Date.parse(reported.observed_at)) / 1000)}, ${utc(reported.observed_at)}` : "no reading yet";
      const desired = state.desired?.[name];
      say(row.desired, plain(desired?.value ?? (desired ? "schedule" : null), labels));
    }
    say(since, state.observed_at ? time(state.observed_at) : "no reading yet");
    since.title = utc(state.observed_at);
    element.dataset.seq = String(state.seq ?? "");
    element.dataset.observed = state.observed_at ?? "";
  };
  const drawPrediction = () => {
    const prediction = feed.prediction;
    if (!prediction) return;
    const last = prediction.timestamps.at(-1);
    const start = prediction.state?.observed_at ?? prediction.timestamps[0];
    const ahead = last ? instant(last) - instant(start) : NaN;
    fill(predicted, Number.isFinite(ahead) ? `In ${span(ahead)}`.replaceAll(" ", "\u00a0") : "Predicted");
    for (const [name, row] of cells) {
      const labels = feed.labels.get(name);
      const [low, median, high] = quantileColumns(prediction.signals[name]);
      say(row.predicted, plain(median.at(-1), labels));
      row.predicted.title = median.length ? `80 % band ${plain(low.at(-1), labels)} to ${plain(high.at(-1), labels)}` : "";
    }
  };
  feed.on("state", drawState);
  feed.on("prediction", drawPrediction);
  return element;
}
