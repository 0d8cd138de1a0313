// Chromium, and pages that remember what went wrong on them.
//
// The binary embeds the page. COUNTERPART_UI=source takes it from the checkout instead, so that
// a change to it is tested without a build.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";

const VENDOR = new URL("../../.vendor/", import.meta.url);
const { chromium } = await import(new URL("playwright-core/index.mjs", VENDOR).href).catch(() => {
  throw new Error("playwright-core is missing: run sh docker/setup.sh --browser");
});
const AXE = new URL("axe-core/axe.min.js", VENDOR);

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser; playwright gives it a new, empty profile. */
export async function browse() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
  return { browser, close: () => browser.close() };
}

/**
 * A page and its faults: errors on the console, exceptions, and what the content security
 * policy refused.
 * @param {any} browser
 * @param {Record<string, any>} [options]
 */
export async function page(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const opened = await context.newPage();
  if (process.env.COUNTERPART_UI === "source") await fromSource(opened);
  /** @type {string[]} */
  const faults = [];
  opened.on("console", (/** @type {any} */ message) => message.type() === "error" && faults.push(`${message.text()} (${message.location().url})`));
  opened.on("pageerror", (/** @type {Error} */ error) => faults.push(String(error.stack ?? error)));
  await opened.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return { page: opened, faults, close: () => context.close() };
}

/** Answers with the files of the checkout, under the policy that the server sends. @param {any} page */
async function fromSource(page) {
  const source = new URL("../../src/dashboard/ui/", import.meta.url);
  const types = /** @type {Record<string, string>} */ ({ ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" });
  const ours = (/** @type {URL} */ url) => url.pathname === "/" || (url.pathname.startsWith("/ui/") && !url.pathname.startsWith("/ui/vendor/"));
  await page.route(ours, async (/** @type {any} */ route) => {
    const url = new URL(route.request().url());
    const name = url.pathname === "/" ? "index.html" : url.pathname.slice(4);
    const policy = (await fetch(url.origin)).headers.get("content-security-policy") ?? "";
    await route.fulfill({ body: readFileSync(new URL(name, source)), contentType: `${types[extname(name)]}; charset=utf-8`, headers: { "content-security-policy": policy } });
  });
}

/** Waits until `read` gives something true, and returns it. @param {() => Promise<any>} read @param {string} what @param {number} [patience] ms */
export async function until(read, what, patience = 20_000) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await read();
    if (value) return value;
    assert.ok(Date.now() < end, `not within ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The first asset's page. @param {any} page @param {string} url @param {string} [tab] its name */
export async function openTwin(page, url, tab) {
  await page.goto(`${url}/`);
  await page.locator(".fleet a").first().click();
  await page.locator('section[aria-label="State"]').waitFor();
  if (tab) await page.locator(".tab-nav").getByRole("link", { name: tab }).click();
}

/** Fails with every violation that axe-core finds; says so when it was not fetched. @param {any} page @param {any} test */
export async function accessible(page, test) {
  if (!existsSync(AXE)) {
    test.diagnostic("axe-core is not in .vendor/: accessibility was not checked");
    return;
  }
  // The page's policy allows no foreign script in its document; the debugger's is not in it.
  await page.evaluate(readFileSync(AXE, "utf8"));
  const { violations } = await page.evaluate(() => /** @type {any} */ (globalThis).axe.run());
  const words = violations.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.map((/** @type {any} */ n) => n.html.slice(0, 160)).join(" | ")}`);
  assert.deepEqual(words, []);
}

/** The rows of a chart's table as numbers by column. @param {any} page @param {string} selector of the figure */
export async function table(page, selector) {
  return page.locator(selector).locator("table").evaluate((/** @type {HTMLTableElement} */ element) => {
    const names = [...element.querySelectorAll("thead th")].map((cell) => cell.textContent ?? "");
    return [...element.querySelectorAll("tbody tr")].map((row) => Object.fromEntries([...row.children].map((cell, i) => [names[i], cell.textContent ?? ""])));
  });
}
