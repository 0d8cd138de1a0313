// What-if: knots by hand and by keyboard, scenarios side by side, limits, goal seek, looking back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { accessible, browse, page, table, until } from "./browser.mjs";
import { start } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

before(async () => {
  [server, chromium] = await Promise.all([start("demo"), browse()]);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {any} p @param {string} [query] */
async function open(p, query = "") {
  await p.goto(`${server.url}/#/assets/demo-plant/what-if${query}`);
  await answered(p);
}
/** Waits for one more answer than there was. @param {any} p @param {number} [than] */
const answered = (p, than = 0) => until(async () => Number((await p.locator('[data-panel="what-if"]').getAttribute("data-answers").catch(() => 0)) ?? 0) > than, "an answer", 60_000);
/** @param {any} p */
const answers = async (p) => Number((await p.locator('[data-panel="what-if"]').getAttribute("data-answers")) ?? 0);
/** @param {any} p */
const lastDelta = async (p) => (await table(p, 'figure[data-chart$=": difference"]')).at(-1);

test("a knot is dragged and the difference moves; a reload keeps it", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p);
  await p.getByLabel("Follow the live state").uncheck();
  const knot = p.locator('[data-knot="pump"]').first();
  await knot.scrollIntoViewIfNeeded();
  const before = await until(() => lastDelta(p), "a difference");
  const box = await knot.boundingBox();
  const value = p.locator('[data-input="pump"] [data-value]').first();
  const typed = await value.inputValue();
  await p.mouse.move(box.x + 8, box.y + 8);
  await p.mouse.down();
  for (let i = 1; i <= 8; i += 1) await p.mouse.move(box.x + 8 + i * 4, box.y + 8 + (box.y > 560 ? -i * 4 : i * 4));
  await p.mouse.up();
  await until(async () => (await value.inputValue()) !== typed, "the typed value follows the knot");
  await until(async () => {
    const now = await lastDelta(p);
    return now && JSON.stringify(now) !== JSON.stringify(before);
  }, "another difference", 60_000);
  const kept = [await value.inputValue(), await p.locator('[data-input="pump"] .knot-row input').first().inputValue()];
  assert.notEqual(kept[1], "0", "the knot was dragged along time too");
  await accessible(p, t);
  await p.reload();
  await answered(p);
  assert.deepEqual([await value.inputValue(), await p.locator('[data-input="pump"] .knot-row input').first().inputValue()], kept);
  assert.ok(Number(await p.locator('[data-panel="what-if"]').getAttribute("data-took-ms")) > 0);
  assert.deepEqual(faults, []);
  await close();
});

test("while a knot is dragged, a request that has become stale is cancelled", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p);
  await p.getByLabel("Follow the live state").uncheck();
  let cancelled = 0;
  p.on("requestfailed", (/** @type {any} */ request) => {
    cancelled += Number(request.url().includes("/what-if") && request.failure()?.errorText === "net::ERR_ABORTED");
  });
  // A slow server.
  await p.route("**/what-if", async (/** @type {any} */ route) => {
    await new Promise((resolve) => setTimeout(resolve, 900));
    await route.continue().catch(() => {});
  });
  const knot = p.locator('[data-knot="heater"]').first();
  await knot.scrollIntoViewIfNeeded();
  const box = await knot.boundingBox();
  await p.mouse.move(box.x + 8, box.y + 8);
  await p.mouse.down();
  for (let i = 1; i <= 16; i += 1) {
    await p.mouse.move(box.x + 8, box.y + 8 - i);
    await p.waitForTimeout(100);
  }
  await p.mouse.up();
  assert.ok(cancelled >= 1, "nothing was cancelled");
  const than = await answers(p);
  await answered(p, than);
  assert.deepEqual(faults, []);
  await close();
});

test("by keyboard alone: knots, shapes, scenarios, limits and their rank", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark" });
  await open(p);
  await p.getByLabel("Follow the live state").uncheck();
  const knot = p.locator('[data-knot="valve"]').first();
  assert.match((await knot.getAttribute("class")) ?? "", /ghost/);
  await knot.focus();
  await p.keyboard.press("Shift+ArrowUp");
  await until(async () => (await p.locator('[data-input="valve"] [data-shape]').inputValue()) === "step", "the unchanged input has a course");
  await p.keyboard.press("Enter");
  await until(async () => (await p.locator('[data-knot="valve"]').count()) === 2, "a second knot");
  await p.keyboard.press("ArrowRight");
  await p.keyboard.press("Delete");
  await until(async () => (await p.locator('[data-knot="valve"]').count()) === 1, "one knot again");

  await p.locator('[data-input="heater"] [data-shape]').selectOption("pulse");
  await until(async () => (await p.locator('[data-knot="heater"]').count()) === 2, "a pulse has two knots");
  await p.getByRole("button", { name: "Duplicate" }).click();
  await p.getByRole("button", { name: "Add", exact: true }).click();
  await until(async () => (await p.locator(".scenario-tabs button").count()) === 3, "three scenarios");
  await p.getByRole("button", { name: "Rename" }).click();
  await p.locator("dialog").getByLabel("Name").fill("<i>third</i>");
  await p.keyboard.press("Enter");
  await until(async () => (await p.locator(".scenario-tabs button").last().textContent()) === "<i>third</i>", "its name, as text");
  await p.getByRole("button", { name: "Add a limit" }).click();
  await p.getByLabel("Greatest value of limit 1").fill("0.1");
  await p.keyboard.press("Tab");
  await until(async () => (await p.locator('.compare [data-met="false"]').count()) === 4, "a tank cannot be that empty in any of the futures", 60_000);
  await p.locator('[data-output="level_1"]').click();
  await until(async () => (await table(p, 'figure[data-chart="level_1: limit broken by then"]')).at(-1)?.unchanged === "1.00", "its risk as a curve");
  await p.getByLabel("What ranks first").selectOption({ index: 1 });
  await until(async () => ["1", "2", "3"].includes((await p.locator(".compare tbody tr").first().locator("td").nth(1).textContent()) ?? ""), "a rank", 60_000);
  await accessible(p, t);
  await p.reload();
  await answered(p);
  assert.equal(await p.locator(".scenario-tabs button").count(), 3);
  assert.equal(await p.locator(".scenario-tabs button").last().textContent(), "<i>third</i>");
  assert.equal(await p.getByLabel("Greatest value of limit 1").inputValue(), "0.1");
  assert.equal(await p.locator("main .scenario-tabs i:not(.dot)").count(), 0);
  assert.deepEqual(faults, []);
  await close();
});

test("a scenario is saved, brought back, exported and deleted", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p);
  await p.getByRole("button", { name: "Duplicate" }).click();
  await p.getByRole("button", { name: "Save", exact: true }).click();
  await p.getByRole("button", { name: "Save again" }).waitFor();
  await p.getByRole("button", { name: "Remove", exact: true }).click();
  const saved = p.locator("[data-saved]").first();
  await saved.waitFor();
  await saved.locator("button").first().click();
  await until(async () => (await p.locator(".scenario-tabs button").count()) === 2, "it is back");
  assert.equal(await p.locator('[data-input="pump"] [data-shape]').inputValue(), "step");

  await until(async () => (await p.locator(".compare tbody tr").count()) === 3, "the comparison", 60_000);
  const [file] = await Promise.all([p.waitForEvent("download"), p.getByRole("button", { name: "CSV" }).click()]);
  const lines = readFileSync(await file.path(), "utf8").split("\r\n");
  assert.match(lines[0], /^timestamp,step,baseline: level_1 0\.1,/);
  assert.equal(lines.length, 61);
  const [picture] = await Promise.all([p.waitForEvent("download"), p.getByRole("button", { name: "PNG" }).click()]);
  assert.deepEqual([...readFileSync(await picture.path()).subarray(1, 4)], [0x50, 0x4e, 0x47]);

  await p.getByRole("button", { name: "Remove", exact: true }).click();
  await p.getByRole("button", { name: /^Delete the saved scenario/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await until(async () => (await p.locator("[data-saved]").count()) === 0, "it is gone");
  assert.deepEqual(faults, []);
  await close();
});

test("a schedule is found, drawn while it is searched, and becomes a scenario", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p);
  const seek = p.locator("[data-seek]");
  await seek.getByLabel("Output").selectOption("level_2");
  await seek.getByLabel("Setpoint").fill("1.6");
  await seek.getByRole("button", { name: "Search", exact: true }).click();
  await until(async () => (await seek.locator("progress").count()) === 1, "the search is drawn", 60_000);
  await until(async () => /objective/.test((await seek.textContent()) ?? "") && (await seek.locator("progress").count()) === 0, "its result", 60_000);
  await until(async () => (await p.locator(".scenario-tabs button").last().textContent()) === "Found: level_2 at 1.60 m", "the scenario");
  assert.ok((await p.locator('[data-knot="pump"]').count()) >= 2);
  assert.ok((await seek.locator(".plot path").count()) >= 1);
  assert.deepEqual(faults, []);
  await close();
});

test("looking back from the chart: what would have been", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/demo-plant`);
  const chart = p.locator('figure[data-chart="level_1"] .u-over');
  await chart.waitFor({ timeout: 60_000 });
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  await p.mouse.move(box.x + box.width * 0.2, box.y + 40);
  await p.mouse.down();
  await p.mouse.move(box.x + box.width * 0.5, box.y + 50, { steps: 5 });
  await p.mouse.up();
  await p.getByRole("link", { name: "What if it had been otherwise?" }).click();
  await until(async () => /Looking back/.test((await p.locator('[data-panel="what-if"]').textContent()) ?? ""), "it says that it looks back", 60_000);
  await until(async () => (await p.locator(".compare .baseline-row").textContent().catch(() => ""))?.includes("really happened"), "the past beside it", 60_000);
  assert.match(p.url(), /as_of=/);
  await accessible(p, t);
  await p.getByRole("button", { name: "Back to now" }).click();
  await until(async () => (await p.locator(".compare .baseline-row").textContent())?.includes("nothing changes"), "the present again", 60_000);
  assert.deepEqual(faults, []);
  await close();
});

test("what cannot be asked is said beside the question", async () => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 } });
  await open(p);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "the page is wider than the screen");
  await p.getByLabel("Keep inputs within their limits and rates").uncheck();
  const value = p.locator('[data-input="pump"] [data-value]').first();
  const good = await value.inputValue();
  await value.fill("-1e9");
  const problem = p.locator('[data-panel="what-if"] .outcome .problem');
  await problem.waitFor({ timeout: 60_000 });
  assert.match((await problem.textContent()) ?? "", /not valid/);
  await value.fill(good);
  await problem.waitFor({ state: "detached", timeout: 60_000 });
  // The browser itself logs an answer of 422.
  assert.deepEqual(faults.filter((fault) => !fault.includes("422")), []);
  await close();
});
