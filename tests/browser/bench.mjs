// Figures of the page in a real browser: `node tests/browser/bench.mjs [MINUTES]` (MINUTES of live
// updates for the heap, 3 by default; against a demo of its own, or COUNTERPART_URL).

import { browse, page, until } from "./browser.mjs";
import { start } from "./server.mjs";

const minutes = Number(process.argv[2] ?? 3);
const server = await start("demo");
const chromium = await browse();

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
/** @param {string} what @param {string} figure */
const say = (what, figure) => process.stdout.write(`${what}: ${figure}\n`);

try {
  const first = await page(chromium.browser);
  const paints = [];
  for (let i = 0; i < 5; i += 1) {
    await first.page.goto("about:blank");
    await first.page.goto(`${server.url}/`);
    paints.push(await until(() => first.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime), "a paint"));
  }
  say("first contentful paint, median of 5", `${median(paints).toFixed(0)} ms`);

  const redraw = await first.page.evaluate(async () => {
    // The address is the server's, not a file beside this one.
    const at = "/ui/js/chart.js";
    const { Chart, chartLibrary } = await import(at);
    await chartLibrary();
    const lines = ["measured", "low 95", "low 80", "median", "high 80", "high 95"].map((label) => ({ label, color: "forecast" }));
    const chart = new Chart({ title: "bench", lines, bands: [{ upper: 5, lower: 1, color: "forecast-band" }, { upper: 4, lower: 2, color: "forecast-band" }] });
    document.querySelector("main")?.prepend(chart.element);
    const t = Array.from({ length: 100_000 }, (_, i) => i);
    const base = t.map((i) => Math.sin(i / 3000) + Math.random() / 5);
    const columns = [base, ...[-0.4, -0.2, 0, 0.2, 0.4].map((by) => base.map((value) => value + by))];
    const times = [];
    for (let i = 0; i < 15; i += 1) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      chart.set({ t, columns: columns.map((column) => column.map((value) => value + i / 100)) });
      const made = performance.now();
      // The drawing itself is put off to a microtask.
      await Promise.resolve();
      chart.plot?.redraw(false, false);
      await Promise.resolve();
      times.push(performance.now() - made);
    }
    chart.destroy();
    chart.element.remove();
    return times;
  });
  say("redraw of 100,000 points, six lines, two bands, median of 15", `${median(redraw).toFixed(1)} ms`);

  const { page: p } = first;
  await p.goto(`${server.url}/#/assets/demo-plant/what-if`);
  await until(async () => Number(await p.locator('[data-panel="what-if"]').getAttribute("data-answers").catch(() => 0)) > 0, "an answer", 60_000);
  await p.getByLabel("Follow the live state").uncheck();
  const knot = p.locator('[data-knot="pump"]').first();
  await knot.focus();
  const waits = [];
  for (let i = 0; i < 25; i += 1) {
    const wait = await p.evaluate((key) => new Promise((resolve) => {
      const panel = /** @type {HTMLElement} */ (document.querySelector('[data-panel="what-if"]'));
      const from = performance.now();
      const seen = new MutationObserver(() => requestAnimationFrame(() => {
        seen.disconnect();
        resolve(performance.now() - from);
      }));
      seen.observe(panel, { attributeFilter: ["data-answers"] });
      document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    }), i % 2 ? "ArrowUp" : "ArrowDown");
    waits.push(Number(wait));
  }
  say("from knot move to new curve, with limits and numbers, median of 25", `${median(waits).toFixed(0)} ms`);
  const dragged = [];
  for (let i = 0; i < 25; i += 1) {
    const box = await knot.boundingBox();
    await p.mouse.move(box.x + 8, box.y + 8);
    await p.mouse.down();
    const wait = p.evaluate(() => new Promise((resolve) => {
      const panel = /** @type {HTMLElement} */ (document.querySelector('[data-panel="what-if"]'));
      let from = 0;
      addEventListener("pointermove", () => { from ||= performance.now(); }, { capture: true });
      const seen = new MutationObserver(() => requestAnimationFrame(() => {
        if (!from) return;
        seen.disconnect();
        resolve(performance.now() - from);
      }));
      seen.observe(panel, { attributeFilter: ["data-answers"] });
    }));
    await p.mouse.move(box.x + 8, box.y + 8 + (i % 2 ? 9 : -9));
    dragged.push(Number(await wait));
    await p.mouse.up();
    await p.waitForTimeout(400);
  }
  say("the same while it is dragged, median of 25", `${median(dragged).toFixed(0)} ms`);

  await p.goto(`${server.url}/#/assets/demo-plant`);
  await p.waitForTimeout(10_000);
  const session = await p.context().newCDPSession(p);
  await session.send("HeapProfiler.enable");
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize / (1 << 20);
  };
  const points = [];
  for (let i = 0; i <= minutes * 2; i += 1) {
    points.push([i / 2, await heap()]);
    if (i < minutes * 2) await p.waitForTimeout(30_000);
  }
  const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  say(`heap over ${minutes} minutes of live updates`, `${points[0][1].toFixed(1)} to ${points.at(-1)?.[1].toFixed(1)} MiB, slope ${slope.toFixed(2)} MiB/min`);
  say("errors on the console", String(first.faults.length));
} finally {
  await chromium.close();
  await server.stop();
}
