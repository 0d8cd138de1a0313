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
  await until(async () => ((await p.locator("figure.chart[data-forecast] table").first().textContent()) ?? "").includes("high of 95 %"), "the 95 % band among the numbers");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});

test("what is judged of the twin is followed by the stream, without asking again", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  /** @type {string[]} */
  const asked = [];
  p.on("request", (/** @type {any} */ request) => request.url().endsWith("/state") && asked.push(request.url()));
  await p.goto(`${server.url}/#/assets/demo-plant`);
  const score = p.locator("[data-anomaly]").first();
  const first = await until(() => score.getAttribute("data-anomaly", { timeout: 1000 }).catch(() => null), "a score", 120_000);
  await until(async () => (await score.getAttribute("data-anomaly")) !== first, "another score", 60_000);
  const state = await (await fetch(`${server.url}/v1/assets/demo-plant/state`)).json();
  assert.equal(typeof state.anomaly_score, "number");
  assert.ok(state.risk.limits.length > 0, "the plant has limits");
  assert.equal(asked.length, 1, "the state was read once");
  assert.deepEqual(faults, []);
  await close();
});

test("a job ends with a verdict; its version says how it learned, what it tells apart and how it answers", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url, "Models");
  const verdict = p.locator("[data-job] [data-verdict]");
  await verdict.first().waitFor({ timeout: 300_000 });
  assert.ok(((await verdict.first().textContent()) ?? "").length > 20);
  const version = p.locator('[data-panel="models"] [data-version="1"]');
  await version.waitFor();
  await version.getByText("How it learned").click();
  await until(async () => (await version.locator('[data-plot^="Training curve"] path').count()) === 2, "both losses");
  await version.locator("[data-health-of] summary").click();
  await until(async () => (await version.locator(".confusion tbody tr").count()) === 2, "the confusion matrix");
  await version.getByText("Answers to its control inputs").click();
  await until(async () => (await version.locator(".response").count()) === 9, "three inputs, three outputs", 120_000);
  assert.equal(await version.locator('.response-table tbody tr').first().locator(".response").first().getAttribute("data-sign"), "positive");
  await accessible(p, t);
  if (((await version.textContent()) ?? "").includes("serves")) {
    await p.goto(`${server.url}/#/`);
    await until(async () => /version 1 · (new|\d\S* \w+ old)/.test((await p.locator("main").textContent()) ?? ""), "how old the model is", 60_000);
  }
  assert.deepEqual(faults, []);
  await close();
});

test("a version is promoted and rolled back, each after a question", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url, "Models");
  const models = p.locator('[data-panel="models"]');
  const serves = () => models.locator('[data-serves]').getAttribute("data-version");
  await models.locator('[data-version="1"]').waitFor({ timeout: 300_000 });
  const before = await serves();
  const other = before === "0" ? "1" : "0";
  await models.locator(`[data-version="${other}"]`).getByRole("button", { name: /^Promote/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await serves(), before);
  await models.locator(`[data-version="${other}"]`).getByRole("button", { name: /^Promote/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Promote" }).click();
  await until(async () => (await serves()) === other, "the other serves");
  await models.locator(`[data-version="${before}"]`).getByRole("button", { name: /^Promote/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Promote" }).click();
  await until(async () => (await serves()) === before, "what served before");
  if (before !== "0") {
    await models.getByRole("button", { name: "Roll back" }).click();
    await p.locator("dialog").getByRole("button", { name: "Roll back" }).click();
    await until(async () => (await serves()) !== before, "rolled back");
  }
  assert.deepEqual(faults, []);
  await close();
});

test("a job's recipe has the server's defaults, and its faults are said at the field", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark" });
  await openTwin(p, server.url, "Models");
  const learning = p.locator('[data-panel="learning"]');
  await learning.locator("[data-recipe]").waitFor({ timeout: 300_000 });
  await learning.getByText("Settings of the job").click();
  const { Recipe, Classification } = (await (await fetch(`${server.url}/openapi.json`)).json()).components.schemas;
  const shown = await learning.locator("[data-setting]").evaluateAll((/** @type {any[]} */ all) => all.map((one) => [one.dataset.setting, one.tagName === "SELECT" ? one.value : one.placeholder]));
  const general = shown.slice(0, shown.length - Object.keys(Classification.properties).length);
  assert.deepEqual(general.map(([name]) => name).sort(), Object.keys(Recipe.properties).filter((name) => name !== "classification").sort());
  for (const [schema, list] of [[Recipe, general], [Classification, shown.slice(general.length)]]) {
    for (const [name, value] of list) {
      const usual = schema.properties[name].default;
      if (usual !== undefined && usual !== null) assert.equal(String(value), String(usual), name);
    }
  }
  await learning.getByLabel("Learning rate").fill("7");
  await learning.getByLabel("Patience").fill("0");
  await learning.getByRole("button", { name: "Start with these settings" }).click();
  await until(async () => /at most 1/.test((await learning.locator('[data-pointer="/recipe/learning_rate"] .fault').textContent()) ?? ""), "the fault of the learning rate");
  assert.match((await learning.locator('[data-pointer="/recipe/patience"] .fault').textContent()) ?? "", /1 to 1000/);
  await accessible(p, t);
  await learning.getByLabel("Learning rate").fill("0.001");
  await learning.getByLabel("Patience").fill("2");
  await learning.getByLabel("Steps at most").first().fill("40");
  await learning.getByRole("button", { name: "Start with these settings" }).click();
  await until(async () => (await learning.locator('[data-job-status="running"], [data-job-status="pending"]').count()) === 1, "the job");
  await learning.getByRole("button", { name: "Cancel" }).click();
  await until(async () => (await learning.locator('[data-job-status="cancelled"], [data-job-status="succeeded"]').count()) === 1, "its end", 120_000);
  // The browser itself logs the answer of 422.
  assert.deepEqual(faults.filter((one) => !one.includes("422")), []);
  await close();
});

test("the training curve of a running job is drawn while it goes on", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await openTwin(p, server.url, "Models");
  const learning = p.locator('[data-panel="learning"]');
  await learning.locator("[data-recipe]").waitFor({ timeout: 300_000 });
  await learning.getByText("Settings of the job").click();
  await learning.getByLabel("Patience").fill("1000");
  await learning.getByLabel("Steps at most").first().fill("20000");
  await learning.getByRole("button", { name: "Start with these settings" }).click();
  const running = learning.locator('[data-job-status="running"]');
  await running.waitFor({ timeout: 60_000 });
  const curve = learning.locator("[data-curve]");
  const points = async () => Number((await curve.count()) ? await curve.getAttribute("data-curve", { timeout: 1000 }).catch(() => 0) : 0);
  const early = await until(points, "the first points", 600_000);
  const length = () => curve.locator("path").first().getAttribute("d", { timeout: 1000 }).catch(() => "");
  const drawn = (await length())?.length ?? 0;
  assert.ok(drawn > 0 && (await curve.locator("path").count()) === 2, "both losses");
  assert.equal(await running.count(), 1, "it goes on");
  await until(async () => (await points()) > early && ((await length())?.length ?? 0) > drawn, "more of it by itself", 120_000);
  assert.equal(await running.count(), 1, "it still goes on");
  await accessible(p, t);
  await learning.getByRole("button", { name: "Cancel" }).click();
  await learning.locator('[data-job-status="cancelled"]').waitFor({ timeout: 120_000 });
  assert.deepEqual(faults, []);
  await close();
});

test("each output's chart says how its forecasts turned out, as the server has it, or that it cannot", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/demo-plant`);
  const line = p.locator('[data-skill-of="level_1"]');
  await until(async () => (await line.getAttribute("data-skill")) === "measured" || ((await line.textContent()) ?? "").startsWith("No forecast"), "the words");
  // A version that has just begun to serve has no record for a while.
  await until(async () => {
    if ((await line.getAttribute("data-skill")) === "measured") return true;
    await p.reload();
    await p.waitForTimeout(3000);
    return false;
  }, "a record", 180_000);
  const [, count] = /(\d+|only) forecasts? th/.exec((await line.textContent()) ?? "") ?? [];
  const { items } = await (await fetch(`${server.url}/v1/assets/demo-plant/outcomes`)).json();
  const mine = items.filter((/** @type {any} */ one) => one.signal === "level_1" && Math.abs(one.predictions - (count === "only" ? 1 : Number(count))) <= 3);
  assert.ok(mine.length, `${await line.textContent()} of ${JSON.stringify(items.map((/** @type {any} */ one) => [one.signal, one.version, one.predictions]))}`);
  assert.match((await line.textContent()) ?? "", /(better|worse) than holding the last value|as good as holding/);
  assert.match((await line.textContent()) ?? "", /the 80\u202f% band held \d/);
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await p.route("**/outcomes?*", (/** @type {any} */ route) => route.abort());
  await p.reload();
  await until(async () => (await line.getAttribute("data-skill")) === "failed", "that it cannot be read");
  assert.match((await line.textContent()) ?? "", /could not be read/);
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
