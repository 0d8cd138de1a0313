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
