// @ts-check
/** Every asset with how it stands and what it says now; an empty server says how to begin. */

import { urgency } from "../alarm/words.js";
import { api } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { choice, field } from "../form.js";
import { here, remember } from "../router.js";
import { stream } from "../stream.js";
import { welcome } from "../welcome.js";
import { Groups, GROUPS } from "./groups.js";
import { Row } from "./row.js";

const PAGE = 1000;
const EMPTY_MS = 2000;
/** While the order goes by risk the list is put in order again so often. */
const ORDER_MS = 5000;
const MOST_ALARMS = 1000;
const ORDERS = { attention: "what needs attention", risk: "risk", name: "name", key: "key", type: "type" };

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function fleetPage(page, end) {
  document.title = "Fleet · Counterpart";
  const { query } = here();
  const count = h("p", { class: "facts", role: "status" });
  const list = h("ul", { class: "fleet" });
  const body = h("div", {});
  const trouble = h("div", {});
  const none = h("p", { class: "panel-body quiet", hidden: true }, "No asset fits these filters.");
  const search = h("input", { type: "search", value: query.get("q") ?? "", placeholder: "name, key or type" });
  const order = choice(ORDERS, query.get("order") ?? "attention");
  const types = h("select", {}, h("option", { value: "" }, "all"));
  const groups = new Groups(() => arrange());
  const group = choice(GROUPS, groups.by);
  const filters = h("div", { class: "filters push", hidden: true }, field("Find", search), field("Type", types), field("Order by", order), field("Group by", group));
  fill(page, h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "Fleet"), count), filters), trouble, body);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let polling = /** @type {number | undefined} */ (undefined);

  const compare = /** @type {Record<string, (a: Row, b: Row) => number>} */ ({
    attention: (a, b) => (a.alarms.length && b.alarms.length ? urgency(a.alarms[0], b.alarms[0]) : b.alarms.length - a.alarms.length),
    risk: (a, b) => b.danger - a.danger,
    name: (a, b) => (a.asset.name ?? a.asset.key).localeCompare(b.asset.name ?? b.asset.key),
    key: () => 0,
    type: (a, b) => a.asset.type.localeCompare(b.asset.type),
  });
  /** Shows those that fit, in the order that was asked for; moves a row only where it must. */
  const arrange = () => {
    const words = search.value.trim().toLowerCase();
    const by = compare[order.value] ?? compare.key;
    const all = [...rows.values()].sort((a, b) => by(a, b) || (a.asset.key < b.asset.key ? -1 : 1));
    let shown = 0;
    let alarmed = 0;
    /** @param {Row} row */
    const fits = ({ asset: { key, name, type } }) => (!types.value || type === types.value) && (!words || [key, name ?? "", type].some((text) => text.toLowerCase().includes(words)));
    for (const row of all) {
      shown += Number(fits(row));
      alarmed += Number(fits(row) && row.alarms.length > 0);
    }
    const sequence = groups.sequence(all, fits);
    sequence.forEach((element, i) => list.children[i] === element || list.insertBefore(element, list.children[i] ?? null));
    while (list.children.length > sequence.length) list.lastElementChild?.remove();
    none.hidden = shown > 0 || !rows.size;
    const total = rows.size === 1 ? "1 asset" : `${rows.size} assets`;
    say(count, !rows.size ? "" : [shown === rows.size ? total : `${shown} of ${total}`, alarmed ? `${alarmed} with an active alarm` : ""].filter(Boolean).join(", "));
  };
  const filtered = () => {
    remember({ q: search.value.trim(), type: types.value, order: order.value === "attention" ? null : order.value });
    arrange();
  };
  for (const control of [search, types, order]) control.addEventListener("input", filtered);
  /** Reads what feeds what where it is asked for. */
  const connect = async () => {
    fill(trouble);
    if (groups.by !== "tree") return;
    say(count, "reading what feeds what…");
    try {
      await groups.read(end);
    } catch (error) {
      if (!end.aborted) fill(trouble, problemBox(error, () => connect().then(arrange)));
    }
  };
  group.addEventListener("input", async () => {
    groups.set(group.value);
    arrange();
    await connect();
    if (!end.aborted) arrange();
  });

  const readAlarms = async () => {
    const { items } = await api.alarms({ state: "active", limit: MOST_ALARMS });
    if (end.aborted) return;
    /** @type {Map<string, any[]>} */
    const byAsset = new Map();
    for (const alarm of items) if (!alarm.shelved) byAsset.set(alarm.asset, [...(byAsset.get(alarm.asset) ?? []), alarm]);
    for (const [key, row] of rows) row.alarmed((byAsset.get(key) ?? []).sort(urgency));
    arrange();
  };
  /** How all stand, in one request. */
  const readStanding = async () => {
    const all = await api.fleet();
    // What health and limits mean is in the types, of which there are few.
    /** @type {Map<string, import("../api.js").AssetType>} */
    const read = new Map();
    const known = new Map([...rows.values()].map(({ asset }) => [`${asset.type}/${asset.version}`, asset]));
    await Promise.allSettled([...known].map(async ([name, { type, version }]) => read.set(name, await api.assetType(type, version))));
    if (end.aborted) return;
    for (const row of rows.values()) row.type ??= read.get(`${row.asset.type}/${row.asset.version}`) ?? null;
    for (const one of all) rows.get(one.asset)?.stands(one);
    if (order.value === "risk") arrange();
  };
  const read = async () => {
    let cursor;
    do {
      const result = await api.assets({ limit: PAGE, cursor });
      if (end.aborted) return;
      for (const asset of result.items) {
        if (rows.has(asset.key)) continue;
        const row = new Row(asset, end);
        rows.set(asset.key, row);
        seen.observe(row.element);
      }
      cursor = result.next;
    } while (cursor);
    page.dataset.assets = String(rows.size);
    if (!rows.size) {
      if (!body.childElementCount) fill(body, welcome());
      polling = setTimeout(() => read().catch(() => {}), EMPTY_MS);
      return;
    }
    if (!list.isConnected) {
      const names = h("div", { class: "fleet-row fleet-head", "aria-hidden": "true" }, ["Asset", "Standing", "Risk of a limit broken", "Newest values", "Serves", "First output, with its forecast"].map((text) => h("span", {}, text)));
      fill(body, h("section", { class: "panel", "aria-label": "Assets" }, names, list, none));
    }
    const known = [...new Set([...rows.values()].map((row) => row.asset.type))].sort();
    const wanted = types.value || query.get("type") || "";
    fill(types, h("option", { value: "" }, "all"), known.map((type) => h("option", { value: type, selected: type === wanted }, type)));
    filters.hidden = rows.size < 2;
    arrange();
    await connect();
    if (end.aborted) return;
    arrange();
    await Promise.allSettled([readStanding(), readAlarms()]);
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) rows.get(/** @type {HTMLElement} */ (entry.target).dataset.asset ?? "")?.inView(entry.isIntersecting);
  }, { rootMargin: "300px" });
  const ticking = setInterval(() => {
    for (const row of rows.values()) if (row.visible) row.tick();
  }, 1000);
  const again = setInterval(() => !document.hidden && order.value === "risk" && arrange(), ORDER_MS);
  end.addEventListener("abort", () => {
    seen.disconnect();
    clearInterval(ticking);
    clearInterval(again);
    clearTimeout(polling);
  });
  let soon = /** @type {number | undefined} */ (undefined);
  stream.on("state", (event) => rows.get(event.asset)?.arrived(event), end);
  stream.on("alarm", () => {
    clearTimeout(soon);
    soon = setTimeout(() => readAlarms().catch(() => {}), 300);
  }, end);
  stream.on("resync", () => {
    rows.forEach((row) => row.visible && row.read());
    Promise.allSettled([readStanding(), readAlarms()]);
  }, end);
  stream.follow(null);
  try {
    await read();
  } catch (error) {
    if (!end.aborted) fill(body, problemBox(error, () => { fill(body); read(); }));
  }
}
