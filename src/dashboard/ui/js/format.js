// @ts-check
/** Numbers, units, instants and verdicts in the words that people read. */

/** UCUM codes that are written differently on a screen. */
const UNITS = /** @type {Record<string, string>} */ ({
  Cel: "°C", degF: "°F", "[degF]": "°F", K: "K", "1": "", "{1}": "", deg: "°", Ohm: "Ω", um: "µm", us: "µs",
  "[in_i]": "in", "[ft_i]": "ft", "[psi]": "psi", "[gal_us]": "gal", "[ppm]": "ppm", "10*6": "10⁶",
});

/** @param {string | null | undefined} code a UCUM unit */
export function unit(code) {
  if (!code) return "";
  if (code in UNITS) return UNITS[code];
  return code
    .replace(/\bCel\b/g, "°C")
    .replace(/([a-zA-Z])2\b/g, "$1²")
    .replace(/([a-zA-Z])3\b/g, "$1³")
    .replace(/^\{(.+)\}$/, "$1")
    .replace(/\./g, "·");
}

/**
 * A number with about four significant digits and a true minus sign.
 * @param {number | null | undefined} value
 */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return value.toExponential(2).replace("-", "−").replace("e+", "e");
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : size === 0 ? 0 : 4;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: size >= 10000 }).replace("-", "−").replaceAll(",", "\u202f");
}

/**
 * A difference with its sign.
 * @param {number | null | undefined} value
 */
export function signed(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = number(value);
  return value > 0 ? `+${text}` : text;
}

/**
 * A value without its unit; of an enum or a boolean, its label.
 * @param {any} value
 * @param {string[]} [labels]
 */
export function plain(value, labels = []) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "number") return labels.length ? labels[Math.round(value)] ?? number(value) : number(value);
  return value === null || value === undefined ? "–" : String(value);
}

/**
 * A value with its unit.
 * @param {any} value
 * @param {string | null | undefined} code
 * @param {string[]} [labels]
 */
export function quantity(value, code, labels = []) {
  if (labels.length) return plain(value, labels);
  const text = typeof value === "number" ? number(value) : value === null || value === undefined ? "–" : String(value);
  const shown = unit(code);
  return shown && text !== "–" ? `${text}\u202f${shown}` : text;
}

/** @param {number | null | undefined} share 0..1 */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  return `${(share * 100).toFixed(Math.abs(share) < 0.0995 && share !== 0 ? 1 : 0).replace("-", "−")}\u202f%`;
}

/** @param {number | string | Date} instant */
function date(instant) {
  return instant instanceof Date ? instant : new Date(instant);
}

/** Local time of day, with the day when it is not today. @param {number | string | Date | null | undefined} instant */
export function time(instant) {
  if (instant === null || instant === undefined) return "–";
  const at = date(instant);
  const clock = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? clock : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: at.getFullYear() === new Date().getFullYear() ? undefined : "numeric" })} ${clock}`;
}

/** The same instant in UTC, for the hover. @param {number | string | Date | null | undefined} instant */
export function utc(instant) {
  return instant === null || instant === undefined ? "" : `${date(instant).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "")} UTC`;
}

/** A span of time in its two largest units. @param {number | null | undefined} seconds */
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.abs(seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 90) return `${s < 10 ? +s.toFixed(1) : Math.round(s)} s`;
  const parts = /** @type {[number, string][]} */ ([[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]);
  const first = parts.findIndex(([size]) => s >= size);
  const [size, name] = parts[first];
  const whole = Math.floor(s / size);
  const next = parts[first + 1];
  const rest = next ? Math.round((s - whole * size) / next[0]) : 0;
  return rest && whole < 10 && next[0] * rest < size ? `${whole} ${name} ${rest} ${next[1]}` : `${Math.round(s / size)} ${name}`;
}

/** @param {number | null | undefined} seconds */
export function ago(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "never";
  return seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** How fresh a state is, in a word. */
export const FRESHNESS = /** @type {Record<string, {tone: string, text: string}>} */ ({
  live: { tone: "good", text: "live" },
  stale: { tone: "warn", text: "stale" },
  empty: { tone: "", text: "no readings" },
});

/** Seconds of an ISO 8601 duration such as PT4S, P1DT2H. @param {string | number | null | undefined} text */
export function seconds(text) {
  if (typeof text === "number") return text;
  const match = /^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text ?? "");
  if (!match) return NaN;
  const [weeks, days, hours, minutes, rest] = match.slice(1).map((part) => Number(part ?? 0));
  return weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + rest;
}

const FUTURES = /** @type {Record<string, string>} */ ({ given: "as given", desired: "as desired", hold: "held at the last value" });

/**
 * What was assumed of the inputs, in words.
 * @param {Record<string, {source: string}> | undefined} inputs
 */
export function assumptions(inputs) {
  const names = /** @type {Map<string, string[]>} */ (new Map());
  for (const [name, { source }] of Object.entries(inputs ?? {})) names.set(source, [...(names.get(source) ?? []), name]);
  const parts = [...names].map(([source, of]) => `${of.join(", ")} ${FUTURES[source] ?? source}`);
  return parts.length ? `Inputs: ${parts.join("; ")}.` : "";
}

/**
 * Who answered and how far it is to be trusted, in words.
 * @param {any} answer a prediction or a what-if
 */
export function trust(answer) {
  const model = answer?.model ?? {};
  const skill = answer?.skill;
  const source = model.source ?? (model.version > 0 ? "model" : "base");
  const who =
    source === "fallback" ? "The naive fallback answered"
      : source === "base" ? `The base model ${model.base ?? ""} answered; nothing learned on this asset serves yet`.replace("  ", " ")
        : `Version ${model.version}, learned on this asset, answered`;
  const why = model.reason ? `: ${model.reason}` : "";
  if (!skill) return `${who}${why}. Its skill on this asset has not been measured yet.`;
  const vs = skill.vs_naive ?? null;
  const better = vs === null ? "" : vs >= 0 ? `its error was ${percent(vs)} below the naive forecast's` : `its error was ${percent(-vs)} above the naive forecast's`;
  const cover = skill.coverage_80 === null || skill.coverage_80 === undefined ? "" : `${percent(skill.coverage_80)} of the truth fell into the 80\u202f% band`;
  const windows = skill.windows ? ` over ${skill.windows} past windows` : "";
  const measured = [better, cover].filter(Boolean).join(", and ");
  const served = skill.served ? ` Of what it forecast since, the band held ${percent(skill.served.coverage_80)}.` : "";
  return `${who}${why}. ${measured ? `Measured${windows}, ${measured}.` : ""}${served}`.trim();
}
