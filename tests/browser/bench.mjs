// Figures of the page in a real browser: `node tests/browser/bench.mjs [MINUTES]` (MINUTES of live
// updates for the heap, 3 by default; against a demo of its own, or COUNTERPART_URL; the fleet of
// 1,000 assets always has a server of its own).

import { browse, page, until } from "./browser.mjs";
import { post, start } from "./server.mjs";

const minutes = Number(process.argv[2] ?? 3);
const server = await start("demo");
const chromium = await browse();

const ASSETS = 1000;
/** Assets of the fleet that feed each other, one after the other. */
const CHAIN = 8;

/** @param {number[]} values @param {number} share */
const quantile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
/** @param {string} what @param {string} figure */
const say = (what, figure) => process.stdout.write(`${what}: ${figure}\n`);

/** A fleet of many assets in chains: how long its tree takes, and how smoothly it scrolls. */
async function fleet() {
  const many = await start("serve");
  try {
    await post(many.url, "/v1/asset-types", { key: "stage", interval: "PT1S", signals: [{ name: "inflow", unit: "m", role: "disturbance" }, { name: "level", unit: "m", role: "output", min: 0, max: 10 }] });
    const keys = Array.from({ length: ASSETS }, (_, i) => `stage-${String(i).padStart(4, "0")}`);
    for (const key of keys) await post(many.url, "/v1/assets", { key, type: "stage" });
    for (let i = 0; i < ASSETS; i += 1) {
      if (i % CHAIN === 0) continue;
      const answer = await fetch(`${many.url}/v1/assets/${keys[i - 1]}/relationships/feeds/${keys[i]}`, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ from_signal: "level", to_signal: "inflow" }) });
      if (!answer.ok) throw new Error(await answer.text());
    }
    const now = Date.now();
    for (let from = 0; from < ASSETS; from += 100) {
      const frames = keys.slice(from, from + 100).flatMap((asset, n) => Array.from({ length: 120 }, (_, i) => ({ asset, ts: new Date(now - (120 - i) * 1000).toISOString(), values: { inflow: 1 + (i % 9) / 9, level: 5 + Math.sin((i + n) / 9) } })));
      await post(many.url, "/v1/telemetry", frames);
    }
    // All forecast once, so that what is measured is the page.
    await until(async () => (await (await fetch(`${many.url}/v1/fleet?limit=1000`)).json()).items.every((/** @type {any} */ one) => one.risk), "a risk of all", 180_000);
    const { page: p, faults, close } = await page(chromium.browser);
    await p.goto(`${many.url}/`);
    await until(async () => (await p.locator(".fleet > li").count()) === ASSETS, "all rows", 30_000);
    const trees = [];
    for (let i = 0; i < 7; i += 1) {
      trees.push(Number(await p.evaluate(() => new Promise((resolve) => {
        const select = /** @type {HTMLSelectElement} */ ([...document.querySelectorAll("select")].find((one) => [...one.options].some((option) => option.value === "tree")));
        const list = /** @type {HTMLElement} */ (document.querySelector(".fleet"));
        const from = performance.now();
        const seen = new MutationObserver(() => {
          if (!list.querySelector(".fleet-group")) return;
          seen.disconnect();
          // Two frames: laid out and painted.
          requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - from)));
        });
        seen.observe(list, { childList: true });
        select.value = "tree";
        select.dispatchEvent(new Event("input", { bubbles: true }));
      }))));
      await p.getByLabel("Group by").selectOption("");
      await until(async () => !(await p.locator(".fleet-group").count()), "no tree");
    }
    say(`tree of ${ASSETS} assets in chains of ${CHAIN}, from the choice to the frame that shows it, median of 7`, `${median(trees).toFixed(0)} ms, longest ${Math.max(...trees).toFixed(0)} ms`);
    const frames = /** @type {number[]} */ (await p.evaluate(async () => {
      const times = [];
      let last = await new Promise((resolve) => requestAnimationFrame(resolve));
      const end = document.documentElement.scrollHeight - innerHeight;
      for (let y = 0; y < end; y += 120) {
        scrollTo(0, y);
        const at = await new Promise((resolve) => requestAnimationFrame(resolve));
        times.push(at - last);
        last = at;
      }
      return times;
    }));
    say(`scrolling through ${ASSETS} rows, 120 pixels a frame: ${frames.length} frames`, `median ${median(frames).toFixed(1)} ms, 95 % within ${quantile(frames, 0.95).toFixed(1)} ms, 99 % ${quantile(frames, 0.99).toFixed(1)} ms, longest ${Math.max(...frames).toFixed(0)} ms; ${frames.filter((time) => time > 34).length} took longer than two frames of 60 a second`);
    say("errors on the console of the fleet", String(faults.length));
    await close();
  } finally {
    await many.stop();
  }
}

try {
  await fleet();
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
