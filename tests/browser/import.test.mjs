// From a file to a live twin: drop it, look at it, map its columns, check it, take it in.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { start } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;
const folder = mkdtempSync(join(tmpdir(), "counterpart-import-"));
const file = join(folder, "boiler.csv");

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {string[]} more rows at the end */
function write(more = []) {
  const now = Date.now();
  const rows = Array.from({ length: 400 }, (_, i) => `${new Date(now - (400 - i) * 2000).toISOString()},40,${(60 + Math.sin(i / 20)).toFixed(3)},${i % 50 ? "auto" : "manual"}`);
  writeFileSync(file, ["time,outlet valve [%],temperature [°C],mode", ...rows, ...more].join("\n"));
}

test("a file becomes a type, an asset and its history", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/`);
  await p.getByRole("link", { name: "Import a CSV" }).click();
  await p.locator("[data-drop]").waitFor();
  await accessible(p, t);
  write(["not a time,40,61,auto"]);
  // Dropped as a hand drops it.
  const transfer = await p.evaluateHandle(() => new DataTransfer());
  await transfer.evaluate((/** @type {DataTransfer} */ data, /** @type {string} */ text) => data.items.add(new File([text], "boiler.csv", { type: "text/csv" })), readFileSync(file, "utf8"));
  await p.dispatchEvent("[data-drop]", "drop", { dataTransfer: transfer });
  await until(async () => (await p.locator(".preview-table tbody tr").count()) === 6, "the preview");
  const rows = p.locator(".signal-table tbody tr");
  assert.equal(await rows.count(), 3);
  assert.equal(await p.getByLabel("Role of outlet_valve").inputValue(), "control_input");
  assert.equal(await p.getByLabel("Unit of temperature").inputValue(), "Cel");
  assert.equal(await p.getByLabel("Kind of mode").inputValue(), "enum");
  assert.equal(await p.getByLabel("A frame every", { exact: true }).inputValue(), "2");
  await accessible(p, t);

  // What the server finds wrong is said in the cell.
  await rows.nth(1).locator("input").first().fill("no good name!");
  await p.getByRole("button", { name: "Create both" }).click();
  await until(async () => /not a key/.test((await p.locator('[data-pointer="/signals/1/name"] .fault').textContent()) ?? ""), "the fault in its cell");
  await rows.nth(1).locator("input").first().fill("temperature");
  await p.getByRole("button", { name: "Create both" }).click();
  const receipt = p.locator("[data-receipt]");
  await until(async () => (await receipt.getAttribute("data-receipt").catch(() => "")) === "dry", "the check", 60_000);
  assert.match((await receipt.textContent()) ?? "", /row 401 ts: not an instant/);
  await p.getByRole("button", { name: "Import", exact: true }).click();
  await until(async () => (await receipt.getAttribute("data-receipt")) === "stored", "the import", 60_000);
  assert.equal(await receipt.getAttribute("data-stored"), "1200");
  await accessible(p, t);
  await p.getByRole("link", { name: "See it live" }).click();
  await until(async () => (await p.locator('[data-reported="mode"]').textContent().catch(() => "")) === "auto", "its newest value");
  // The browser itself logs the answer of 422.
  assert.deepEqual(faults.filter((one) => !one.includes("422")), []);
  await close();
});

test("the same file into the asset that is there, by keyboard", async () => {
  write();
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 } });
  await p.goto(`${server.url}/#/import?asset=boiler`);
  await p.locator("#import-file").setInputFiles(file);
  await until(async () => (await p.locator('[data-column="mode"]').inputValue().catch(() => "")) === "mode", "columns mapped by name");
  assert.equal(await p.locator('[data-column="outlet valve [%]"]').inputValue(), "outlet_valve");
  await p.locator('[data-column="mode"]').selectOption("");
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "the page is wider than the screen");
  await p.getByRole("button", { name: "Import", exact: true }).focus();
  await p.keyboard.press("Enter");
  const receipt = p.locator("[data-receipt]");
  await until(async () => (await receipt.getAttribute("data-receipt").catch(() => "")) === "stored", "the import", 60_000);
  assert.equal(await receipt.getAttribute("data-rejected"), "0");
  assert.deepEqual(faults, []);
  await close();
});

test("a type is made of a pasted header, and changed", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark" });
  await p.goto(`${server.url}/#/types/new`);
  await p.getByLabel("A CSV header").fill("ts;speed [rpm];flow (m³/h)\n1795740000000;900;12\n1795740060000;910;12.5");
  await until(async () => (await p.locator(".signal-table tbody tr").count()) === 2, "its signals");
  assert.equal(await p.getByLabel("Unit of flow").inputValue(), "m3/h");
  await accessible(p, t);
  await p.getByLabel("Key of the type").fill("pump");
  await p.getByRole("button", { name: "Create the type" }).click();
  const card = p.locator('[data-type="pump"]');
  await card.waitFor();
  assert.match((await card.textContent()) ?? "", /every 60 s|every 1 min/);
  await accessible(p, t);
  await card.getByRole("link", { name: "Change" }).click();
  await p.getByLabel("Greatest value of speed").fill("3000");
  await p.getByLabel("Base model", { exact: true }).selectOption("small-1");
  await p.getByRole("button", { name: "Save as a new version" }).click();
  await until(async () => /version 2/.test((await card.textContent().catch(() => "")) ?? ""), "version 2");
  assert.equal(await card.locator("[data-base-model]").getAttribute("data-base-model"), "small-1");
  const bases = p.locator('[data-panel="base-models"] [data-base]');
  assert.deepEqual(await bases.evaluateAll((/** @type {any[]} */ rows) => rows.map((row) => row.dataset.base)), ["small-2", "small-1"]);
  await card.getByRole("link", { name: "Change" }).click();
  await until(async () => (await p.getByLabel("Greatest value of speed").inputValue().catch(() => "")) === "3000", "what was saved");
  await until(async () => (await p.getByLabel("Base model", { exact: true }).inputValue()) === "small-1", "the base model that was saved");
  assert.deepEqual(faults, []);
  await close();
});
