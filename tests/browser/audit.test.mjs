// The audit trail as a page: who did what, what was refused, what the server did by itself; filters and pages.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { post, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;
const keys = { admin: "", operator: "" };

/** @param {string} method @param {string} path @param {string} key @param {any} [body] */
const ask = (method, path, key, body) => fetch(server.url + path, { method, headers: { authorization: `Bearer ${key}`, ...(body ? { "content-type": "application/json" } : {}) }, body: body ? JSON.stringify(body) : undefined });

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
  await tank(server.url);
  // The first key closes the server; the second one is made with it.
  keys.admin = (await post(server.url, "/v1/api-keys", { name: "<b>Ada</b>", role: "admin" })).key;
  keys.operator = (await (await ask("POST", "/v1/api-keys", keys.admin, { name: "shift", role: "operator" })).json()).key;
  assert.equal((await ask("POST", "/v1/assets", keys.operator, { key: "tank-2", type: "tank" })).status, 403);
  assert.equal((await ask("PATCH", "/v1/assets/none", keys.admin, { name: "x" })).ok, false);
  // More than a page.
  for (let i = 0; i < 100; i += 1) await ask("POST", "/v1/fine-tune-jobs", keys.operator, { asset: "none" });
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** The browser itself logs the answer of 401. @param {string[]} faults */
const ours = (faults) => faults.filter((one) => !/status of 401 /.test(one));
/** @param {any} p @param {string} key @param {string} [query] */
async function open(p, key, query = "") {
  await p.goto(`${server.url}/#/audit${query}`);
  await p.getByLabel("Key", { exact: true }).fill(key);
  await p.keyboard.press("Enter");
  await until(async () => (await p.locator("h1").textContent()) === "Audit", "the page");
}
/** @param {any} p @param {string} text */
const count = (p, text) => until(async () => (await p.locator("[data-trail] tbody").getAttribute("data-count")) === text, `${text} entries`);

test("who did what is told newest first, with filters and pages", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p, keys.admin);
  assert.equal(await p.locator('[data-nav="audit"]').getAttribute("aria-current"), "page");
  await count(p, "100");
  await accessible(p, t);
  await p.getByRole("button", { name: "Show older ones" }).click();
  await until(async () => Number(await p.locator("[data-trail] tbody").getAttribute("data-count")) >= 106, "the older ones");

  await p.getByLabel("What").selectOption("PATCH");
  await count(p, "1");
  const row = p.locator("[data-trail] tbody tr").first();
  assert.match((await row.textContent()) ?? "", /<b>Ada<\/b> \(admin\).*PATCH.*\/v1\/assets\/none.*not valid, 4/);
  assert.equal(await row.locator("a").getAttribute("href"), "#/assets/none");
  await p.getByLabel("What").selectOption("");
  await p.getByLabel("Address begins with").fill("/v1/assets");
  await p.keyboard.press("Enter");
  await p.getByLabel("Who").selectOption("key");
  await count(p, "2");
  assert.equal(await p.locator('[data-trail] [data-tone="warn"]').filter({ hasText: "refused, 403" }).count(), 1);
  assert.match(p.url(), /actor=key/);
  assert.match(p.url(), /path=%2Fv1%2Fassets/);
  await p.getByLabel("Who").selectOption("open");
  await count(p, "1");
  assert.ok(((await p.locator("[data-trail] tbody tr").textContent()) ?? "").includes("without a key"));
  await p.getByLabel("Who").selectOption("server");
  await count(p, "0");
  await p.getByText("Nothing in the trail fits these filters.").waitFor();
  await accessible(p, t);
  // What is wrong with a filter is said in the server's words.
  await p.getByLabel("Address begins with").fill("assets");
  await p.keyboard.press("Enter");
  await until(async () => ((await p.locator(".problem").textContent()) ?? "").includes("an address begins with a slash"), "the fault");
  assert.deepEqual(ours(faults).filter((one) => !one.includes("422")), []);
  await close();
});

test("what the server did by itself stands there with its reason: both themes, both widths", async (t) => {
  for (const [colorScheme, width] of /** @type {const} */ ([["light", 1440], ["dark", 360]])) {
    const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 800 } });
    await p.route("**/v1/audit?*", async (/** @type {any} */ route) => {
      const answer = await (await route.fetch()).json();
      const nobodys = { key_id: null, key_name: null, role: null, method: null, status: null };
      answer.items.unshift({ ...answer.items[0], ...nobodys, id: "01a", actor: "server", act: "roll_back", path: "/v1/assets/tank-1/models/2", reason: "rolled back by the server from version 2: the base model forecasts 41.2 % better" });
      await route.fulfill({ json: answer });
    });
    await open(p, keys.admin);
    const row = p.locator('[data-trail] [data-actor="server"]');
    await row.waitFor();
    assert.match((await row.textContent()) ?? "", /the server.*rolled back.*\/v1\/assets\/tank-1\/models\/2.*41\.2 % better/);
    assert.equal(await row.locator("a").getAttribute("href"), "#/assets/tank-1");
    await accessible(p, t);
    assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= width, `wider than ${width}`);
    assert.deepEqual(ours(faults), []);
    await close();
  }
});

test("an operator is told that the trail is for admins", async () => {
  const { page: p, faults, close } = await page(chromium.browser);
  await open(p, keys.operator);
  await until(async () => ((await p.locator("main").textContent()) ?? "").includes("Your key has the role operator"), "why not");
  assert.deepEqual(ours(faults), []);
  await close();
});
