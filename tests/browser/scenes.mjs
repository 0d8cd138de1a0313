// Every page of the dashboard as it is worth looking at: a demo with more around it, and how to come
// to each scene.

import { until } from "./browser.mjs";
import { post } from "./server.mjs";

const CHAIN = ["reservoir", "pump-station", "filter-1", "filter-2", "clear-well", "booster"];

/** @param {string} url @param {string} path @param {any} body */
async function put(url, path, body) {
  const answer = await fetch(url + path, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
}

/** @param {string} url @param {string} path */
const get = async (url, path) => (await fetch(url + path)).json();

/** A small waterworks in a chain: alarms, a risk, something stale, something without readings. @param {string} url */
async function waterworks(url) {
  await post(url, "/v1/asset-types", { key: "stage", interval: "PT1S", description: "A stage of the waterworks", health_classes: ["healthy", "clogged"], signals: [{ name: "valve", unit: "%", role: "control_input", min: 0, max: 100 }, { name: "inflow", unit: "m3/h", role: "disturbance", min: 0 }, { name: "level", unit: "m", role: "output", min: 0, max: 10 }, { name: "outflow", unit: "m3/h", role: "output", min: 0 }] });
  const names = ["Reservoir", "Pump station", "Filter 1", "Filter 2", "Clear well", "Booster"];
  for (const [i, key] of CHAIN.entries()) await post(url, "/v1/assets", { key, type: "stage", name: names[i] });
  await post(url, "/v1/assets", { key: "spare-pump", type: "stage" });
  const edges = [[0, 1], [1, 2], [1, 3], [2, 4], [4, 5]];
  for (const [from, to] of edges) await put(url, `/v1/assets/${CHAIN[from]}/relationships/feeds/${CHAIN[to]}`, { from_signal: "outflow", to_signal: "inflow" });
  const now = Date.now();
  for (const [i, key] of CHAIN.entries()) {
    const old = key === "filter-2" ? 1200 : 0;
    const rising = key === "clear-well" ? 0.0035 : 0;
    const rows = Array.from({ length: 900 }, (_, n) => {
      const at = 899 - n;
      const level = 5 + Math.sin(at / 40 + i) - rising * at + 0.02 * Math.sin(7 * n);
      return `${new Date(now - (at + old) * 1000).toISOString()},${45 + 5 * Math.sin(at / 60)},${(12 + Math.cos(at / 50)).toFixed(2)},${level.toFixed(3)},${(11 + level / 5).toFixed(3)}`;
    });
    await post(url, `/v1/assets/${key}/telemetry`, ["observed_at,valve,inflow,level,outflow", ...rows].join("\n"), "text/csv");
  }
  await post(url, "/v1/assets/clear-well/alarm-rules", { name: "nearly full", condition: "above", signal: "level", limit: 6.4, severity: "major" });
  await post(url, "/v1/assets/clear-well/alarm-rules", { name: "overflow expected", source: "predicted", condition: "above", signal: "level", limit: 6.4, within: "PT1M", probability: 0.3, severity: "minor" });
  await post(url, "/v1/assets/reservoir/alarm-rules", { name: "running low", condition: "below", signal: "level", limit: 9, severity: "critical" });
  await post(url, "/v1/assets/filter-2/alarm-rules", { name: "silent", condition: "missing", for: "PT2M", severity: "warning" });
  await post(url, "/v1/assets/booster/alarm-rules", { name: "low pressure", condition: "below", signal: "outflow", limit: 20, severity: "warning" });
  await post(url, "/v1/assets/reservoir/events", [{ kind: "note", text: "The inlet screen was cleaned; flow was throttled for ten minutes.", start: new Date(now - 600_000).toISOString() }, { kind: "label", class: "clogged", start: new Date(now - 500_000).toISOString(), end: new Date(now - 380_000).toISOString() }, { kind: "log", severity: "warning", code: "F204", text: "differential pressure high", start: new Date(now - 420_000).toISOString() }]);
}

/** A bearing with runs to failure behind it, and a version that knows the remaining time. @param {string} url */
async function bearing(url) {
  const runs = [180, 120, 230, 150, 200, 130, 220, 170, 140, 190, 160];
  const [down, left] = [4, 40];
  await post(url, "/v1/asset-types", { key: "bearing", interval: "PT1S", health_classes: ["healthy", "broken"], end_of_life: { class: "broken" }, signals: [{ name: "load", unit: "%", role: "control_input", min: 0, max: 100 }, { name: "vibration", unit: "mm/s", role: "output", min: -2, max: 20 }] });
  await post(url, "/v1/assets", { key: "bearing-1", type: "bearing", name: "Fan bearing" });
  /** @type {(number | null)[]} */
  const wear = [];
  /** @type {number[]} */
  const failures = [];
  runs.forEach((length, run) => {
    const last = run === runs.length - 1;
    for (let step = 0; step < (last ? length - left : length); step += 1) wear.push((step / length) ** 2);
    if (last) return;
    failures.push(wear.length);
    for (let step = 0; step < down; step += 1) wear.push(null);
  });
  const now = Date.now();
  const at = (/** @type {number} */ step) => new Date(now - (wear.length - 1 - step) * 1000).toISOString();
  const rows = wear.map((worn, step) => `${at(step)},${worn === null ? 0 : 50 + 10 * Math.sin(step / 9)},${worn === null ? 0 : 2 + 3 * worn + 0.2 * Math.sin(step * 12.989)}`);
  await post(url, "/v1/assets/bearing-1/telemetry", ["observed_at,load,vibration", ...rows].join("\n"), "text/csv");
  await post(url, "/v1/assets/bearing-1/events", failures.map((step) => ({ kind: "label", class: "broken", start: at(step), end: at(step + down) })));
  const job = await post(url, "/v1/fine-tune-jobs", { asset: "bearing-1", recipe: { max_steps: 40, evaluate_every: 10 } });
  await until(async () => ["succeeded", "failed"].includes((await get(url, `/v1/fine-tune-jobs/${job.id}`)).status), "what the bearing teaches", 300_000);
  // A new reading has the version look at it.
  await post(url, "/v1/assets/bearing-1/telemetry", { observed_at: new Date().toISOString(), values: { load: 50, vibration: 3.7 } });
  await until(async () => (await get(url, "/v1/assets/bearing-1/state")).health?.remaining_time, "its remaining time", 60_000);
}

/** The waterworks goes on, but for what is silent. @param {string} url @returns {() => void} what ends it */
function live(url) {
  const begun = Date.now();
  const timer = setInterval(() => {
    const n = (Date.now() - begun) / 1000;
    const frames = CHAIN.filter((key) => key !== "filter-2").map((asset, i) => {
      const level = 5 + Math.sin(n / -40 + i) + (asset === "clear-well" ? Math.min(0.0035 * n, 1) : 0);
      return { asset, ts: Date.now(), values: { valve: 45 + 5 * Math.sin(n / -60), inflow: 12 + Math.cos(n / 50), level, outflow: 11 + level / 5 } };
    });
    post(url, "/v1/telemetry", frames).catch(() => {});
  }, 1000);
  return () => clearInterval(timer);
}

/** Fills a demo. @param {string} url @returns {Promise<() => void>} what ends its readings */
export async function furnish(url) {
  await until(async () => (await get(url, "/v1/assets/demo-plant/models")).items?.length > 0, "a version of the plant", 300_000);
  await waterworks(url);
  const end = live(url);
  await bearing(url);
  return end;
}

/** A job that goes on for long, once it has something to show. @param {string} url */
export async function learn(url) {
  const newest = async () => (await get(url, "/v1/fine-tune-jobs?asset=demo-plant&limit=1")).items[0];
  if (!["running", "pending"].includes((await newest())?.status)) await post(url, "/v1/fine-tune-jobs", { asset: "demo-plant", recipe: { max_steps: 20_000, patience: 1000 } });
  // Assets with fresh readings may learn before it.
  await until(async () => (await newest()).curve?.length > 1, "the training curve", 900_000);
}

const PLAN = "?s=Open%20the%20valve!valve*ramp*0:0.5_20:0.62|Less%20pump!pump*schedule*0:0.42_25:0.5|Both!valve*step*0:0.6!pump*line*0:0.5_30:0.42&horizon=60&output=level_2&sel=2";
const HEADER = "ts;speed [rpm];flow (m³/h);outlet temperature [°C];mode\n1795740000000;900;12;61.2;auto\n1795740060000;910;12.5;61.4;auto\n1795740120000;905;12.1;61.9;manual";

/**
 * Scenes by name: where they are, what shows that they are there, and what a person does first.
 * @type {Record<string, {path: string, ready: string, act?: (page: any) => Promise<any>}>}
 */
export const SCENES = {
  fleet: { path: "#/", ready: ".fleet .spark path" },
  "fleet-risk": { path: "#/?order=risk", ready: ".fleet .spark path" },
  "fleet-type": { path: "#/?group=type", ready: ".fleet .spark path" },
  "fleet-tree": { path: "#/?group=tree", ready: ".fleet-group" },
  now: { path: "#/assets/demo-plant", ready: "figure.chart canvas" },
  neighbours: { path: "#/assets/pump-station", ready: "[data-neighbour]" },
  "remaining-time": { path: "#/assets/bearing-1", ready: "figure.chart canvas" },
  "no-readings": { path: "#/assets/spare-pump", ready: '[data-panel="schematic"]' },
  forecast: {
    path: "#/assets/demo-plant",
    ready: "figure.chart canvas",
    act: async (page) => {
      await page.locator(".said-bar [data-ago]").nth(1).click();
      await page.locator('.said-bar[data-said]:not([data-said=""])').waitFor();
      await page.evaluate(() => scrollTo(0, 0));
    },
  },
  "what-if": { path: `#/assets/demo-plant/what-if${PLAN}`, ready: ".compare tbody tr" },
  models: {
    path: "#/assets/demo-plant/models",
    ready: "[data-version]",
    act: async (page) => {
      await page.getByText("How it learned").first().click();
      await page.getByText("Answers to its control inputs").first().click();
      await page.locator(".response").first().waitFor({ timeout: 120_000 });
      await page.locator("[data-curve]").waitFor();
    },
  },
  data: { path: "#/assets/demo-plant/data", ready: '[data-panel="data-health"] [data-signal]' },
  "asset-alarms": { path: "#/assets/reservoir/alarms", ready: "[data-event]" },
  "rule-form": { path: "#/assets/reservoir/alarms", ready: "[data-rule]", act: (page) => page.getByRole("button", { name: "Add a rule" }).click() },
  alarms: { path: "#/alarms", ready: ".alarm" },
  jobs: { path: "#/jobs", ready: '[data-job-status="running"]' },
  types: { path: "#/types", ready: "[data-type]" },
  "type-form": { path: "#/types/new", ready: "form", act: (page) => page.getByLabel("A CSV header").fill(HEADER) },
  import: {
    path: "#/import",
    ready: "[data-drop]",
    act: (page) => page.locator("#import-file").setInputFiles({ name: "boiler.csv", mimeType: "text/csv", buffer: Buffer.from(["time,outlet valve [%],temperature [°C],mode", ...Array.from({ length: 40 }, (_, i) => `${new Date(1795740000000 + i * 2000).toISOString()},40,${60 + i / 10},${i % 9 ? "auto" : "manual"}`)].join("\n")) }),
  },
};
