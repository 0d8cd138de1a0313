// What lies ahead of an asset: its class at a few instants, when it is first in another, which limits are
// broken; and how well a version tells it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { post, start } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

/** A bearing wears out within so many steps, and is worn from this one on. */
const [PERIOD, WORN] = [120, 84];
/** Steps of the record. */
const COUNT = 20 * PERIOD + 79;

/** @param {string} path */
const get = async (path) => (await fetch(server.url + path)).json();

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
  const signals = [{ name: "load", unit: "%", role: "control_input", min: 0, max: 100 }, { name: "vibration", unit: "mm/s", role: "output", min: -2, max: 4.2 }];
  await post(server.url, "/v1/asset-types", { key: "bearing", interval: "PT1S", health_classes: ["sound", "worn"], signals });
  await post(server.url, "/v1/assets", { key: "bearing-1", type: "bearing" });
  await post(server.url, "/v1/assets", { key: "bearing-2", type: "bearing" });
  const now = Date.now();
  const at = (/** @type {number} */ step) => new Date(now - (COUNT - 1 - step) * 1000).toISOString();
  const row = (/** @type {number} */ step) => `${at(step)},${50 + 10 * Math.sin(step / 9)},${1 + (3 * (step % PERIOD)) / PERIOD + 0.05 * Math.sin(step * 12.989)}`;
  await post(server.url, "/v1/assets/bearing-1/telemetry", ["observed_at,load,vibration", ...Array.from({ length: COUNT }, (_, step) => row(step))].join("\n"), "text/csv");
  const labels = [];
  for (let begin = 0; begin < COUNT; begin += PERIOD) {
    for (const [name, from, to] of /** @type {[string, number, number][]} */ ([["sound", begin, begin + WORN], ["worn", begin + WORN, begin + PERIOD]])) {
      if (from < COUNT) labels.push({ kind: "label", class: name, start: at(from), end: to < COUNT ? at(to) : null });
    }
  }
  await post(server.url, "/v1/assets/bearing-1/events", labels);
  const job = await post(server.url, "/v1/fine-tune-jobs", { asset: "bearing-1", recipe: { max_steps: 40, evaluate_every: 10 } });
  await until(async () => ["succeeded", "failed"].includes((await get(`/v1/fine-tune-jobs/${job.id}`)).status), "what the bearing teaches", 300_000);
  // New readings have the version look at it; a silence would hide what came before.
  const missed = Math.floor((Date.now() - now) / 1000);
  await post(server.url, "/v1/assets/bearing-1/telemetry", ["observed_at,load,vibration", ...Array.from({ length: missed }, (_, k) => row(COUNT + k))].join("\n"), "text/csv");
  await until(async () => (await get("/v1/assets/bearing-1/state")).health?.ahead, "the class ahead", 60_000);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("the class now and ahead stands in a table with who says so, on a large and a small screen", async (t) => {
  for (const options of /** @type {any[]} */ ([{}, { viewport: { width: 360, height: 740 }, colorScheme: "dark" }])) {
    const { page: p, faults, close } = await page(chromium.browser, options);
    await p.goto(`${server.url}/#/assets/bearing-1`);
    const panel = p.locator('[data-panel="outlook"]');
    await until(async () => (await panel.locator("[data-ahead]").count()) === 4, "a row for now and for each lead");
    const rows = await panel.locator("[data-ahead]").evaluateAll((/** @type {HTMLElement[]} */ all) => all.map((row) => [row.dataset.ahead, row.dataset.by, row.querySelector("th")?.textContent, row.querySelectorAll(".outlook-bar").length]));
    const { health } = await get("/v1/assets/bearing-1/state");
    const by = health.ahead.map((/** @type {any} */ one) => one.by);
    assert.deepEqual(rows, [["0", "now", "now", 2], ["16", by[0], "in 16 s", 2], ["32", by[1], "in 32 s", 2], ["64", by[2], "in 64 s", 2]]);
    const heads = await panel.locator("thead th").allTextContents();
    assert.deepEqual(heads, ["When", "sound", "worn", "Says who"]);
    // The shares of a row are whole, and its likeliest class stands out.
    for (const row of await panel.locator("[data-ahead]").all()) {
      const shares = (await row.locator("td.number").allTextContents()).map((/** @type {string} */ text) => Number.parseFloat(text));
      assert.ok(Math.abs(shares[0] + shares[1] - 100) <= 1, String(shares));
      assert.equal(await row.locator("td.best").count(), 1);
    }
    const other = health.class === "sound" ? "worn" : "sound";
    assert.match((await panel.locator(`[data-time-to="${other}"]`).textContent()) ?? "", new RegExp(`^${other} within 16 s .*, 32 s .*, 64 s .*; later or not at all `));
    assert.equal(await panel.locator(`[data-time-to="${health.class}"]`).count(), 0);
    assert.ok(((await panel.locator("[data-who]").textContent()) ?? "").endsWith("Nothing is said of the time between."));
    assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= (options.viewport?.width ?? 1440), "wider than the screen");
    await accessible(p, t);
    await p.emulateMedia({ colorScheme: options.colorScheme === "dark" ? "light" : "dark" });
    await accessible(p, t);
    assert.deepEqual(faults, []);
    await close();
  }
});

test("an asset of which nothing is known ahead has no such panel", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/bearing-2`);
  await p.locator('section[aria-label="State"]').waitFor();
  assert.equal(await p.locator('[data-panel="outlook"]').isVisible(), false);
  assert.deepEqual(faults, []);
  await close();
});

test("a version says how well it tells the class ahead, beside what needs no learning", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 } });
  await p.goto(`${server.url}/#/assets/bearing-1/models`);
  const version = p.locator('[data-panel="models"] [data-version="1"]');
  await version.locator("[data-health-of] summary").click();
  const scores = version.locator('table[data-ahead-of="1"]');
  await until(async () => (await scores.locator("tbody tr").count()) === 3, "a row for each lead");
  assert.deepEqual(await scores.locator("tbody th").allTextContents(), ["16", "32", "64"]);
  for (const row of await scores.locator("tbody tr").all()) assert.equal(await row.locator(".best").count(), 1);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});
