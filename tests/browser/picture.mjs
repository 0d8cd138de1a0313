// Renders the picture of the README, or every page, from a running demo:
//   COUNTERPART_URL=http://127.0.0.1:8080 node tests/browser/picture.mjs src/dashboard/twin.png
//   node tests/browser/picture.mjs FOLDER/ [SCENE...]
// Without COUNTERPART_URL it starts a demo of its own, and waits until a version serves. A folder
// (its name ends with a slash) gets each page in both themes, 360 and 1,440 pixels wide, whole; the
// demo is filled with more assets first, and an empty server shows the first run.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { browse, page, until } from "./browser.mjs";
import { furnish, learn, SCENES } from "./scenes.mjs";
import { start } from "./server.mjs";

const [out = "src/dashboard/twin.png", ...chosen] = process.argv.slice(2);
const PLAN = "?s=Open%20the%20valve!valve*ramp*0:0.5_20:0.62|Less%20pump!pump*schedule*0:0.42_25:0.5|Both!valve*step*0:0.6!pump*line*0:0.5_30:0.42&horizon=60&output=level_2&sel=2";
const SIZES = /** @type {const} */ ([["light", 1440], ["dark", 1440], ["light", 360], ["dark", 360]]);

/** @param {string} url */
async function readme(url) {
  const { page: p } = await page(chromium.browser, { viewport: { width: 1280, height: 1010 } });
  await until(async () => (await (await fetch(`${url}/v1/assets/demo-plant/models`)).json()).champion > 0, "a version that serves", 300_000);
  await p.goto(`${url}/#/assets/demo-plant/what-if${PLAN}`);
  await p.locator(".compare tbody tr").first().waitFor();
  await p.waitForTimeout(2000);
  await p.evaluate(() => scrollTo(0, document.querySelector(".tab-nav")?.getBoundingClientRect().top ?? 0));
  await p.evaluate(() => scrollBy(0, -60));
  await p.waitForTimeout(500);
  await p.screenshot({ path: out });
}

/** @param {string} url @param {string} name @param {{path: string, ready: string, act?: (page: any) => Promise<any>}} scene */
async function all(url, name, { path, ready, act }) {
  for (const [colorScheme, width] of SIZES) {
    const { page: p, faults, close } = await page(chromium.browser, { colorScheme, viewport: { width, height: 900 } });
    try {
      await p.goto(`${url}/${path}`);
      await p.locator(ready).first().waitFor({ timeout: 60_000 });
      await act?.(p);
      await p.evaluate(() => scrollTo(0, 0));
      await p.waitForTimeout(1500);
      await p.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    } catch (error) {
      process.stdout.write(`${name}, ${width}, ${colorScheme}: ${error}\n`);
    }
    if (faults.length) process.stdout.write(`${name}: ${faults.join("\n")}\n`);
    await close();
  }
}

let ended = () => {};
const chromium = await browse();
const server = await start("demo");
try {
  if (!out.endsWith("/")) await readme(server.url);
  else {
    mkdirSync(out, { recursive: true });
    if (!process.env.COUNTERPART_URL) ended = await furnish(server.url);
    for (const [name, scene] of Object.entries(SCENES)) {
      if (chosen.length && !chosen.includes(name)) continue;
      if (/jobs|models/.test(name)) await learn(server.url);
      await all(server.url, name, scene);
    }
    if (!chosen.length || chosen.includes("first-run")) {
      const empty = await start("serve");
      await all(empty.url, "first-run", { path: "#/", ready: ".steps li" });
      await empty.stop();
    }
  }
} finally {
  ended();
  await chromium.close();
  await server.stop();
}
