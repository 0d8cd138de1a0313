// @ts-check
/** Every alarm of every asset: what is wrong now first. */

import { fill, h, say } from "../dom.js";
import { choice, field } from "../form.js";
import { here, remember } from "../router.js";
import { stream } from "../stream.js";
import { command } from "../welcome.js";
import { alarmList } from "./list.js";
import { alarmTimeline } from "./timeline.js";
import { SEVERITIES } from "./words.js";

const STATES = { "": "all", active: "active", unacknowledged: "not acknowledged", acknowledged: "acknowledged", shelved: "shelved", cleared: "cleared" };
const SEVERITY = { "": "all", ...Object.fromEntries(SEVERITIES.map((name) => [name, name])) };
const SOURCE = { "": "all", measured: "measured", predicted: "forecast", anomaly: "anomaly", health: "health" };

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function alarmsPage(page, end) {
  document.title = "Alarms · Counterpart";
  const count = h("p", { class: "facts", role: "status" });
  const { query } = here();
  const selects = {
    state: choice(STATES, query.get("state") ?? ""),
    severity: choice(SEVERITY, query.get("severity") ?? ""),
    source: choice(SOURCE, query.get("source") ?? ""),
  };
  const filter = () => Object.fromEntries(Object.entries(selects).map(([name, select]) => [name, select.value]).filter(([, value]) => value));
  const timeline = alarmTimeline({ asset: true });
  const list = alarmList({
    end,
    empty: () => (Object.keys(filter()).length ? h("p", { class: "panel-body quiet" }, "No alarm fits these filters.") : emptyAlarms("demo-plant")),
    counted: (alarms) => {
      timeline.show(alarms);
      const active = alarms.filter((alarm) => alarm.active && !alarm.shelved);
      const unseen = active.filter((alarm) => !alarm.acknowledged).length;
      say(count, active.length ? `${active.length} active, ${unseen} of them not acknowledged` : "none active");
    },
  });
  for (const [name, select] of Object.entries(selects)) {
    select.addEventListener("change", () => {
      remember({ [name]: select.value });
      list.only(filter());
    });
  }
  fill(
    page,
    h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Alarms"), count), h("div", { class: "filters push" }, field("Standing", selects.state), field("Severity", selects.severity), field("Source", selects.source))),
    h("section", { class: "panel", "aria-label": "Alarms" }, timeline.element, list.element),
  );
  stream.follow(null);
  await list.only(filter());
}

/** What to do where there is none. @param {string} key of an asset */
export function emptyAlarms(key) {
  return h(
    "div",
    { class: "panel-body" },
    h("p", { class: "words" }, "No alarm. A rule watches a measured value, its rate or its silence, a limit that the twin's own forecast expects to break, the anomaly score, or a health class. Make one on the page of an asset, or by hand:"),
    command(`curl -X POST ${location.origin}/v1/assets/${encodeURIComponent(key)}/alarm-rules -H 'content-type: application/json' \\
  -d '{"name":"too full","condition":"above","signal":"level_2","limit":2.5,"severity":"major"}'`, "the command that makes a rule"),
  );
}
