// Alarms: a rule is made on the page, real readings break it, a person takes notice.

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
  await tank(server.url);
  await levels(server.url, [1, 1, 1]);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("a rule made by keyboard raises an alarm that is seen by itself and acknowledged", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/alarms`);
  await p.locator("[data-alarms] .command").waitFor();
  await accessible(p, t);

  const { page: twin, faults: twinFaults, close: closeTwin } = await page(chromium.browser);
  await twin.goto(`${server.url}/#/assets/tank-1/alarms`);
  await twin.getByRole("button", { name: "Add a rule" }).focus();
  await twin.keyboard.press("Enter");
  const dialog = twin.locator("dialog");
  await dialog.waitFor();
  // A limit is missing: the server says so, and it is said at the field.
  await dialog.getByLabel("Name").fill("<b>overflow</b>");
  await twin.keyboard.press("Enter");
  const fault = dialog.locator('[data-pointer="/limit"] .fault');
  await until(async () => ((await fault.textContent()) ?? "").includes("missing"), "the fault at the limit");
  assert.equal(await dialog.getByLabel("Limit").getAttribute("aria-invalid"), "true");
  await dialog.getByLabel("Limit").fill("2.5");
  await dialog.getByLabel("Severity").selectOption("critical");
  await twin.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await twin.locator("[data-rule]").waitFor();
  await accessible(twin, t);

  await levels(server.url, [2.9]);
  const alarm = p.locator(".alarm");
  await alarm.waitFor();
  assert.equal(await alarm.locator("strong").first().textContent(), "<b>overflow</b>");
  assert.equal(await p.locator("main b").count(), 0);
  await until(async () => (await alarm.locator(".alarm-value").textContent()) === "2.90\u202fm (limit 2.50)", "its value");
  await until(async () => (await p.locator("#alarm-count").textContent()) === "1", "the count in the bar");
  await accessible(p, t);
  await alarm.getByRole("button", { name: /^Acknowledge/ }).focus();
  await p.keyboard.press("Enter");
  await until(async () => (await alarm.getAttribute("data-state")) === "acknowledged", "the acknowledgement");
  await until(async () => (await twin.locator(".alarm").getAttribute("data-state")) === "acknowledged", "the same on the other page");
  await until(async () => p.locator("#alarm-count").isHidden(), "nothing waits any more");

  await alarm.getByRole("button", { name: /^Comment/ }).click();
  await p.locator("dialog").getByLabel("Comment").fill("<img src=x> opened the valve");
  await p.locator("dialog").getByLabel("Your name").fill("Ada");
  await p.locator("dialog").getByRole("button", { name: "Comment" }).click();
  await p.locator("dialog").waitFor({ state: "detached" });
  await alarm.getByRole("button", { name: /^Log/ }).click();
  await until(async () => ((await alarm.locator(".log").textContent()) ?? "").includes("<img src=x> opened the valve"), "the comment in the log");
  assert.match((await alarm.locator(".log").textContent()) ?? "", /by Ada/);

  await alarm.getByRole("button", { name: /^Shelve/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Shelve" }).click();
  await until(async () => (await alarm.getAttribute("data-state")) === "shelved", "the shelf");
  await alarm.getByRole("button", { name: /^Unshelve/ }).click();
  await until(async () => (await alarm.getAttribute("data-state")) === "acknowledged", "off the shelf");
  await alarm.getByRole("button", { name: /^Clear/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Clear" }).click();
  await until(async () => (await alarm.getAttribute("data-state")) === "cleared", "cleared by hand");
  await accessible(p, t);

  await twin.getByRole("button", { name: /^Edit the rule/ }).click();
  await twin.locator("dialog").getByLabel("Limit").fill("3");
  await twin.locator("dialog").getByRole("button", { name: "Save" }).click();
  await until(async () => ((await twin.locator(".rule").textContent()) ?? "").includes("3.00"), "the new limit");
  await twin.getByRole("button", { name: /^Remove the rule/ }).click();
  await twin.locator("dialog").getByRole("button", { name: "Remove" }).click();
  await until(async () => (await twin.locator("[data-rule]").count()) === 0, "no rule");
  assert.deepEqual(faults, []);
  // The browser itself logs the answer of 422.
  assert.deepEqual(twinFaults.filter((one) => !one.includes("422")), []);
  await closeTwin();
  await close();
});

test("a note, a label, and the end of a label", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark" });
  await p.goto(`${server.url}/#/assets/tank-1/alarms`);
  const events = p.locator('[data-panel="events"]');
  await events.locator(".command").waitFor();
  await events.getByRole("button", { name: "Add a note" }).click();
  await p.locator("dialog").getByLabel("Text").fill("filter <i>changed</i>");
  await p.locator("dialog").getByRole("button", { name: "Add" }).click();
  await until(async () => (await events.locator('[data-kind="note"] .words').textContent().catch(() => "")) === "filter <i>changed</i>", "the note");
  await events.getByRole("button", { name: "Add a label" }).click();
  await accessible(p, t);
  await p.locator("dialog").getByLabel("Class").selectOption("leaking");
  await p.locator("dialog").getByRole("button", { name: "Add" }).click();
  const label = events.locator('[data-kind="label"]');
  await label.waitFor();
  assert.match((await label.textContent()) ?? "", /leaking.*lasts/);
  await label.getByRole("button", { name: /^End it now/ }).click();
  await until(async () => /for \d+ s/.test((await label.textContent()) ?? ""), "an interval");
  await label.getByRole("button", { name: /^Delete/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await until(async () => (await label.count()) === 0, "it is gone");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});

test("data health says what each signal is worth", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { viewport: { width: 360, height: 740 } });
  await p.goto(`${server.url}/#/assets/tank-1/data`);
  await until(async () => (await p.locator('[data-panel="data-health"] [data-signal]').count()) === 2, "a row for each signal");
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "the page is wider than the screen");
  await accessible(p, t);
  assert.deepEqual(faults, []);
  await close();
});
