// Backtests on the tab of models: the form, progress, the table per output, and what a version had learned from.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { post, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

before(async () => {
  [server, chromium] = await Promise.all([start("serve", ["--training-fresh-frames", "0", "--training-first-frames", "100000", "--backtest-poll-ms", "100"]), browse()]);
  await tank(server.url);
  const now = Date.now();
  let level = 3;
  const rows = Array.from({ length: 600 }, (_, i) => {
    const pump = 30 + 10 * ((Math.floor(i / 37) * 7919) % 5);
    level += 0.05 * (0.08 * pump - level);
    return `${new Date(now - (600 - i) * 1000).toISOString()},${pump},${(level + 0.01 * Math.sin(i * 12.989)).toFixed(4)}`;
  });
  await post(server.url, "/v1/assets/tank-1/telemetry", ["observed_at,pump,level", ...rows].join("\n"), "text/csv");
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {any} p */
async function open(p) {
  await p.goto(`${server.url}/#/assets/tank-1/models`);
  const panel = p.locator('[data-panel="backtests"]');
  await panel.waitFor();
  return panel;
}

test("a backtest is asked for, followed, and told as a table for each output", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  const panel = await open(p);
  await panel.getByText("Nothing has been backtested yet.").waitFor();
  // What cannot be had is said at its field.
  await panel.getByLabel("Windows").fill("0");
  await panel.getByRole("button", { name: "Run the backtest" }).click();
  await until(async () => /1 to 500 windows/.test((await panel.locator('[data-pointer="/windows"] .fault').textContent()) ?? ""), "the fault of the windows");
  await panel.getByLabel("Windows").fill("12");
  await panel.getByLabel("Horizon").fill("20");
  await panel.getByLabel("Step size").fill("15");
  await panel.getByLabel("Inputs").selectOption("measured");
  // By keyboard alone.
  await panel.getByRole("button", { name: "Run the backtest" }).focus();
  await p.keyboard.press("Enter");
  const card = panel.locator("[data-backtest-id]").first();
  await card.waitFor();
  await until(async () => (await card.getAttribute("data-backtest-status")) === "succeeded", "its end on the stream", 60_000);
  assert.equal(await card.getByRole("heading").textContent(), "Base model");
  const table = card.locator('[data-scores-of="all"] [data-output="level"]');
  const score = async (/** @type {string} */ who, /** @type {string} */ what) => parseFloat((await table.locator(`[data-forecaster="${who}"] [data-score="${what}"]`).textContent()) ?? "");
  assert.deepEqual(await table.locator("[data-forecaster]").evaluateAll((/** @type {HTMLElement[]} */ all) => all.map((one) => one.dataset.forecaster)), ["model", "naive", "seasonal_naive", "arx"]);
  assert.ok((await score("model", "rmse")) < (await score("naive", "rmse")), "the plant is known");
  assert.ok((await score("arx", "coverage_95")) > 50);
  assert.equal(await table.locator('[data-forecaster="naive"] [data-score="vs_naive"]').textContent(), "–");
  assert.match((await table.locator('[data-forecaster="model"] [data-score="vs_naive"]').textContent()) ?? "", /\d+\s%\s.*\sto\s/);
  assert.match((await card.locator("[data-learned]").textContent()) ?? "", /none of the windows is known to it/);
  assert.match((await card.locator('[data-classes="none"]').textContent()) ?? "", /no step of the windows has a label/);
  // What the table says is what the API says.
  const [listed] = (await (await fetch(`${server.url}/v1/assets/tank-1/backtests`)).json()).items;
  const rmse = listed.result.forecasters.find((/** @type {any} */ one) => one.forecaster === "naive").all.scores.by_target.level.rmse;
  assert.ok(Math.abs((await score("naive", "rmse")) - rmse) < 0.005 * (1 + rmse), `${await score("naive", "rmse")} and ${rmse}`);
  await accessible(p, t);
  await p.emulateMedia({ colorScheme: "dark" });
  await accessible(p, t);
  // The browser itself logs the answer of 422 that was asked for.
  assert.deepEqual(faults.filter((one) => !one.includes("422")), []);
  await close();
});

test("one that runs shows its progress and can be stopped, on a small screen", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 } });
  const panel = await open(p);
  await panel.getByLabel("Windows").fill("450");
  await panel.getByLabel("Horizon").fill("64");
  await panel.getByLabel("Step size").fill("1");
  await panel.getByRole("button", { name: "Run the backtest" }).click();
  const card = panel.locator("[data-backtest-id]").first();
  await until(async () => Number(await card.locator("progress").getAttribute("value").catch(() => 0)) > 0, "its progress", 60_000);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await card.getByRole("button", { name: "Cancel" }).click();
  await until(async () => (await card.getAttribute("data-backtest-status")) === "cancelled", "that it was cancelled", 30_000);
  // After the page was loaded anew it is still told, and the one before it below.
  await p.reload();
  await until(async () => (await panel.locator("[data-backtest-id]").count()) === 2, "both of them");
  assert.equal(await card.getAttribute("data-backtest-status"), "cancelled");
  const before = panel.locator("[data-backtest-id]").nth(1);
  await before.locator("summary").click();
  await before.locator("[data-scores-of]").waitFor();
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});

test("windows that a version had learned from are told, and its scores on the others shown first", async (t) => {
  await post(server.url, "/v1/fine-tune-jobs", { asset: "tank-1", promote: "manual", recipe: { max_steps: 10, evaluate_every: 10 } });
  const newest = async () => (await (await fetch(`${server.url}/v1/fine-tune-jobs?asset=tank-1&limit=1`)).json()).items[0];
  await until(async () => (await newest()).status === "succeeded", "a version", 120_000);
  const begin = Date.parse((await newest()).data.last);
  const rows = Array.from({ length: 60 }, (_, i) => `${new Date(begin + (i + 1) * 1000).toISOString()},50,3.5`);
  await post(server.url, "/v1/assets/tank-1/telemetry", ["observed_at,pump,level", ...rows].join("\n"), "text/csv");
  const { page: p, faults, close } = await page(chromium.browser);
  const panel = await open(p);
  await until(async () => (await panel.getByLabel("Version").locator("option").count()) === 3, "the version among the choices");
  await panel.getByLabel("Version").selectOption("1");
  await panel.getByLabel("Windows").fill("6");
  await panel.getByLabel("Horizon").fill("20");
  await panel.getByRole("button", { name: "Run the backtest" }).click();
  const card = panel.locator("[data-backtest-id]").first();
  await card.locator('[data-seen="3"]').waitFor({ timeout: 60_000 });
  assert.match((await card.locator("[data-learned]").textContent()) ?? "", /3 of the 6 windows/);
  assert.match((await card.locator('[data-scores-of="unseen"] thead th').first().textContent()) ?? "", /^3 windows$/);
  await card.locator("[data-part]").selectOption("all");
  assert.match((await card.locator('[data-scores-of="all"] thead th').first().textContent()) ?? "", /^6 windows$/);
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});
