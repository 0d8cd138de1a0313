// Webhooks: one is added, tested, told of an alarm, and removed; a bad address is refused at its field.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { accessible, browse, page, until } from "./browser.mjs";
import { levels, post, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;
/** @type {any[]} what the receiver was sent */
const heard = [];
let status = 200;
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => { body += chunk; });
  request.on("end", () => {
    heard.push({ headers: request.headers, body: JSON.parse(body) });
    response.writeHead(status).end("<b>thanks</b>");
  });
});

before(async () => {
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", () => resolve(undefined)));
  [server, chromium] = await Promise.all([start("serve", ["--webhook-allow-http", "--webhook-networks", "127.0.0.0/8"]), browse()]);
  await tank(server.url);
  await post(server.url, "/v1/assets/tank-1/alarm-rules", { name: "too full", condition: "above", signal: "level", limit: 5, severity: "major" });
});
after(async () => {
  await chromium?.close();
  await server?.stop();
  receiver.close();
});

const address = () => `http://127.0.0.1:${/** @type {any} */ (receiver.address()).port}/hook`;
/** The browser itself logs answers of 422. @param {string[]} faults */
const ours = (faults) => faults.filter((one) => !/status of 422 /.test(one));

test("a webhook by keyboard: refused, added, its secret shown once, tested", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/keys`);
  const panel = p.locator('[data-panel="webhooks"]');
  await panel.getByText("None. Add one").waitFor();
  await accessible(p, t);
  await panel.getByRole("button", { name: "Add a webhook" }).focus();
  await p.keyboard.press("Enter");
  const dialog = p.locator("dialog");
  await dialog.getByLabel("Name").fill("<b>pager</b>");
  await dialog.getByLabel("Address").fill("https://169.254.169.254/latest/meta-data");
  await p.keyboard.press("Enter");
  await until(async () => /link-local/.test((await dialog.locator('[data-pointer="/url"] .fault').textContent()) ?? ""), "the fault at the address");
  await accessible(p, t);
  await dialog.getByLabel("Address").fill(address());
  for (const name of ["alarm raised", "alarm cleared"]) assert.ok(await dialog.getByLabel(name).isChecked(), name);
  await dialog.getByLabel("Name").focus();
  await p.keyboard.press("Enter");
  const secret = dialog.locator("[data-new-key] pre");
  await secret.waitFor();
  assert.match((await secret.textContent()) ?? "", /^whsec_[A-Za-z0-9+/]{43}=$/);
  await accessible(p, t);
  await p.getByRole("button", { name: "I have kept it" }).click();
  const row = panel.locator("[data-webhook]");
  await row.waitFor();
  assert.equal(await row.locator("strong").textContent(), "<b>pager</b>");
  assert.ok(!(await p.content()).includes("whsec_"), "the secret is still on the page");

  await row.getByRole("button", { name: /^Send a test/ }).click();
  await until(async () => /^Answered 200 after .*“<b>thanks<\/b>”/.test((await row.locator("[data-tested]").textContent()) ?? ""), "what the receiver said");
  assert.equal(heard.at(-1).body.type, "webhook.test");
  status = 503;
  await row.getByRole("button", { name: /^Send a test/ }).click();
  await until(async () => /^Not delivered: answered 503/.test((await row.locator("[data-tested]").textContent()) ?? ""), "what went wrong");
  status = 200;
  await accessible(p, t);
  assert.deepEqual(ours(faults), []);
  await close();
});

test("an alarm is told, its delivery is listed, and the webhook is switched off and removed", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser, { colorScheme: "dark", viewport: { width: 360, height: 800 } });
  await levels(server.url, [4, 6]);
  await until(async () => heard.some((one) => one.body.type === "alarm.raised" && one.body.asset === "tank-1"), "the alarm at the receiver");
  await p.goto(`${server.url}/#/keys`);
  const row = p.locator("[data-webhook]");
  await row.getByRole("button", { name: /^Show the deliveries/ }).click();
  await until(async () => (await row.locator('[data-delivery="delivered"]').count()) >= 2, "the deliveries");
  assert.match((await row.locator("[data-deliveries]").textContent()) ?? "", /alarm\.raised of tank-1/);
  assert.equal(await row.locator('[data-delivery="failed"]').count(), 1);
  await accessible(p, t);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");
  await p.emulateMedia({ colorScheme: "light" });
  await accessible(p, t);

  await row.getByRole("button", { name: /^Edit/ }).click();
  await p.locator("dialog").getByLabel("Switched on").uncheck();
  await p.locator("dialog").getByRole("button", { name: "Save" }).click();
  await row.getByText("switched off").waitFor();
  await row.getByRole("button", { name: /^Remove/ }).click();
  await p.locator("dialog").getByRole("button", { name: "Remove" }).click();
  await until(async () => (await row.count()) === 0, "it is gone");
  assert.deepEqual(ours(faults), []);
  await close();
});
