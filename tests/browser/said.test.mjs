// What was said before: forecasts of the past over the charts, with how they turned out.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, browse, page, table, until } from "./browser.mjs";
import { post, start, tank } from "./server.mjs";

/** @type {{url: string, stop: () => Promise<void>}} */
let server;
/** @type {{browser: any, close: () => Promise<void>}} */
let chromium;
/** The newest reading, ms. */
let now = 0;
/** Predictions of the asset. @param {string} [query] */
const vintages = async (query = "") => (await (await fetch(`${server.url}/v1/assets/tank-1/predictions${query}`)).json()).items;

/** Readings of the seconds from `from` to `to`, before now. @param {number} from @param {number} to */
function readings(from, to) {
  const rows = Array.from({ length: from - to }, (_, i) => {
    const before = from - i - 1;
    return `${new Date(now - before * 1000).toISOString()},40,${(3 + Math.sin(before / 25)).toFixed(4)}`;
  });
  return post(server.url, "/v1/assets/tank-1/telemetry", ["observed_at,pump,level", ...rows].join("\n"), "text/csv");
}

before(async () => {
  [server, chromium] = await Promise.all([start("serve", ["--forecast-every-s", "0.2"]), browse()]);
  await tank(server.url);
  now = Math.floor(Date.now() / 1000) * 1000;
  await readings(1500, 90);
  await until(async () => (await vintages("?cause=refresh")).length === 1, "the first forecast");
  await readings(90, 30);
  await until(async () => (await vintages("?cause=refresh")).length === 2, "the second forecast");
  await readings(30, 0);
  await until(async () => (await vintages("?cause=refresh")).length === 3, "the third forecast");
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("a point of the past shows what was said then, with its score; a span before now does too", async (t) => {
  const { page: p, faults, close } = await page(chromium.browser);
  await p.goto(`${server.url}/#/assets/tank-1`);
  const chart = p.locator('figure[data-chart="level"]');
  const bar = p.locator(".said-bar");
  const words = () => p.locator('[data-said-of="level"]').textContent();
  await until(async () => (await bar.locator("[data-ago]").allTextContents()).join() === "off,60 s before,10 min before", "the spans");
  assert.equal(await words(), "");
  assert.equal(await chart.getAttribute("data-said"), "0");

  // A minute before the newest reading the first forecast was the last one.
  const [first] = (await vintages("?cause=refresh")).slice(-1);
  const whole = await (await fetch(`${server.url}/v1/assets/tank-1/predictions/${first.id}`)).json();
  const { mae, coverage_80: held, truths } = whole.outcome.signals.level.scores;
  assert.equal(truths, 60);
  await bar.getByRole("button", { name: "60 s before" }).focus();
  await p.keyboard.press("Enter");
  await until(async () => (await bar.getAttribute("data-said")) === first.id, "the first forecast");
  await until(async () => (await chart.getAttribute("data-said")) === "61", "all of it, from the state on");
  const text = /** @type {string} */ (await words());
  const share = held === 1 ? "100" : `${(100 * held).toFixed(0)}`;
  assert.match(text, /^Said 60 s before: was off by [\d.]+\u202fm on average, holding the last value by [\d.]+\u202fm/);
  assert.ok(Math.abs(Number(/off by ([\d.]+)/.exec(text)?.[1]) - mae) < 0.006, `${text} for ${mae}`);
  assert.ok(text.includes(`the 80\u202f% band held ${share}\u202f% of 60 values`), text);
  await accessible(p, t);
  await until(async () => (await table(p, 'figure[data-chart="level"]')).some((row) => /\d/.test(row["said before"] ?? "")), "its numbers in the table");

  // A click between the second and the third: the second, half of which has come.
  const [, second] = await vintages("?cause=refresh");
  const box = await chart.locator(".u-over").boundingBox();
  const ends = await p.locator(".range-bar[data-from]").first().evaluate((/** @type {HTMLElement} */ one) => [Number(one.dataset.from), Number(one.dataset.to)]);
  await p.mouse.click(box.x + (box.width * (now / 1000 - 15 - ends[0])) / (ends[1] - ends[0]), box.y + box.height / 2);
  await until(async () => (await bar.getAttribute("data-said")) === second.id, "the second forecast");
  assert.match((await bar.textContent()) ?? "", /30 of 60 steps have come/);
  await until(async () => /^Said at \d.*of the 30 values that can be compared/.test((await words()) ?? ""), "its score");
  assert.match(await p.evaluate(() => location.hash), /said=20/);
  await p.reload();
  await until(async () => (await bar.getAttribute("data-said")) === second.id, "it again after a reload");
  await p.emulateMedia({ colorScheme: "dark" });
  await p.setViewportSize({ width: 360, height: 740 });
  await accessible(p, t);
  assert.ok((await p.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the screen");

  // By keyboard: an instant that is typed.
  const at = new Date(now - 80_000);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  // The field itself leaves out seconds that are zero, and refuses to be filled with them.
  await bar.getByLabel("What was said at an instant").fill(local.replace(/:00$/, ""));
  await until(async () => (await bar.getAttribute("data-said")) === first.id, "the first again");
  await bar.getByRole("button", { name: "off" }).click();
  await until(async () => (await chart.getAttribute("data-said")) === "0" && (await words()) === "", "nothing of it");
  assert.doesNotMatch(await p.evaluate(() => location.hash), /said=/);
  // Older than all forecasts.
  await bar.getByRole("button", { name: "10 min before" }).click();
  await bar.getByText("no forecast that old is kept").waitFor();
  assert.deepEqual(faults, []);
  await close();
});
