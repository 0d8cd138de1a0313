// Keys: the first one closes the server, a browser signs in and out, a key is revoked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { levels, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;
/** The key of the first test, for those that follow. */
let admin = "";

before(async () => {
  [server, chromium] = await Promise.all([start("serve"), browse()]);
  await tank(server.url);
  await levels(server.url, Array.from({ length: 40 }, (_, i) => 3 + 0.01 * i));
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** The browser itself logs answers of 401 and 403. @param {string[]} faults */
const ours = (faults) => faults.filter((one) => !/status of (401|403|409|422) /.test(one));
/** @param {string} path @param {string} [key] @param {RequestInit} [more] */
const ask = (path, key, more = {}) => fetch(server.url + path, { ...more, headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...(more.body ? { "content-type": "application/json" } : {}) } });
/** @param {string} name @param {string} role @returns {Promise<any>} */
const made = async (name, role) => (await ask("/v1/api-keys", admin, { method: "POST", body: JSON.stringify({ name, role }) })).json();
/** @param {any} p @param {string} key */
async function signIn(p, key) {
  await p.getByLabel("Key", { exact: true }).fill(key);
  await p.keyboard.press("Enter");
}

test("the first key, by keyboard alone: shown once, copied, and the door is closed", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await p.goto(`${server.url}/#/keys`);
  await p.locator(".banner").waitFor();
  await accessible(p, t);
  await p.getByRole("button", { name: "New key" }).focus();
  await p.keyboard.press("Enter");
  const dialog = p.locator("dialog");
  await dialog.waitFor();
  await accessible(p, t);
  // Without a name the server refuses, and it is said at the field.
  await p.keyboard.press("Enter");
  await until(async () => ((await dialog.locator('[data-pointer="/name"] .fault').textContent()) ?? "").includes("1 to 100"), "the fault at the name");
  await dialog.getByLabel("Name").fill("<b>Ada</b>");
  assert.equal(await dialog.getByLabel("Role").inputValue(), "admin");
  await p.keyboard.press("Enter");
  const shown = p.locator("[data-new-key] pre");
  await shown.waitFor();
  await accessible(p, t);
  admin = (await shown.textContent()) ?? "";
  assert.match(admin, /^cpk_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}$/);
  await p.getByRole("button", { name: "Copy the new key" }).focus();
  await p.keyboard.press("Enter");
  await until(async () => (await p.evaluate(() => navigator.clipboard.readText())) === admin, "the key in the clipboard");
  await p.getByRole("button", { name: "I have kept it" }).focus();
  await p.keyboard.press("Enter");

  // This browser is signed in with it; a request without a key is refused.
  const row = p.locator("[data-key]");
  await row.waitFor();
  assert.equal(await row.locator("strong").textContent(), "<b>Ada</b>");
  await until(async () => ((await p.locator(".page-head .facts").textContent()) ?? "").includes("Signed in as <b>Ada</b> (admin"), "who is signed in");
  assert.equal((await ask("/v1/assets")).status, 401);
  assert.equal((await ask("/v1/assets", admin)).status, 200);
  assert.ok(!(await p.content()).includes(admin.slice(13)), "the secret is still on the page");
  await accessible(p, t);
  // No script reads the cookie, and the live stream has it.
  assert.equal(await p.evaluate(() => document.cookie), "");
  await p.goto(`${server.url}/#/`);
  await p.locator(".fleet a").first().waitFor();
  await until(async () => (await p.locator("#link-state").getAttribute("data-state")) === "open", "the live link");
  assert.deepEqual(ours(faults), []);
  await close();
});

test("another browser has to sign in, a wrong key is refused at its field, and signing out ends it", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/tank-1`);
  await until(async () => (await p.locator("h1").textContent()) === "Sign in", "the page asks");
  // The line that makes a key names the folder of this server's own database.
  await until(async () => /^counterpart key --data-dir \S*counterpart-browser-\S+ create --name NAME --role reader$/.test((await p.locator("[data-key-command] pre").textContent()) ?? ""), "the command for this database");
  await accessible(p, t);
  await signIn(p, "cpk_nonsense");
  await until(async () => ((await p.locator('[data-pointer="/key"] .fault').textContent()) ?? "").includes("does not know"), "the fault at the key");
  await accessible(p, t);
  await signIn(p, admin);
  // Where the person wanted to go, with the live link that stood still before.
  await until(async () => (await p.locator("h1").textContent()) === "tank-1", "the page behind it");
  await until(async () => (await p.locator("#link-state").getAttribute("data-state")) === "open", "the live link");
  await p.reload();
  await until(async () => (await p.locator("h1").textContent()) === "tank-1", "still signed in");
  await p.goto(`${server.url}/#/keys`);
  await p.getByRole("button", { name: "Sign out" }).click();
  await until(async () => (await p.locator("h1").textContent()) === "Sign in", "signed out");
  assert.equal((await p.context().cookies()).length, 0);
  assert.deepEqual(ours(faults), []);
  await close();
});

test("a reader is told what it may not do", async (t) => {
  const reader = (await made("screen", "reader")).key;
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark" });
  await p.goto(`${server.url}/#/keys`);
  await signIn(p, reader);
  await until(async () => ((await p.locator("main").textContent()) ?? "").includes("Your key has the role reader"), "keys are not for a reader");
  await accessible(p, t);
  // What it may not do is off, and says why; what it may is not.
  for (const [path, name, takes] of /** @type {const} */ ([
    ["assets/tank-1/alarms", "Add a rule", "admin"],
    ["assets/tank-1/alarms", "Add a note", "operator or admin"],
    ["assets/tank-1/models", "Fine-tune now", "operator or admin"],
    ["assets/tank-1/models", "Run the backtest", "operator or admin"],
    ["types", "New type", "admin"],
    ["types", "Change", "admin"],
    ["types/new", "Create the type", "admin"],
  ])) {
    await p.goto(`${server.url}/#/${path}`);
    const button = p.locator("button:visible").filter({ hasText: new RegExp(`^${name}$`) }).first();
    await button.waitFor();
    assert.equal(await button.isDisabled(), true, name);
    assert.equal(await button.getAttribute("title"), `This takes a key with the role ${takes}; yours has reader`, name);
  }
  await accessible(p, t);
  await p.goto(`${server.url}/#/assets/tank-1/what-if`);
  const kept = p.locator('[data-act="Save"]');
  await kept.waitFor();
  assert.equal(await kept.isDisabled(), true, "saving");
  assert.equal(await p.locator('[data-act="Add"]').isDisabled(), false, "trying needs no right");
  // The server decides all the same, whatever the page shows.
  await p.goto(`${server.url}/#/assets/tank-1/alarms`);
  const rule = p.getByRole("button", { name: "Add a rule" });
  await rule.waitFor();
  await rule.evaluate((/** @type {HTMLButtonElement} */ button) => { button.disabled = false; });
  await rule.click();
  await p.locator("dialog").getByLabel("Name").fill("mine");
  await p.locator("dialog").getByLabel("Limit").fill("3");
  await p.locator("dialog").getByRole("button", { name: "Add" }).click();
  await until(async () => /takes a key with the role admin; yours has reader/.test((await p.locator("dialog .problem").textContent()) ?? ""), "the refusal in words");
  assert.deepEqual(ours(faults), []);
  await close();
});

test("an operator acts, and does not change what there is; an admin does", async () => {
  for (const [role, off] of /** @type {const} */ ([["operator", true], ["admin", false]])) {
    const key = role === "admin" ? admin : (await made("shift", role)).key;
    const { page: p, faults, close } = await page(chromium.browser);
    await p.goto(`${server.url}/#/assets/tank-1/models`);
    await signIn(p, key);
    const tune = p.getByRole("button", { name: "Fine-tune now" });
    await tune.waitFor();
    assert.equal(await tune.isDisabled(), false, role);
    await p.goto(`${server.url}/#/assets/tank-1/alarms`);
    const rule = p.getByRole("button", { name: "Add a rule" });
    await rule.waitFor();
    assert.equal(await rule.isDisabled(), off, role);
    assert.deepEqual(ours(faults), []);
    await close();
  }
});

test("a key is revoked, and whoever used it stands before the door", async (t) => {
  const operator = await made("<i>night shift</i>", "operator");
  const { page: theirs, close: closeTheirs } = await page(chromium.browser);
  await theirs.goto(`${server.url}/#/`);
  await signIn(theirs, operator.key);
  await theirs.locator(".fleet a").first().waitFor();

  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/keys`);
  await signIn(p, admin);
  const row = p.locator(`[data-key="${operator.prefix}"]`);
  await row.waitFor();
  await row.getByRole("button", { name: /^Revoke/ }).focus();
  await p.keyboard.press("Enter");
  await p.locator("dialog").waitFor();
  await accessible(p, t);
  await p.locator("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await row.count(), 1);
  await row.getByRole("button", { name: /^Revoke/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Revoke" }).click();
  await until(async () => (await row.count()) === 0, "no longer among the active ones");
  await p.getByLabel("Standing").selectOption("revoked");
  await row.waitFor();
  assert.equal(await row.getByRole("button").count(), 0);
  assert.match(p.url(), /standing=revoked/);

  // Nobody touched that page: its live link was cut, and the page learned why.
  await until(async () => (await theirs.locator("h1").textContent()) === "Sign in", "the revoked key is refused");
  await closeTheirs();

  // The last key of an admin: asked twice.
  await p.getByLabel("Standing").selectOption("active");
  const own = p.locator(`[data-key="${admin.slice(0, 12)}"]`);
  await own.getByRole("button", { name: /^Revoke/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Revoke" }).click();
  await until(async () => (await p.locator("dialog h2").textContent()) === "Revoke the last key of an admin?", "the second question");
  assert.match((await p.locator("dialog p").textContent()) ?? "", /counterpart key create/);
  await p.locator("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal((await ask("/v1/assets", admin)).status, 200);
  assert.deepEqual(ours(faults), []);
  await close();
});

for (const path of ["keys", "sign-in"]) {
  test(`${path}: both themes, both widths`, async (t) => {
    for (const [colorScheme, width] of /** @type {const} */ ([["light", 1440], ["dark", 360]])) {
      const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 800 } });
      await p.goto(`${server.url}/#/keys`);
      await p.getByLabel("Key", { exact: true }).waitFor();
      if (path === "keys") {
        await signIn(p, admin);
        await p.locator("[data-key]").first().waitFor();
      }
      for (const theme of /** @type {const} */ (["light", "dark"])) {
        await p.emulateMedia({ colorScheme: theme });
        await accessible(p, t);
      }
      assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= width, `wider than ${width}`);
      assert.deepEqual(ours(faults), []);
      await close();
    }
  });
}
