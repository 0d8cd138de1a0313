// @ts-check
/** What feeds the asset and what it feeds, as a small graph from top to bottom; each neighbour says how it stands. */

import { TONES, urgency } from "../alarm/words.js";
import { api } from "../api.js";
import { confirmed, fill, h, problemBox, say } from "../dom.js";
import { asked, choice, field } from "../form.js";
import { ago, FRESHNESS, percent, unit } from "../format.js";
import { only } from "../role.js";
import { assetLink } from "../router.js";

/** The stream follows one asset, so neighbours are read again. */
const AGAIN_MS = 15_000;
/** More neighbours on a side than this are shown on demand. */
const FIRST = 8;
const MOST_ALARMS = 1000;
/** Assets that the form offers by name; others are typed. */
const OFFERED = 200;

/** @param {import("../feed.js").Feed} feed */
export function relationsPanel(feed) {
  const { asset } = feed;
  const trouble = h("div", {});
  const graph = h("div", { class: "panel-body rel" });
  /** @type {Map<string, Neighbour>} by relationship */
  let shown = new Map();
  const element = h(
    "section",
    { class: "panel", "aria-label": "Relationships", "data-panel": "relations" },
    h("div", { class: "panel-head" }, h("h2", {}, "Relationships"), h("button", only("administer", { type: "button", class: "small push", onclick: () => add(feed, read) }), "Add")),
    trouble,
    graph,
  );

  async function read() {
    try {
      const all = await api.relationships(asset.key);
      if (feed.end.aborted) return;
      fill(trouble);
      draw(all);
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, h("div", { class: "panel-body" }, problemBox(error, read)));
    }
  }
  /** @param {import("../api.js").Relationship[]} all */
  const draw = (all) => {
    const names = all.map((one) => JSON.stringify([one.source, one.target, one.from_signal, one.to_signal]));
    element.dataset.count = String(all.length);
    if (names.join() !== [...shown.keys()].join() || !graph.childElementCount) {
      feed.tell("relations", all);
      shown = new Map(all.map((one, i) => [names[i], shown.get(names[i]) ?? new Neighbour(feed, one, () => remove(one))]));
      const side = (/** @type {boolean} */ into) => [...shown.values()].filter((one) => one.into === into);
      fill(graph, all.length ? [row(side(true), "Fed by"), h("div", { class: "rel-self" }, asset.name || asset.key), row(side(false), "Feeds")] : h("p", { class: "quiet" }, "It stands alone. Say which asset feeds it, or which it feeds: a what-if then goes on downstream."));
    }
    readStanding().catch(() => {});
  };
  /** How all neighbours stand, in one request, and their alarms. */
  const readStanding = async () => {
    const near = [...shown.values()];
    const [standing, alarms] = await Promise.all([api.standing([...new Set(near.map((one) => one.key))]), near.length ? api.alarms({ state: "active", limit: MOST_ALARMS }) : { items: [] }]);
    if (feed.end.aborted) return;
    const found = new Map(standing.map((one) => [one.asset, one]));
    for (const one of near) one.stands(found.get(one.key), alarms.items.filter((/** @type {any} */ alarm) => alarm.asset === one.key));
  };
  /** @param {import("../api.js").Relationship} one */
  const remove = async (one) => {
    if (!(await confirmed("Remove this relationship?", `${one.source} no longer feeds ${one.target}: a what-if ends at ${one.source}.`, "Remove"))) return;
    await api.endFeed(one.source, one.target).catch((error) => fill(trouble, h("div", { class: "panel-body" }, problemBox(error))));
    await read();
    element.querySelector("button")?.focus();
  };
  const timer = setInterval(() => document.hidden || element.offsetParent === null || read(), AGAIN_MS);
  feed.end.addEventListener("abort", () => clearInterval(timer));
  read();
  return element;
}

/** One side of the graph. @param {Neighbour[]} side @param {string} title */
function row(side, title) {
  if (!side.length) return null;
  const list = h("ul", { class: "rel-row", "aria-label": title }, side.slice(0, FIRST).map((one) => one.element));
  const more = h("button", { type: "button", class: "small", onclick: () => { list.append(...side.slice(FIRST).map((one) => one.element)); more.remove(); } }, `Show ${side.length - FIRST} more`);
  return h("div", { class: `rel-side ${side[0].into ? "rel-in" : "rel-out"}` }, h("h3", {}, title), list, side.length > FIRST ? more : null);
}

/** An asset at the other end, with how it stands. */
class Neighbour {
  /** @param {import("../feed.js").Feed} feed @param {import("../api.js").Relationship} relation @param {() => void} remove */
  constructor(feed, relation, remove) {
    this.feed = feed;
    this.into = relation.target === feed.asset.key;
    this.key = this.into ? relation.source : relation.target;
    this.name = h("a", { href: assetLink(this.key), title: this.key }, (this.into ? relation.source_name : relation.target_name) ?? this.key);
    this.fresh = h("span", { class: "badge", "data-dot": "" }, "…");
    this.health = h("span", { class: "badge", hidden: true });
    this.alarm = h("span", { class: "badge", "data-alarm": "", hidden: true });
    this.element = h(
      "li",
      { class: "rel-card", "data-neighbour": this.key },
      h("span", { class: "rel-name" }, this.name, h("button", only("administer", { type: "button", class: "small bare", "aria-label": `Remove: ${relation.source} feeds ${relation.target}`, onclick: remove }), "Remove")),
      h("span", { class: "standing" }, this.fresh, this.alarm, this.health),
      h("span", { class: "small quiet rel-what" }, `${relation.from_signal} → ${relation.to_signal}`),
    );
  }

  /** @param {any} standing undefined when the asset is gone @param {any[]} alarms active ones */
  stands(standing, alarms) {
    if (!standing) {
      say(this.fresh, "gone");
      return;
    }
    say(this.name, standing.name || standing.asset);
    const { tone, text } = FRESHNESS[standing.freshness] ?? FRESHNESS.empty;
    this.fresh.dataset.tone = tone;
    say(this.fresh, text);
    this.fresh.title = standing.observed_at ? ago(standing.age_s) : "";
    this.drawHealth(standing).catch(() => {});
    const active = alarms.filter((one) => !one.shelved).sort(urgency);
    this.alarm.hidden = !active.length;
    if (!active.length) return;
    this.alarm.dataset.tone = TONES[active[0].severity];
    say(this.alarm, active.length === 1 ? `1 ${active[0].severity} alarm` : `${active.length} alarms, ${active[0].severity}`);
    this.alarm.title = active.map((one) => one.name).join(", ");
  }

  /** The first class of a type is the healthy one. @param {any} standing */
  async drawHealth({ health, anomaly_score: score, type, type_version: version }) {
    const strange = typeof score === "number" && score >= 1;
    this.health.hidden = health?.class === undefined && !strange;
    if (health?.class !== undefined) {
      const known = await api.assetType(type, version);
      this.health.dataset.tone = health.class === known.health_classes?.[0] ? "good" : "bad";
      say(this.health, `${health.class}, ${percent(health.probabilities?.[health.class])}`);
    } else if (strange) {
      this.health.dataset.tone = "warn";
      say(this.health, `unusual: ${score.toFixed(1)} × threshold`);
    }
  }
}

/** Asks which asset feeds which, and with what. @param {import("../feed.js").Feed} feed @param {() => void} done */
async function add(feed, done) {
  const here = feed.asset.key;
  const { items } = await api.assets({ limit: OFFERED }).catch(() => ({ items: /** @type {import("../api.js").Asset[]} */ ([]) }));
  const way = choice({ out: `${here} feeds it`, in: `it feeds ${here}` }, "out");
  const known = h("datalist", { id: "known-assets" }, items.filter(({ key }) => key !== here).map((asset) => h("option", { value: asset.key }, asset.name ?? asset.key)));
  const other = h("input", { type: "text", list: known.id, autocomplete: "off" });
  const from = h("select", {});
  const to = h("select", {});
  let round = 0;
  /** @param {HTMLSelectElement} select @param {import("../api.js").Signal[]} signals @param {string} none */
  const offer = (select, signals, none) => {
    const kept = select.value;
    fill(select, signals.length ? signals.map((one) => h("option", { value: one.name, selected: one.name === kept }, `${one.name}${unit(one.unit) ? `, ${unit(one.unit)}` : ""}`)) : h("option", { value: "" }, none));
  };
  const refresh = async () => {
    round += 1;
    const mine = round;
    const type = other.value.trim() ? await api.asset(other.value.trim()).then((asset) => api.assetType(asset.type, asset.version)).catch(() => null) : null;
    if (mine !== round) return;
    const [source, target] = way.value === "out" ? [feed.type, type] : [type, feed.type];
    const outputs = (source?.signals ?? []).filter((one) => one.role === "output");
    offer(from, outputs, "name the other asset first");
    const code = outputs.find((one) => one.name === from.value)?.unit ?? "";
    const inputs = (target?.signals ?? []).filter((one) => one.role === "disturbance" || one.role === "control_input");
    // The server takes only one unit at both ends; those that fit come first.
    offer(to, [...inputs.filter((one) => (one.unit ?? "") === code), ...inputs.filter((one) => (one.unit ?? "") !== code)], "name the other asset first");
  };
  for (const control of [way, other, from]) control.addEventListener("input", refresh);
  refresh();
  const worked = await asked(
    {
      title: "Add a relationship",
      detail: "An output of one asset becomes an input of another, in the same unit.",
      submit: "Add",
      send: () => {
        const key = other.value.trim();
        if (!key) throw { title: "Something is missing", errors: [{ pointer: "/other", detail: "name the other asset" }] };
        const [source, target] = way.value === "out" ? [here, key] : [key, here];
        return api.feed(source, target, { from_signal: from.value, to_signal: to.value });
      },
    },
    field("Direction", way),
    field("The other asset", other, { pointer: "/other" }),
    known,
    field("Output of the source", from, { pointer: "/from_signal" }),
    field("Input of the target", to, { pointer: "/to_signal" }),
  );
  if (worked) done();
}
