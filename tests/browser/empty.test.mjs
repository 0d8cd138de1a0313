// An empty server: it says how to begin, and shows the first asset the moment there is one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { levels, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("an empty server says how to begin, and a name is never markup", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/`);
  await until(async () => (await p.locator(".steps li").count()) === 3, "three steps");
  await accessible(p, t);

  const name = '"><img src=x onerror=alert(1)> <b>north</b>';
  await tank(server.url, name);
  await until(async () => (await p.locator(".fleet strong").count()) === 1, "the first asset");
  assert.equal(await p.locator(".fleet strong").textContent(), name);
  await p.locator(".fleet a").click();
  await until(async () => (await p.locator("h1").textContent()) === name, "its page");
  assert.equal(await p.locator("main img, main b").count(), 0);

  await levels(server.url, Array.from({ length: 30 }, (_, i) => 2 + i / 100));
  await until(async () => (await p.locator('[data-reported="level"]').textContent()) === "2.29", "the newest reading, by itself");
  assert.deepEqual(faults, []);
  await close();
});

test("what does not exist is said in words", async () => {
  const { page: p, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/nothing`);
  await p.locator(".problem").waitFor();
  assert.match((await p.locator(".problem").textContent()) ?? "", /no such/);
  await close();
});
