// Every page in both themes and at both widths: no violation of accessibility, nothing wider than
// the screen, nothing on the console; and the whole of it small on the wire.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { accessible, browse, page, until } from "./browser.mjs";
import { start } from "./server.mjs";

/** The most that all files of the page may weigh, gzip. */
const WIRE = 250_000;
const PAGES = /** @type {Record<string, {path: string, ready: string}>} */ ({
  fleet: { path: "#/", ready: ".fleet .spark" },
  twin: { path: "#/assets/demo-plant", ready: "figure.chart canvas" },
  "what-if": { path: "#/assets/demo-plant/what-if", ready: ".compare tbody tr" },
  models: { path: "#/assets/demo-plant/models", ready: "[data-version]" },
  "alarms of an asset": { path: "#/assets/demo-plant/alarms", ready: "[data-event]" },
  "data of an asset": { path: "#/assets/demo-plant/data", ready: "[data-signal]" },
  alarms: { path: "#/alarms", ready: "[data-alarms] .command, .alarm" },
  jobs: { path: "#/jobs", ready: "[data-job-id]" },
  types: { path: "#/types", ready: "[data-type]" },
  "new type": { path: "#/types/new", ready: "form" },
  "changed type": { path: "#/types/two-tank-plant", ready: ".signal-table tbody tr" },
  import: { path: "#/import", ready: "[data-drop]" },
});

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

for (const [name, { path, ready }] of Object.entries(PAGES)) {
  test(`${name}: both themes, both widths`, async (t) => {
    for (const [colorScheme, width] of /** @type {const} */ ([["light", 1440], ["dark", 360]])) {
      const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 800 } });
      await p.goto(`${server.url}/${path}`);
      await p.locator(ready).first().waitFor({ timeout: 120_000 });
      await accessible(p, t);
      assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= width, `wider than ${width}`);
      // Both themes at the other width too, where colours are concerned.
      await p.emulateMedia({ colorScheme: colorScheme === "light" ? "dark" : "light" });
      await accessible(p, t);
      assert.deepEqual(faults, []);
      await close();
    }
  });
}

test("the way by keyboard alone: skip link, bar, an asset, its parts", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/`);
  await p.locator(".fleet a").first().waitFor();
  await p.keyboard.press("Tab");
  assert.equal(await p.evaluate(() => document.activeElement?.className), "skip");
  await p.keyboard.press("Enter");
  await p.keyboard.press("Tab");
  await p.keyboard.press("Enter");
  await p.locator(".tab-nav").waitFor();
  await until(async () => p.evaluate(() => document.activeElement?.id === "main"), "the focus on the new page");
  for (let i = 0; i < 12 && (await p.evaluate(() => document.activeElement?.getAttribute("data-tab"))) !== "models"; i += 1) await p.keyboard.press("Tab");
  await p.keyboard.press("Enter");
  await p.locator('[data-panel="models"]').waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test("the whole page is small on the wire", (t) => {
  const root = new URL("../../src/dashboard/ui/", import.meta.url);
  const ours = readdirSync(root, { recursive: true }).map(String).filter((name) => /\.(js|css|html|svg)$/.test(name)).map((name) => readFileSync(new URL(name, root)));
  const charts = ["uPlot.esm.js", "uPlot.min.css"].map((name) => readFileSync(new URL(`../../.vendor/uplot/dist/${name}`, import.meta.url)));
  const bytes = [...ours, ...charts].reduce((sum, file) => sum + gzipSync(file).length, 0);
  t.diagnostic(`${ours.length + charts.length} files, ${bytes} bytes with gzip`);
  assert.ok(bytes <= WIRE, `${bytes} bytes`);
});
