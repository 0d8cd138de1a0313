// @ts-check
/** One alarm of a list: how bad, where, since when, and what a person can do about it. */

import { api } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { asked, choice, field, who, whoField, words } from "../form.js";
import { ago, time, utc } from "../format.js";
import { only } from "../role.js";
import { assetLink } from "../router.js";
import { evidence, local, SOURCES, standing, TONES, unitsOf } from "./words.js";

const SHELVES = /** @type {Record<string, string>} */ ({ 15: "15 minutes", 60: "1 hour", 480: "8 hours", 1440: "1 day", 10080: "7 days" });
const ACTIONS = /** @type {Record<string, string>} */ ({ raised: "raised", cleared: "cleared", acknowledged: "acknowledged", shelved: "shelved", unshelved: "taken off the shelf", commented: "comment" });

export class AlarmRow {
  /** @param {any} alarm @param {{asset: boolean, changed: (alarm: any) => void, end: AbortSignal}} use */
  constructor(alarm, use) {
    this.alarm = alarm;
    this.use = use;
    this.severity = h("span", { class: "badge" });
    this.state = h("span", { class: "badge", "data-alarm-state": "" });
    this.value = h("span", { class: "alarm-value" });
    this.since = h("span", { class: "small quiet" });
    this.noted = h("span", { class: "small quiet" });
    this.actions = h("div", { class: "row alarm-actions" });
    this.trouble = h("div", { class: "wide" });
    this.log = h("ol", { class: "log wide", hidden: true });
    this.text = h("p", { class: "words" });
    this.unit = "";
    this.element = h(
      "li",
      { class: "alarm", "data-alarm": alarm.id },
      h("div", { class: "alarm-badges" }, this.severity, this.state),
      h(
        "div",
        { class: "alarm-what" },
        h("strong", {}, alarm.name),
        h("p", { class: "small" }, use.asset ? [h("a", { href: assetLink(alarm.asset, "alarms") }, alarm.asset), " · "] : null, alarm.signal ?? "any signal", ` · ${SOURCES[alarm.source] ?? alarm.source}`),
        this.text,
      ),
      h("div", { class: "alarm-when" }, this.value, this.since, this.noted),
      this.actions,
      this.trouble,
      this.log,
    );
    this.draw();
    unitsOf(alarm.asset).then((units) => {
      this.unit = units.get(alarm.signal) ?? "";
      this.draw();
    }, () => {});
  }

  /** @param {any} alarm as it is now */
  update(alarm) {
    if (Date.parse(alarm.updated_at) < Date.parse(this.alarm.updated_at)) return;
    this.alarm = alarm;
    this.draw();
    if (!this.log.hidden) this.readLog();
  }

  draw() {
    const { alarm } = this;
    const state = standing(alarm);
    this.element.dataset.state = state;
    this.severity.dataset.tone = alarm.active && !alarm.shelved ? TONES[alarm.severity] : "";
    say(this.severity, alarm.severity);
    say(this.state, state);
    say(this.text, local(alarm.text));
    say(this.value, evidence(alarm, this.unit));
    const noted = alarm.acknowledged ? `acknowledged${alarm.acknowledged_by ? ` by ${alarm.acknowledged_by}` : ""}` : "not acknowledged";
    say(this.noted, alarm.shelved ? `shelved until ${time(alarm.shelved_until)}` : noted);
    this.tick();
    const key = `${state} ${alarm.acknowledged}`;
    if (this.actions.dataset.for === key) return;
    const focused = this.actions.contains(document.activeElement);
    this.actions.dataset.for = key;
    fill(
      this.actions,
      alarm.acknowledged ? null : this.button("Acknowledge", () => this.tell("acknowledge", { who: who() }), alarm.active ? "primary small" : "small"),
      alarm.active ? (alarm.shelved ? this.button("Unshelve", () => this.tell("unshelve", { who: who() })) : this.button("Shelve", () => this.shelve())) : null,
      this.button("Comment", () => this.noteOf("comment", "Comment on this alarm", "Comment"), "small extra"),
      alarm.active ? this.button("Clear", () => this.noteOf("clear", "Clear this alarm by hand?", "Clear", "If what raised it still holds, the next reading that says so raises another one."), "small extra") : null,
      this.history,
    );
    if (!this.history) this.actions.append(this.history = h("button", this.look("Log", () => this.toggleLog(), "small extra"), "Log"));
    this.history.setAttribute("aria-expanded", String(!this.log.hidden));
    if (focused) this.actions.querySelector("button")?.focus();
  }

  tick() {
    const { alarm } = this;
    const at = alarm.active ? alarm.raised_at : alarm.cleared_at;
    say(this.since, `${alarm.active ? "since" : "cleared"} ${time(at)}, ${ago(Math.max(0, (Date.now() - Date.parse(at)) / 1000))}`);
    this.since.title = utc(at);
  }

  /** What acts on the alarm. @param {string} text @param {() => void} act @param {string} [look] */
  button(text, act, look = "small") {
    return h("button", only("operate", this.look(text, act, look)), text);
  }

  /** @param {string} text @param {() => void} act @param {string} look */
  look(text, act, look) {
    return { type: "button", class: look, onclick: act, "aria-label": `${text}: ${this.alarm.name} of ${this.alarm.asset}` };
  }

  /** @param {"acknowledge" | "clear" | "comment" | "shelve" | "unshelve"} verb @param {any} body */
  async send(verb, body) {
    const alarm = await api.tellAlarm(this.alarm.id, verb, body);
    fill(this.trouble);
    if (!this.use.end.aborted) this.use.changed(alarm);
    if (!this.log.hidden) await this.readLog();
  }

  /** @param {"acknowledge" | "unshelve"} verb @param {any} body */
  tell(verb, body) {
    return this.send(verb, body).catch((error) => fill(this.trouble, problemBox(error)));
  }

  shelve() {
    const length = choice(SHELVES, "60");
    const comment = h("textarea", { rows: 2, maxlength: 2000 });
    const name = whoField();
    return asked(
      {
        title: "Shelve this alarm",
        detail: "Until then nobody is told of it, nor of others that its rule raises.",
        submit: "Shelve",
        send: () => this.send("shelve", { until: new Date(Date.now() + Number(length.value) * 60_000).toISOString(), comment: words(comment), who: name.value() }),
      },
      field("For", length, { pointer: "/until" }),
      field("Comment", comment, { pointer: "/comment", wide: true }),
      name.element,
    );
  }

  /** @param {"comment" | "clear"} verb @param {string} title @param {string} submit @param {string} [detail] */
  noteOf(verb, title, submit, detail) {
    const comment = h("textarea", { rows: 3, maxlength: 2000 });
    const name = whoField();
    return asked({ title, detail, submit, send: () => this.send(verb, { comment: words(comment), who: name.value() }) }, field("Comment", comment, { pointer: "/comment", wide: true }), name.element);
  }

  async toggleLog() {
    this.log.hidden = !this.log.hidden;
    this.history?.setAttribute("aria-expanded", String(!this.log.hidden));
    if (!this.log.hidden) await this.readLog();
  }

  async readLog() {
    try {
      const { log } = await api.alarm(this.alarm.id);
      fill(this.log, log.map((/** @type {any} */ entry) => h(
        "li",
        {},
        h("span", { class: "small quiet", title: utc(entry.at) }, time(entry.at)),
        h("span", {}, [ACTIONS[entry.action] ?? entry.action, entry.who ? `by ${entry.who}` : ""].filter(Boolean).join(" ")),
        entry.comment ? h("span", { class: "words" }, entry.comment) : null,
      )));
    } catch (error) {
      fill(this.log, h("li", {}, problemBox(error)));
    }
  }

  /** @type {HTMLButtonElement | undefined} */
  history;
}
