// The first tab of an asset: the schematic, its neighbours, past ranges, and skill in words.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { post, start } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

/** The oldest reading, seconds. */
let began = 0;
const SIGNALS = [
  { name: "pump", unit: "%", role: "control_input", min: 0, max: 100 },
  { name: "drain", kind: "boolean", role: "control_input" },
  { name: "inflow", unit: "m3/h", role: "disturbance", min: 0, max: 50 },
  { name: "level", unit: "m", role: "output", min: 0, max: 5 },
  { name: "outflow", unit: "m3/h", role: "output" },
];
const HOSTILE = '<img src=x onerror="console.error(1)">';

/** @param {string} path @param {any} body */
async function put(path, body) {
  const answer = await fetch(server.url + path, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  assert.ok(answer.ok, await answer.text());
}

/** A reading of one asset at an instant. @param {string} key @param {number} at ms @param {Record<string, any>} values */
const reading = (key, at, values) => post(server.url, `/v1/assets/${key}/telemetry`, { observed_at: new Date(at).toISOString(), values });

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
  await post(server.url, "/v1/asset-types", { key: "basin", interval: "PT1S", signals: SIGNALS });
  await post(server.url, "/v1/assets", { key: "basin-1", type: "basin", name: HOSTILE });
  for (const key of ["basin-2", "basin-3", "lonely"]) await post(server.url, "/v1/assets", { key, type: "basin" });
  await post(server.url, "/v1/assets/basin-1/alarm-rules", { name: HOSTILE, condition: "above", signal: "level", limit: 4, severity: "critical" });
  const now = Date.now();
  began = now / 1000 - 3 * 3600;
  // Three hours of a slow wave, a minute apart, and then one reading of everything but the inflow.
  const rows = Array.from({ length: 180 }, (_, i) => [now - (180 - i) * 60_000, (2.5 + 2 * Math.sin(i / 12)).toFixed(3)]);
  const csv = ["observed_at,pump,drain,inflow,level,outflow", ...rows.map(([at, level]) => `${new Date(at).toISOString()},40,false,12,${level},9`)].join("\n");
  await post(server.url, "/v1/assets/basin-1/telemetry", csv, "text/csv");
  await reading("basin-1", now - 900, { pump: 40, drain: false, level: 2.5, outflow: 9 });
  await reading("basin-2", now - 900, { pump: 10, drain: true, inflow: 9, level: 1, outflow: 3 });
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {any} p @param {string} key @param {string} [query] */
async function now(p, key, query = "") {
  await p.goto(`${server.url}/#/assets/${key}${query}`);
  await p.locator('[data-panel="schematic"]').waitFor();
}

test("the schematic says each signal where it stands, live, with its limits, what is desired, age and alarm", async (t) => {
  await put("/v1/assets/basin-1/desired", { pump: { value: 60 } });
  const { page: p, faults, close } = await page(chromium.browser);
  await now(p, "basin-1");
  const card = (/** @type {string} */ name) => p.locator(`[data-panel="schematic"] [data-signal="${name}"]`);
  const value = (/** @type {string} */ name) => card(name).locator("[data-value]").textContent();
  await until(async () => (await value("level")) === "2.50\u202fm", "the level");
  assert.equal(await value("drain"), "off");
  assert.equal(await card("pump").locator("[data-desired]").textContent(), "desired 60.00");
  const left = (/** @type {string} */ name, /** @type {string} */ mark) => card(name).locator(`[data-mark="${mark}"]`).evaluate((/** @type {HTMLElement} */ one) => parseFloat(one.style.left));
  assert.deepEqual([await left("pump", "now"), await left("pump", "desired"), await left("level", "now")], [40, 60, 50]);
  assert.equal(await card("outflow").locator(".sch-bar").count(), 0, "no bar without limits");
  // The groups stand where the process has them: inputs, asset, outputs, disturbances above.
  const places = await p.locator("[data-panel='schematic'] :is([data-role], .sch-asset)").evaluateAll((/** @type {HTMLElement[]} */ all) => Object.fromEntries(all.map((one) => [one.dataset.role ?? "asset", [one.getBoundingClientRect().left, one.getBoundingClientRect().top]])));
  assert.ok(places.control_input[0] < places.asset[0] && places.asset[0] < places.output[0] && places.disturbance[1] < places.asset[1], JSON.stringify(places));
  // Its last reading is a minute older than the others'.
  await until(async () => /stale, .* ago/.test((await card("inflow").locator("[data-stale]").textContent()) ?? ""), "the stale badge");
  assert.equal(await card("level").locator("[data-stale]").isVisible(), false);

  // A new reading changes the card in place.
  await card("level").evaluate((/** @type {any} */ one) => (one.kept = true));
  await reading("basin-1", Date.now(), { pump: 40, drain: true, level: 4.5, outflow: 9 });
  await until(async () => (await value("level")) === "4.50\u202fm" && (await value("drain")) === "on", "the new reading");
  await until(() => card("level").locator("[data-alarm]").isVisible(), "the alarm on its signal");
  assert.equal(await card("level").locator("[data-alarm]").textContent(), "critical");
  assert.ok(await card("level").evaluate((/** @type {any} */ one) => one.kept), "the card was made anew");
  assert.equal(await card("pump").locator("[data-alarm]").isVisible(), false);
  await accessible(p, t);
  await p.emulateMedia({ colorScheme: "dark" });
  await accessible(p, t);
  await card("level").locator("[data-alarm]").focus();
  await p.keyboard.press("Enter");
  await p.locator('section[aria-label="Alarms"] .alarm').first().waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test("the schematic of an asset without readings, on a small screen", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  await now(p, "lonely");
  await until(async () => (await p.locator('[data-signal][data-freshness="empty"]').count()) === SIGNALS.length, "no value anywhere");
  assert.equal(await p.locator('[data-signal="level"] [data-value]').textContent(), "–");
  await until(async () => (await p.locator('[data-skill-of="level"]').textContent())?.startsWith("No forecast has come due yet"), "that nothing was compared");
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});

test("neighbours are added, seen with how they stand, followed and removed by keyboard", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await now(p, "basin-2");
  const panel = p.locator('[data-panel="relations"]');
  await panel.getByText("It stands alone.").waitFor();
  await panel.getByRole("button", { name: "Add" }).focus();
  await p.keyboard.press("Enter");
  const dialog = p.locator("dialog");
  await dialog.getByRole("button", { name: "Add" }).click();
  await until(async () => /name the other asset/.test((await dialog.locator('[data-pointer="/other"] .fault').textContent()) ?? ""), "the fault of the missing asset");
  await accessible(p, t);
  await dialog.getByLabel("The other asset").fill("basin-3");
  await until(async () => (await dialog.getByLabel("Input of the target").locator("option").count()) === 3, "the inputs of the other");
  // A level is no flow: the server says so, at its field or above the buttons.
  await dialog.getByLabel("Output of the source").selectOption("level");
  await dialog.getByLabel("Input of the target").selectOption("inflow");
  await dialog.getByRole("button", { name: "Add" }).click();
  await until(async () => /must be the same/.test((await dialog.locator(".fault, .faults").allTextContents()).join()), "the fault of the unit");
  await dialog.getByLabel("Output of the source").selectOption("outflow");
  await until(async () => (await dialog.getByLabel("Input of the target").inputValue()) === "inflow", "the input stays chosen");
  await dialog.getByLabel("Input of the target").press("Enter");
  await dialog.getByRole("button", { name: "Add" }).click();
  await until(async () => (await panel.locator(".rel-out [data-neighbour]").count()) === 1, "what it feeds");
  await reading("basin-1", Date.now(), { level: 4.6 });
  await put("/v1/assets/basin-1/relationships/feeds/basin-2", { from_signal: "outflow", to_signal: "inflow" });
  await p.reload();
  const above = panel.locator('.rel-in [data-neighbour="basin-1"]');
  await until(async () => (await above.locator("a").textContent()) === HOSTILE, "the name as text");
  await until(async () => /1 critical alarm/.test((await above.textContent()) ?? ""), "its alarm");
  const ends = (/** @type {string} */ name) => p.locator(`[data-panel="schematic"] [data-signal="${name}"] .sch-links`).textContent();
  assert.deepEqual([await ends("inflow"), await ends("outflow"), await ends("level")], ["from basin-1", "to basin-3", ""]);
  assert.match((await panel.locator('[data-neighbour="basin-3"]').textContent()) ?? "", /no readings.*outflow → inflow/);
  await accessible(p, t);
  await p.emulateMedia({ colorScheme: "dark" });
  await p.setViewportSize({ width: 360, height: 740 });
  await accessible(p, t);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await panel.getByRole("button", { name: "Remove: basin-2 feeds basin-3" }).focus();
  await p.keyboard.press("Enter");
  await p.locator("dialog").getByRole("button", { name: "Remove" }).click();
  await until(async () => (await panel.locator("[data-neighbour]").count()) === 1, "one left");
  await above.locator("a").focus();
  await p.keyboard.press("Enter");
  await until(async () => (await p.locator("h1").textContent()) === HOSTILE, "the neighbour's page");
  // The browser itself logs the answer of 422.
  assert.deepEqual(faults.filter((one) => !one.includes("422")), []);
  await close();
});

test("a stretch of the past: chosen, panned by buttons and keys, kept over a reload, and back to live", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await now(p, "basin-1");
  const bar = p.locator(".range-bar");
  const range = async () => (await bar.evaluate((/** @type {HTMLElement} */ one) => [Number(one.dataset.from), Number(one.dataset.to)]));
  const view = () => bar.getAttribute("data-view");
  const points = async () => Number(await p.locator('figure[data-chart="level"]').getAttribute("data-points"));
  // Three hours of readings: a day and longer ones are not offered.
  await until(async () => (await bar.locator("[data-window]").allTextContents()).join() === "5 min,15 min,1 h,All", "the spans");
  await bar.getByRole("button", { name: "All" }).click();
  await until(async () => (await points()) >= 180, "all readings");
  assert.ok(Math.abs((await range())[0] - began) < 2, `from ${(await range())[0]}, not ${began}`);
  assert.ok(await bar.getByRole("button", { name: "Earlier" }).isDisabled(), "there is nothing before all");

  await bar.getByRole("button", { name: "1 h", exact: true }).click();
  await bar.getByRole("button", { name: "Earlier" }).click();
  assert.equal(await view(), "past");
  const first = await range();
  assert.ok(Math.abs(first[1] - first[0] - 3600) < 1, `${first}`);
  await until(async () => (await points()) >= 59 && (await points()) <= 61, "an hour of readings");
  await p.locator(".charts").focus();
  await p.keyboard.press("ArrowLeft");
  assert.ok(Math.abs((await range())[1] - first[1] + 1800) < 1, "half an hour earlier");
  assert.match((await bar.locator(".range-words").textContent()) ?? "", /\d to .*\d/);
  // New readings do not move it.
  const still = await range();
  await reading("basin-1", Date.now(), { level: 4.5 });
  await p.waitForTimeout(1200);
  assert.deepEqual(await range(), still);
  await accessible(p, t);
  await p.reload();
  await until(async () => (await bar.count()) === 1 && (await view()) === "past", "the stretch after a reload");
  assert.deepEqual((await range()).map(Math.round), still.map(Math.round));
  await until(async () => (await points()) >= 59 && (await points()) <= 61, "its readings after a reload");
  // Other parts of the page have their own address; coming back brings the stretch back into it.
  await p.locator(".tab-nav").getByRole("link", { name: "Data" }).click();
  await p.locator(".tab-nav").getByRole("link", { name: "Now" }).click();
  await until(async () => /until=/.test(await p.evaluate(() => location.hash)), "the stretch in the address again");
  // As far back as there are readings, and no farther.
  await p.locator(".charts").focus();
  await p.keyboard.press("Home");
  assert.ok(Math.abs((await range())[0] - began) < 2, "the beginning");
  await until(() => bar.getByRole("button", { name: "Earlier" }).isDisabled(), "no way before the beginning");
  await p.keyboard.press("+");
  assert.ok(Math.abs((await range())[1] - (await range())[0] - 1800) < 1, "half the span");
  await p.setViewportSize({ width: 360, height: 740 });
  await p.emulateMedia({ colorScheme: "dark" });
  await accessible(p, t);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await bar.getByRole("button", { name: "Back to live" }).click();
  await until(async () => (await view()) === "live", "live again");
  assert.doesNotMatch(await p.evaluate(() => location.hash), /until=/);
  assert.deepEqual(faults, []);
  await close();
});
