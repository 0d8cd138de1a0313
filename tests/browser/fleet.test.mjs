// The fleet: what needs attention or is at risk first, found by name, kept in the address.

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

  /** @type {string[]} */
  const asked = [];
  p.on("request", (/** @type {any} */ request) => /relationships/.test(request.url()) && asked.push(request.url()));
  await p.getByLabel("Group by").selectOption("tree");
  await until(async () => (await lines()).join() === "From <b>Meter</b>,<b>Meter</b>,Last tank,Not connected,Boiler a,Boiler b", "the tank beneath what feeds it");
  assert.equal(asked.length, 1, `one request for all: ${asked}`);
  const tank = p.locator('.fleet [data-asset="tank-1"]');
  assert.equal(await tank.getAttribute("data-depth"), "1");
  assert.match((await tank.textContent()) ?? "", /fed by <b>Meter<\/b>/);
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

test("the risk of each asset is told, followed by the stream, and put in order", async (t) => {
  await post(server.url, "/v1/asset-types", { key: "vessel", interval: "PT1S", signals: [{ name: "fill", unit: "m", role: "output", min: 0, max: 50 }] });
  const now = Date.now();
  /** A ramp, or a level that stands. @param {string} key @param {number} slope @param {number} from @param {number} to seconds before now */
  const send = (key, slope, from, to) => {
    const rows = Array.from({ length: from - to }, (_, i) => `${new Date(now - (from - i - 1) * 1000).toISOString()},${(20 - slope * (from - i - 1) + 0.02 * Math.sin(i)).toFixed(4)}`);
    return post(server.url, `/v1/assets/${key}/telemetry`, ["observed_at,fill", ...rows].join("\n"), "text/csv");
  };
  for (const key of ["m-calm", "n-filling"]) await post(server.url, "/v1/assets", { key, type: "vessel" });
  await post(server.url, "/v1/assets/n-filling/alarm-rules", { name: "nearly full", condition: "above", signal: "fill", limit: 20.3, severity: "major" });
  await send("m-calm", 0, 700, 20);
  await send("n-filling", 0.02, 700, 20);
  const standing = async () => (await (await fetch(`${server.url}/v1/fleet?assets=m-calm,n-filling`)).json()).items;
  await until(async () => (await standing()).every((/** @type {any} */ one) => one.risk), "both risks", 60_000);
  const { page: p, faults, close } = await page(chromium.browser);
  /** @type {string[]} */
  const asked = [];
  p.on("request", (/** @type {any} */ request) => /\/(fleet|state)(\?|$)/.test(request.url()) && asked.push(request.url()));
  await p.goto(`${server.url}/#/?order=risk`);
  const risk = (/** @type {string} */ key) => p.locator(`.fleet [data-asset="${key}"] .fleet-risk`);
  await until(async () => /fill > 20\.30\u202fm/.test((await risk("n-filling").textContent()) ?? ""), "the limit that it will break");
  assert.equal(await p.locator(".fleet [data-asset]").first().getAttribute("data-asset"), "n-filling");
  assert.match((await risk("n-filling").textContent()) ?? "", /\d\u202f% ?fill > 20\.30\u202fm in \d+/);
  assert.equal(await risk("m-calm").textContent(), "none seen");
  assert.match((await risk("m-calm").getAttribute("title")) ?? "", /that a limit is broken within 60 s; 2/);
  await accessible(p, t);
  await p.emulateMedia({ colorScheme: "dark" });
  await accessible(p, t);
  // Beyond the limit already: no request of the page's own tells it so, but the stream.
  const before = asked.length;
  await post(server.url, "/v1/assets/n-filling/telemetry", ["observed_at,fill", ...Array.from({ length: 20 }, (_, i) => `${new Date(now - (19 - i) * 1000).toISOString()},${25 + 0.02 * i}`)].join("\n"), "text/csv");
  await until(async () => /100\u202f%/.test((await risk("n-filling").textContent()) ?? ""), "the risk of now", 30_000);
  assert.equal(asked.length, before, `${asked.slice(before)}`);
  await p.locator('.fleet [data-asset="n-filling"] a').click();
  await p.waitForTimeout(3000); console.log(await p.locator(".facts").allTextContents(), await p.evaluate(() => location.hash), JSON.stringify(await (await fetch(`${server.url}/v1/assets/n-filling/state`)).json()));
  await until(async () => /risk 100\u202f%: fill > 20\.30\u202fm/.test((await p.locator(".facts").first().textContent()) ?? ""), "the same on its page");
  assert.deepEqual(faults, []);
  await close();
});
