// The fleet: what needs attention first, found by name, kept in the address.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { levels, post, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
  await post(server.url, "/v1/asset-types", { key: "boiler", interval: "PT1S", signals: [{ name: "heat", role: "output" }] });
  for (const key of ["a-boiler", "b-boiler"]) await post(server.url, "/v1/assets", { key, type: "boiler", name: `Boiler ${key[0]}` });
  await tank(server.url, "Last tank");
  await levels(server.url, [1, 1, 1]);
  await post(server.url, "/v1/assets/tank-1/alarm-rules", { name: "too full", condition: "above", signal: "level", limit: 2, severity: "major" });
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("an alarm brings its asset to the top by itself; a filter is kept", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/`);
  const names = () => p.locator(".fleet li:visible strong").allTextContents();
  await until(async () => (await names()).length === 3, "three assets");
  assert.equal((await names())[0], "Boiler a");
  await levels(server.url, [2.5]);
  await until(async () => (await names())[0] === "Last tank", "the asset with the alarm first");
  assert.match((await p.locator(".fleet li").first().textContent()) ?? "", /1 major alarm/);
  assert.match((await p.locator(".facts").first().textContent()) ?? "", /3 assets, 1 with an active alarm/);
  await accessible(p, t);
  await p.getByLabel("Find").fill("boiler");
  await until(async () => (await names()).join() === "Boiler a,Boiler b", "the boilers");
  await p.getByLabel("Find").fill("none such");
  await p.getByText("No asset fits these filters.").waitFor();
  await p.getByLabel("Find").fill("");
  await p.getByLabel("Type").selectOption("tank");
  await until(async () => (await names()).join() === "Last tank", "the tank");
  await p.reload();
  await until(async () => (await names()).join() === "Last tank", "the filter after a reload");
  assert.deepEqual(faults, []);
  await close();
});

test("grouped by type and by what feeds what; what is closed stays closed after a reload", async (t) => {
  await post(server.url, "/v1/asset-types", { key: "meter", interval: "PT1S", signals: [{ name: "supply", unit: "%", role: "output" }] });
  await post(server.url, "/v1/assets", { key: "z-meter", type: "meter", name: "<b>Meter</b>" });
  const answer = await fetch(`${server.url}/v1/assets/z-meter/relationships/feeds/tank-1`, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ from_signal: "supply", to_signal: "pump" }) });
  assert.ok(answer.ok, await answer.text());
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/?order=key`);
  const lines = () => p.locator(".fleet :is(.fleet-title, .fleet-row strong):visible").allTextContents();
  await until(async () => (await lines()).length === 4, "four assets and no group");
  await p.getByLabel("Group by").selectOption("type");
  await until(async () => (await lines()).join() === "boiler,Boiler a,Boiler b,tank,Last tank,meter,<b>Meter</b>", "groups of types");
  await p.getByRole("button", { name: /^boiler/ }).focus();
  await p.keyboard.press("Enter");
  await until(async () => (await lines()).join() === "boiler,tank,Last tank,meter,<b>Meter</b>", "the boilers closed");
  assert.equal(await p.getByRole("button", { name: /^boiler/ }).getAttribute("aria-expanded"), "false");
  assert.ok(await p.getByRole("button", { name: /^boiler/ }).evaluate((/** @type {Element} */ one) => one === document.activeElement), "the focus stays");
  await p.reload();
  await until(async () => (await lines()).join() === "boiler,tank,Last tank,meter,<b>Meter</b>", "still closed after a reload");
  await accessible(p, t);
  await p.getByLabel("Find").fill("tank");
  await until(async () => (await lines()).join() === "tank,Last tank", "a filter leaves out empty groups");
  await p.getByLabel("Find").fill("");

  await p.getByLabel("Group by").selectOption("tree");
  await until(async () => (await lines()).join() === "From <b>Meter</b>,<b>Meter</b>,Last tank,Not connected,Boiler a,Boiler b", "the tank beneath what feeds it");
  const tank = p.locator('.fleet [data-asset="tank-1"]');
  assert.equal(await tank.getAttribute("data-depth"), "1");
  assert.match((await tank.textContent()) ?? "", /fed by z-meter/);
  await p.setViewportSize({ width: 360, height: 740 });
  await p.emulateMedia({ colorScheme: "dark" });
  await accessible(p, t);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await p.reload();
  await until(async () => (await lines())[0] === "From <b>Meter</b>", "the tree after a reload");
  // Where it cannot be read the list stays, and it can be tried again.
  await p.route("**/relationships*", (/** @type {any} */ route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ title: "Busy" }) }));
  await p.reload();
  await p.locator(".problem").getByText("Busy").waitFor();
  assert.equal((await lines()).length, 4);
  await p.unroute("**/relationships*");
  await p.getByRole("button", { name: "Try again" }).click();
  await until(async () => (await lines())[0] === "From <b>Meter</b>", "the tree after trying again");
  await p.getByLabel("Group by").selectOption("");
  await until(async () => (await lines()).length === 4 && !(await p.locator(".fleet-group").count()), "ungrouped");
  assert.deepEqual(faults.filter((one) => !one.includes("503")), []);
  await close();
});
