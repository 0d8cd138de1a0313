// @ts-check
/** The alarm rules of one asset: a list, and a form to add or change one. */

import { api } from "../api.js";
import { confirmed, fill, h, problemBox } from "../dom.js";
import { asked, choice, field, spanField, typed, words } from "../form.js";
import { unit } from "../format.js";
import { only } from "../role.js";
import { CONDITIONS, SEVERITIES, TONES, watched } from "./words.js";

/** @param {import("../feed.js").Feed} feed */
export function rulesPanel(feed) {
  const key = feed.asset.key;
  const list = h("ul", { class: "rules" });
  const trouble = h("div", {});
  const add = h("button", only("administer", { type: "button", class: "small primary", onclick: () => edit(null) }), "Add a rule");
  const element = h("section", { class: "panel", "aria-label": "Alarm rules", "data-panel": "rules" }, h("div", { class: "panel-head" }, h("h2", {}, "Alarm rules"), h("span", { class: "push" }, add)), trouble, list);

  const read = async () => {
    try {
      const { items } = await api.alarmRules(key);
      if (feed.end.aborted) return;
      fill(trouble);
      fill(list, items.length ? items.map(row) : h("li", { class: "panel-body quiet" }, "No rule yet. Add one, and an alarm is raised the moment it is broken."));
    } catch (error) {
      if (!feed.end.aborted) fill(trouble, problemBox(error, read));
    }
  };
  /** @param {any} rule */
  const row = (rule) => h(
    "li",
    { class: "rule", "data-rule": rule.id },
    h("div", {}, h("strong", {}, rule.name), " ", h("span", { class: "badge", "data-tone": rule.enabled ? TONES[rule.severity] : "" }, rule.enabled ? rule.severity : "switched off"), h("p", { class: "small" }, watched(rule)), rule.description ? h("p", { class: "words small" }, rule.description) : null),
    h(
      "div",
      { class: "row" },
      h("button", only("administer", { type: "button", class: "small", "aria-label": `Edit the rule ${rule.name}`, onclick: () => edit(rule) }), "Edit"),
      h("button", only("administer", { type: "button", class: "small", "aria-label": `Remove the rule ${rule.name}`, onclick: () => remove(rule) }), "Remove"),
    ),
  );
  /** @param {any} rule */
  const remove = async (rule) => {
    if (!(await confirmed(`Remove the rule “${rule.name}”?`, "Its active alarm clears; alarms that it raised stay in the list.", "Remove"))) return;
    await api.removeRule(key, rule.id).catch((error) => fill(trouble, problemBox(error)));
    await read();
  };
  /** @param {any} rule null for a new one */
  const edit = async (rule) => {
    const { fields, body } = ruleFields(feed, rule);
    const done = await asked({
      title: rule ? `Rule “${rule.name}”` : "New alarm rule",
      submit: rule ? "Save" : "Add",
      send: () => (rule ? api.changeRule(key, rule.id, body()) : api.addRule(key, body())),
    }, ...fields);
    if (done) await read();
  };
  read();
  return element;
}

/** @param {import("../feed.js").Feed} feed @param {any} rule */
function ruleFields(feed, rule) {
  const { signals } = feed.type;
  /** @type {string[]} */
  const classes = feed.type.health_classes ?? [];
  const first = signals.find((signal) => signal.role === "output") ?? signals[0];
  const name = h("input", { type: "text", maxlength: 200, value: rule?.name ?? "", required: true });
  const source = choice({ measured: "what is measured", predicted: "what the twin forecasts", anomaly: "the anomaly score", ...(classes.length ? { health: "a health class" } : {}) }, rule?.source ?? "measured", { disabled: Boolean(rule) });
  const condition = choice(CONDITIONS, rule?.condition ?? "above", { disabled: Boolean(rule) });
  const any = { "": "any signal" };
  const names = Object.fromEntries(signals.map((signal) => [signal.name, unit(signal.unit) ? `${signal.name} (${unit(signal.unit)})` : signal.name]));
  const signal = choice({ ...any, ...names }, rule ? rule.signal ?? "" : first?.name, { disabled: Boolean(rule) });
  const named = choice(Object.fromEntries(classes.map((one) => [one, one])), rule?.class ?? classes[1] ?? classes[0], { disabled: Boolean(rule) });
  const limit = h("input", { type: "number", step: "any", value: rule?.limit ?? "" });
  const severity = choice(SEVERITIES, rule?.severity ?? "major");
  const holds = spanField("Must hold for", rule?.for, { pointer: "/for", hint: "Empty: at once." });
  const deadband = h("input", { type: "number", step: "any", min: 0, value: rule?.deadband || "" });
  const within = spanField("Looks ahead", rule?.within ?? "PT1M", { pointer: "/within" });
  const probability = h("input", { type: "number", min: 0.05, max: 0.95, step: 0.05, value: rule?.probability ?? 0.8 });
  const description = h("textarea", { rows: 2, value: "" });
  description.value = rule?.description ?? "";
  const enabled = h("input", { type: "checkbox", checked: rule?.enabled ?? true });

  const limits = field("Limit", limit, { pointer: "/limit", hint: "In the signal's unit; 1 is an anomaly score's threshold, and a class has a probability." });
  const of = field("Signal", signal, { pointer: "/signal" });
  const kind = field("Class", named, { pointer: "/class" });
  const whole = () => source.value === "anomaly" || source.value === "health";
  const ahead = [within.element, field("Probability", probability, { pointer: "/probability", hint: "From which a breach counts." })];
  const calm = field("Deadband", deadband, { pointer: "/deadband", hint: "How far inside it clears." });
  const shown = () => {
    limits.hidden = condition.value === "missing";
    calm.hidden = condition.value === "missing";
    for (const element of ahead) element.hidden = source.value !== "predicted";
    of.hidden = whole();
    kind.hidden = source.value !== "health";
  };
  condition.addEventListener("change", shown);
  source.addEventListener("change", shown);
  shown();
  const body = () => {
    const predicted = source.value === "predicted";
    const missing = condition.value === "missing";
    const common = {
      name: name.value.trim(),
      severity: severity.value,
      enabled: enabled.checked,
      for: holds.value() ?? null,
      deadband: missing ? null : typed(deadband) ?? 0,
      description: words(description) ?? null,
      ...(missing ? {} : { limit: typed(limit) ?? null }),
      ...(predicted ? { within: within.value() ?? null, probability: typed(probability) ?? null } : {}),
    };
    return rule ? common : { ...common, source: source.value, condition: condition.value, ...(whole() ? {} : { signal: signal.value || null }), ...(source.value === "health" ? { class: named.value } : {}) };
  };
  return {
    body,
    fields: [
      field("Name", name, { pointer: "/name", wide: true }),
      field("Watches", source, { pointer: "/source" }),
      of,
      kind,
      field("Condition", condition, { pointer: "/condition" }),
      limits,
      ...ahead,
      field("Severity", severity, { pointer: "/severity" }),
      holds.element,
      calm,
      field("What to do", description, { pointer: "/description", wide: true }),
      h("label", { class: "check wide" }, enabled, "Switched on"),
    ],
  };
}
