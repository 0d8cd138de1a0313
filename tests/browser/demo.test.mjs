// What a newcomer sees: the demo plant alive, its forecast, a what-if, a job with its verdict.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, openTwin, page, table, until } from "./browser.mjs";
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

test("the fleet leads to a live twin", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/`);
  await until(async () => (await p.locator(".fleet .spark path").count()) > 0, "a line beside the asset");
  await accessible(p, t);
  await p.locator(".fleet a").first().click();
  assert.equal(await p.locator(".banner strong").textContent(), "DEMO DATA");

  const state = p.locator('section[aria-label="State"]');
  const first = await until(() => state.getAttribute("data-observed"), "a state");
  await until(async () => (await state.getAttribute("data-observed")) !== first, "the state to change by itself");
  await until(async () => (await p.locator("figure.chart canvas").count()) >= 3, "charts");
  const drawn = await p.locator("figure.chart canvas").first().evaluate((/** @type {HTMLCanvasElement} */ canvas) => {
    const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    return pixels.some((value) => value !== 0);
  });
  assert.ok(drawn, "the first chart is blank");
  await until(async () => Number(await p.locator("figure.chart[data-forecast]").first().getAttribute("data-forecast")) > 0, "a forecast", 60_000);
  await until(async () => (await p.locator('section[aria-label="Forecast in words"] [data-source]').count()) > 0, "the forecast in words");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});

test("moving an input moves the curve, and a reload keeps it", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url);
  const outcome = p.locator("[data-outcome]");
  await until(async () => Number(await outcome.getAttribute("data-max-delta").catch(() => 0)) > 0, "a first answer", 60_000);

  const slider = p.locator('[data-what-if="slider"]').first();
  const end = async () => (await table(p, 'figure[data-chart$="both futures"]')).at(-1);
  const before = await until(end, "a table of both futures");
  await slider.focus();
  const far = (await slider.evaluate((/** @type {HTMLInputElement} */ e) => e.valueAsNumber > (Number(e.min) + Number(e.max)) / 2)) ? "Home" : "End";
  const shape = p.locator("select[id$='-op']").first();
  await shape.selectOption("ramp");
  const last = p.locator("input[id$='-to']").first();
  await last.fill("40");
  await slider.focus();
  await p.keyboard.press(far);
  await until(async () => {
    const now = await end();
    return now && now.changed !== before.changed && now.changed !== now.unchanged;
  }, "another curve");
  assert.ok(Number(await p.locator('[data-panel="what-if"]').getAttribute("data-took-ms")) > 0);

  const kept = await slider.inputValue();
  await p.reload();
  await until(async () => (await p.locator('[data-what-if="slider"]').count()) > 0, "the what-if again");
  assert.equal(await p.locator('[data-what-if="slider"]').first().inputValue(), kept);
  assert.deepEqual(faults, []);
  await close();
});

test("what cannot be asked is said beside the question", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url);
  const value = p.locator('[data-what-if="value"]').first();
  await value.waitFor({ timeout: 60_000 });
  const good = await value.inputValue();
  await p.getByLabel("Keep inputs within their limits and rates").uncheck();
  await p.locator("select[id$='-op']").first().selectOption("ramp");
  await p.locator("input[id$='-to']").first().fill("60");
  await value.fill("-1e9");
  const problem = p.locator('[data-panel="what-if"] .problem');
  await problem.waitFor();
  assert.match((await problem.textContent()) ?? "", /not valid/);
  await value.fill(good);
  await problem.waitFor({ state: "detached" });
  // The browser itself logs an answer of 422.
  assert.deepEqual(faults.filter((fault) => !fault.includes("422")), []);
  await close();
});

test("a job ends with a verdict, and its version is listed", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url);
  const verdict = p.locator("[data-job] [data-verdict]");
  await verdict.first().waitFor({ timeout: 120_000 });
  assert.ok(((await verdict.first().textContent()) ?? "").length > 20);
  await until(async () => (await p.locator('[data-panel="models"] [data-version]').count()) > 0, "the version");
  assert.deepEqual(faults, []);
  await close();
});

test("it fits small and dark screens", async () => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  await openTwin(p, server.url);
  await until(async () => (await p.locator("figure.chart canvas").count()) >= 3, "charts", 60_000);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "the page is wider than the screen");
  const ground = await p.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = (ground.match(/\d+/g) ?? []).slice(0, 3).map(Number);
  assert.ok(Math.max(...light) < 60, `the ground is ${ground}`);
  assert.deepEqual(faults, []);
  await close();
});
