// @ts-check
/** Alarms in the order of their urgency, kept live by the stream; only the row that changed is drawn. */

import { api } from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { stream } from "../stream.js";
import { AlarmRow } from "./row.js";
import { urgency } from "./words.js";

const PAGE = 100;
/** Beside other things of one asset fewer are shown at first. */
const FEW = 25;

/**
 * @param {{asset?: string, end: AbortSignal, empty: () => Node, counted?: (alarms: any[]) => void}} use
 */
export function alarmList({ asset, end, empty, counted }) {
  const list = h("ul", { class: "alarms" });
  const more = h("button", { type: "button", class: "small", onclick: () => read(next) }, "Show older ones");
  const foot = h("div", { class: "panel-body", hidden: true }, more);
  const nothing = h("div", {});
  const trouble = h("div", {});
  const element = h("div", { "data-alarms": "" }, trouble, list, nothing, foot);
  /** @type {Map<string, AlarmRow>} */
  const rows = new Map();
  /** @type {Record<string, string>} */
  let filter = {};
  /** @type {string | null} */
  let next = null;
  let round = 0;

  /** @param {any} alarm */
  const fits = (alarm) =>
    (!asset || alarm.asset === asset)
    && (!filter.severity || alarm.severity === filter.severity)
    && (!filter.source || alarm.source === filter.source)
    && (!filter.state || { active: alarm.active, cleared: !alarm.active, acknowledged: alarm.acknowledged, unacknowledged: !alarm.acknowledged, shelved: alarm.shelved }[filter.state]);
  const settle = () => {
    const sorted = [...rows.values()].sort((a, b) => urgency(a.alarm, b.alarm));
    // Rows are moved only where their order changed: moving a row takes the focus from it.
    sorted.forEach((row, i) => list.children[i] === row.element || list.insertBefore(row.element, list.children[i] ?? null));
    list.hidden = !rows.size;
    element.dataset.count = String(rows.size);
    if (rows.size) fill(nothing);
    else if (!nothing.childElementCount) fill(nothing, empty());
    counted?.(sorted.map((row) => row.alarm));
  };
  /** @param {any} alarm */
  const put = (alarm) => {
    const row = rows.get(alarm.id);
    if (row) row.update(alarm);
    if (!fits(alarm)) {
      row?.element.remove();
      rows.delete(alarm.id);
    } else if (!row) {
      rows.set(alarm.id, new AlarmRow(alarm, { asset: !asset, end, changed }));
    }
  };
  /** @param {any} alarm */
  const changed = (alarm) => {
    put(alarm);
    settle();
  };
  /** @param {string | null} [cursor] */
  const read = async (cursor = null) => {
    round += 1;
    const mine = round;
    try {
      const page = await api.alarms({ asset, ...filter, limit: asset ? FEW : PAGE, cursor });
      if (end.aborted || mine !== round) return;
      fill(trouble);
      if (!cursor) {
        const kept = new Set(page.items.map((/** @type {any} */ alarm) => alarm.id));
        for (const [id, row] of rows) {
          if (kept.has(id)) continue;
          row.element.remove();
          rows.delete(id);
        }
      }
      for (const alarm of page.items) put(alarm);
      next = page.next ?? null;
      foot.hidden = !next;
      settle();
    } catch (error) {
      if (!end.aborted && mine === round) fill(trouble, problemBox(error, () => read()));
    }
  };
  stream.on("alarm", (alarm) => changed(alarm), end);
  stream.on("resync", () => read(), end);
  const ticking = setInterval(() => rows.forEach((row) => row.tick()), 5000);
  end.addEventListener("abort", () => clearInterval(ticking));
  return {
    element,
    read,
    /** @param {Record<string, string>} fresh */
    only(fresh) {
      filter = fresh;
      fill(nothing);
      return read();
    },
  };
}
