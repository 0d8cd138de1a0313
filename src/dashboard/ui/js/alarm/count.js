// @ts-check
/** How many alarms wait for somebody, beside the way to them. */

import { api } from "../api.js";
import { say } from "../dom.js";
import { stream } from "../stream.js";

const EVERY_MS = 30_000;
const SOON_MS = 400;
const MOST = 100;

/** @param {HTMLElement} badge */
export function alarmCount(badge) {
  const end = new AbortController().signal;
  let timer = /** @type {number | undefined} */ (undefined);
  const read = async () => {
    try {
      const { items } = await api.alarms({ state: "active", limit: MOST });
      const waiting = items.filter((/** @type {any} */ alarm) => !alarm.acknowledged && !alarm.shelved).length;
      say(badge, waiting >= MOST ? `${MOST}+` : String(waiting));
      badge.hidden = !waiting;
      badge.title = `${waiting} active and not acknowledged`;
    } catch {
      // The page itself says when the server is gone.
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(read, SOON_MS);
  };
  stream.on("alarm", soon, end);
  stream.on("resync", soon, end);
  setInterval(() => document.hidden || read(), EVERY_MS);
  read();
}
