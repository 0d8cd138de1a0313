// @ts-check
/**
 * The rows of the fleet under headings that open and close: by type, or by what feeds what. The
 * address keeps how it is grouped and which groups are closed.
 */

import { api } from "../api.js";
import { h, say } from "../dom.js";
import { here, remember } from "../router.js";

export const GROUPS = { "": "nothing", type: "type", tree: "what feeds what" };
/** The group of the assets that nothing is connected to; no key of an asset looks like it. */
const ALONE = "-";

/** @typedef {import("./row.js").Row} Row */

export class Groups {
  /** @param {() => void} changed */
  constructor(changed) {
    const { query } = here();
    this.changed = changed;
    this.by = (query.get("group") ?? "") in GROUPS ? query.get("group") ?? "" : "";
    /** Closed groups by name. */
    this.closed = new Set(query.getAll("closed"));
    /** @type {Map<string, Heading>} */
    this.headings = new Map();
    /** Sources by target, once they have been read. @type {Map<string, string[]> | null} */
    this.sources = null;
  }

  /** @param {string} by */
  set(by) {
    this.by = by;
    this.closed.clear();
    this.#keep();
  }

  #keep() {
    remember({ group: this.by, closed: [...this.closed] });
  }

  /** Reads what feeds what. @param {AbortSignal} end */
  async read(end) {
    /** @type {Map<string, string[]>} */
    const sources = new Map();
    for (const { source, target } of await api.allRelationships()) {
      const known = sources.get(target);
      if (!known) sources.set(target, [source]);
      else if (!known.includes(source)) known.push(source);
    }
    if (!end.aborted) this.sources = sources;
  }

  /**
   * What stands in the list, top to bottom; hides the rows of closed groups.
   * @param {Row[]} rows in the order that was asked for @param {(row: Row) => boolean} fits
   * @returns {HTMLElement[]}
   */
  sequence(rows, fits) {
    const tree = this.by === "tree" && this.sources ? chains(rows, this.sources) : null;
    const names = new Map(tree ? rows.map(({ asset }) => [asset.key, asset.name || asset.key]) : []);
    for (const row of rows) row.placed(tree?.depths.get(row.asset.key) ?? 0, tree ? (this.sources?.get(row.asset.key) ?? []).map((key) => names.get(key) ?? key) : []);
    if (!this.by || (this.by === "tree" && !tree)) return rows.map((row) => shown(row, fits(row)));
    /** @type {Map<string, {title: string, rows: Row[]}>} */
    const groups = tree?.groups ?? new Map();
    if (!tree) {
      for (const row of rows) {
        const { type } = row.asset;
        if (!groups.has(type)) groups.set(type, { title: type, rows: [] });
        groups.get(type)?.rows.push(row);
      }
    }
    return [...groups].flatMap(([name, group]) => {
      const open = !this.closed.has(name);
      const fitting = group.rows.filter(fits);
      let heading = this.headings.get(name);
      if (!heading) {
        heading = new Heading(() => this.#turn(name));
        this.headings.set(name, heading);
      }
      heading.draw(group.title, fitting, open);
      return [heading.element, ...group.rows.map((row) => shown(row, open && fits(row)))];
    });
  }

  /** @param {string} name */
  #turn(name) {
    if (!this.closed.delete(name)) this.closed.add(name);
    this.#keep();
    this.changed();
  }
}

/** @param {Row} row @param {boolean} visible */
function shown(row, visible) {
  row.element.hidden = !visible;
  return row.element;
}

class Heading {
  /** @param {() => void} turn */
  constructor(turn) {
    this.title = h("span", { class: "fleet-title" });
    this.count = h("span", { class: "small quiet" });
    this.alarms = h("span", { class: "badge", "data-tone": "bad", hidden: true });
    this.button = h("button", { type: "button", "aria-expanded": "true", onclick: turn }, this.title, this.count, this.alarms);
    this.element = h("li", { class: "fleet-group" }, h("h2", {}, this.button));
  }

  /** @param {string} title @param {Row[]} rows those that fit @param {boolean} open */
  draw(title, rows, open) {
    const alarmed = rows.filter((row) => row.alarms.length).length;
    say(this.title, title);
    say(this.count, rows.length === 1 ? "1 asset" : `${rows.length} assets`);
    this.alarms.hidden = !alarmed;
    say(this.alarms, `${alarmed} with an active alarm`);
    this.button.setAttribute("aria-expanded", String(open));
    this.element.dataset.group = title;
    this.element.hidden = !rows.length;
  }
}

/**
 * Assets that are connected, each after what feeds it first, with how far down it stands.
 * @param {Row[]} rows @param {Map<string, string[]>} sources by target
 */
export function chains(rows, sources) {
  const byKey = new Map(rows.map((row) => [row.asset.key, row]));
  const into = (/** @type {string} */ key) => (sources.get(key) ?? []).filter((source) => byKey.has(source));
  /** @type {Map<string, Row[]>} */
  const fed = new Map();
  for (const row of rows) {
    for (const source of into(row.asset.key)) {
      const known = fed.get(source);
      if (known) known.push(row);
      else fed.set(source, [row]);
    }
  }
  const place = new Map(rows.map((row, i) => [row, i]));
  /** Names a group after the first of its assets that nothing feeds. @type {Map<string, {title: string, rows: Row[]}>} */
  const groups = new Map();
  /** @type {Map<string, number>} */
  const depths = new Map();
  const alone = [];
  for (const row of rows) {
    if (depths.has(row.asset.key)) continue;
    const all = connected(row, into, fed, byKey);
    if (all.size === 1) {
      depths.set(row.asset.key, 0);
      alone.push(row);
      continue;
    }
    const roots = [...all].map((key) => /** @type {Row} */ (byKey.get(key))).filter((one) => !into(one.asset.key).length).sort((a, b) => Number(place.get(a)) - Number(place.get(b)));
    /** @type {Row[]} */
    const ordered = [];
    const hang = (/** @type {Row} */ one, /** @type {number} */ depth) => {
      if (depths.has(one.asset.key)) return;
      depths.set(one.asset.key, depth);
      ordered.push(one);
      for (const next of fed.get(one.asset.key) ?? []) hang(next, depth + 1);
    };
    for (const root of roots) hang(root, 0);
    const names = roots.map((root) => root.asset.name || root.asset.key);
    groups.set(roots.map((root) => root.asset.key).sort()[0], { title: `From ${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`, rows: ordered });
  }
  if (alone.length) groups.set(ALONE, { title: groups.size ? "Not connected" : "Nothing is connected yet", rows: alone });
  return { groups, depths };
}

/** @param {Row} row @param {(key: string) => string[]} into @param {Map<string, Row[]>} fed @param {Map<string, Row>} byKey */
function connected(row, into, fed, byKey) {
  const found = new Set([row.asset.key]);
  const waiting = [row];
  for (let one = waiting.pop(); one; one = waiting.pop()) {
    const near = [...(fed.get(one.asset.key) ?? []), ...into(one.asset.key).map((key) => /** @type {Row} */ (byKey.get(key)))];
    for (const next of near) {
      if (found.has(next.asset.key)) continue;
      found.add(next.asset.key);
      waiting.push(next);
    }
  }
  return found;
}
