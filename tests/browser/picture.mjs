// Renders the picture of the README from a running demo:
//   COUNTERPART_URL=http://127.0.0.1:8080 node tests/browser/picture.mjs src/dashboard/twin.png
// Without COUNTERPART_URL it starts a demo of its own, and waits until a version serves.

import { browse, page, until } from "./browser.mjs";
import { start } from "./server.mjs";

const out = process.argv[2] ?? "src/dashboard/twin.png";
const PLAN = "?s=Open%20the%20valve!valve*ramp*0:0.5_20:0.62|Less%20pump!pump*schedule*0:0.42_25:0.5|Both!valve*step*0:0.6!pump*line*0:0.5_30:0.42&horizon=60&output=level_2&sel=2";
const server = await start("demo");
const chromium = await browse();
try {
  const { page: p } = await page(chromium.browser, { viewport: { width: 1280, height: 1010 } });
  await until(async () => (await (await fetch(`${server.url}/v1/assets/demo-plant/models`)).json()).champion > 0, "a version that serves", 300_000);
  await p.goto(`${server.url}/#/assets/demo-plant/what-if${PLAN}`);
  await p.locator(".compare tbody tr").first().waitFor();
  await p.waitForTimeout(2000);
  await p.evaluate(() => scrollTo(0, document.querySelector(".tab-nav")?.getBoundingClientRect().top ?? 0));
  await p.evaluate(() => scrollBy(0, -60));
  await p.waitForTimeout(500);
  await p.screenshot({ path: out });
} finally {
  await chromium.close();
  await server.stop();
}
