// A real server for the browser: the built binary with a data directory of its own.
//
// COUNTERPART_BIN names the binary; COUNTERPART_URL a running demo to be used instead.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = new URL("../../", import.meta.url).pathname;
const BINARY = process.env.COUNTERPART_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug/counterpart");
const START_MS = 60_000;

/**
 * Starts `counterpart ROLE` and waits for the address that it prints.
 * @param {"demo" | "serve"} role
 * @param {string[]} [more] arguments
 * @returns {Promise<{url: string, stop: () => Promise<void>}>}
 */
export async function start(role, more = []) {
  if (role === "demo" && process.env.COUNTERPART_URL) return { url: process.env.COUNTERPART_URL, stop: async () => {} };
  const data = mkdtempSync(join(tmpdir(), "counterpart-browser-"));
  const child = spawn(BINARY, [role, "--bind", "127.0.0.1:0", "--data-dir", data, ...more], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, DATABASE_URL: undefined, NO_COLOR: "1" } });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let said = "";
  const url = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no address within ${START_MS} ms:\n${said}`)), START_MS);
    const listen = (/** @type {Buffer} */ chunk) => {
      said += chunk;
      const found = /dashboard (http:\/\/127\.0\.0\.1:\d+)/.exec(said);
      if (found) {
        clearTimeout(late);
        resolve(found[1]);
      }
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${BINARY} ended with ${code}:\n${said}`)));
  });
  return {
    url,
    stop: async () => {
      child.kill("SIGTERM");
      const slow = setTimeout(() => child.kill("SIGKILL"), 15_000);
      await ended;
      clearTimeout(slow);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/**
 * Posts to a server, and fails where it refuses.
 * @param {string} url @param {string} path @param {any} body @param {string} [type]
 */
export async function post(url, path, body, type = "application/json") {
  const answer = await fetch(url + path, { method: "POST", headers: { "content-type": type }, body: type.endsWith("json") ? JSON.stringify(body) : body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

/** A type with a pump and a level, and one asset of it. @param {string} url @param {string} [name] */
export async function tank(url, name) {
  await post(url, "/v1/asset-types", { key: "tank", interval: "PT1S", signals: [{ name: "pump", unit: "%", role: "control_input", min: 0, max: 100 }, { name: "level", unit: "m", role: "output" }], health_classes: ["sound", "leaking"] });
  await post(url, "/v1/assets", { key: "tank-1", type: "tank", name });
}

/** Levels of the newest seconds. @param {string} url @param {number[]} levels @param {number} [pump] */
export function levels(url, levels, pump = 40) {
  const now = Date.now();
  const rows = levels.map((level, i) => `${new Date(now - (levels.length - 1 - i) * 1000).toISOString()},${pump},${level}`);
  return post(url, "/v1/assets/tank-1/telemetry", ["observed_at,pump,level", ...rows].join("\n"), "text/csv");
}
