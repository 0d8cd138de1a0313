// What the page tells of versions that the server rolled back by itself, and of jobs that made
// themselves: a real server's answers, with what takes it half an hour to find put in.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, openTwin, page, until } from "./browser.mjs";
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

const WHY = "the base model forecasts 41.2 % better (95 % interval 30.1 to 50.4 %): over 12 windows since its promotion CRPS 0.3001, that of the base model 0.1764, of the naive forecast 0.5012";

/** @param {any} p @param {string} pattern @param {(answer: any) => void} change */
async function altered(p, pattern, change) {
  await p.route(pattern, async (/** @type {any} */ route) => {
    const answer = await (await route.fetch()).json();
    change(answer);
    await route.fulfill({ json: answer });
  });
}

for (const [colorScheme, width] of /** @type {const} */ ([["light", 1440], ["dark", 360]])) {
  test(`a version that was rolled back says why, ${colorScheme}, ${width} px`, async (t) => {
    const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 800 } });
    await altered(p, "**/assets/demo-plant/models*", (models) => {
      for (const item of models.items) item.probation = { state: "rolled_back", reason: WHY, began_at: item.created_at, ended_at: item.created_at, former: 0, bouts: [] };
      if (models.items.length) models.champion = 0;
    });
    await openTwin(p, server.url, "Models");
    const version = p.locator('[data-panel="models"] [data-version="1"]');
    await version.waitFor({ timeout: 300_000 });
    const words = version.locator('[data-probation="rolled_back"]');
    assert.ok(((await words.textContent()) ?? "").includes(WHY));
    assert.equal(await version.locator(".version-head .badge").textContent(), "rolled back");
    assert.equal(await version.locator("[data-base]").textContent(), "on small-2");
    assert.equal(await p.locator('[data-panel="models"] [data-version="0"] [data-base]').textContent(), "small-2");
    assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= width, `wider than ${width}`);
    await accessible(p, t);
    assert.deepEqual(faults, []);
    await close();
  });

  test(`a job says why it was made and what became of its version, ${colorScheme}, ${width} px`, async (t) => {
    const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 800 } });
    // The stream tells of a job that has just ended as it is, in place of what was put in.
    await until(async () => {
      const { items } = await (await fetch(`${server.url}/v1/fine-tune-jobs`)).json();
      return items.length > 0 && items.every((/** @type {any} */ job) => job.finished_at && Date.now() - Date.parse(job.finished_at) > 5000);
    }, "jobs that ended a while ago", 120_000);
    await altered(p, "**/fine-tune-jobs?*", (jobs) => {
      for (const job of jobs.items) Object.assign(job, { cause: "drift", why: "input speed: PSI 0.43 against what version 3 learned from", rolled_back: WHY });
    });
    await p.goto(`${server.url}/#/jobs`);
    const job = p.locator("[data-job-id]").first();
    await job.waitFor({ timeout: 120_000 });
    const text = (await job.textContent()) ?? "";
    assert.ok(text.includes("started by itself, the signals had drifted: input speed: PSI 0.43 against what version 3 learned from"), text);
    assert.ok(((await job.locator("[data-rolled-back]").textContent()) ?? "").includes(WHY));
    assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= width, `wider than ${width}`);
    await accessible(p, t);
    assert.deepEqual(faults, []);
    await close();
  });
}
