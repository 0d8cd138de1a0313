// @ts-check
/** A what-if as data: changes to control inputs, their place in the address, their request. */

/** @typedef {{signal: string, op: "set" | "ramp", value: number, from: number, to: number}} Change */

export const OPS = /** @type {Record<string, string>} */ ({ set: "set to", ramp: "ramp to" });

/** @param {Change[]} changes */
export function toText(changes) {
  return changes.map((c) => [encodeURIComponent(c.signal), c.op, +c.value.toPrecision(6), c.from, c.to].join("~")).join(";");
}

/** @param {string | null} text @param {(name: string) => boolean} known @returns {Change[]} */
export function fromText(text, known) {
  if (!text) return [];
  return text.split(";").flatMap((part) => {
    const [name, op, value, from, to] = part.split("~");
    let signal;
    try {
      signal = decodeURIComponent(name);
    } catch {
      return [];
    }
    const change = { signal, op: /** @type {"set" | "ramp"} */ (op), value: Number(value), from: Number(from), to: Number(to) };
    const whole = Number.isInteger(change.from) && Number.isInteger(change.to) && change.from >= 0 && change.to > change.from;
    return known(signal) && op in OPS && value !== "" && Number.isFinite(change.value) && whole ? [change] : [];
  });
}

/** @param {Change[]} changes @param {number} horizon @param {boolean} clamp */
export function request(changes, horizon, clamp) {
  return {
    horizon,
    scenarios: [
      {
        name: "scenario",
        overrides: changes.map(({ signal, op, value, from, to }) => ({ signal, op, value, from: Math.min(from, horizon - 1), to: Math.min(to, horizon) })),
      },
    ],
    ...(clamp ? { limits: "clamp" } : {}),
  };
}

/**
 * Where a slider may go: the signal's limits, or what was seen with room around it.
 * @param {import("../api.js").Signal} signal
 * @param {"number" | "boolean" | "enum"} kind
 * @param {number} labels
 * @param {(number | null | undefined)[]} seen
 */
export function reach(signal, kind, labels, seen) {
  if (kind === "boolean") return { min: 0, max: 1, step: 1 };
  if (kind === "enum") return { min: 0, max: Math.max(1, labels - 1), step: 1 };
  let min = Infinity;
  let max = -Infinity;
  for (const value of seen) {
    if (value === null || value === undefined) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  if (min > max) [min, max] = [0, 1];
  const room = Math.max((max - min) / 2, Math.abs(max) * 0.25, 1e-6);
  const low = signal.min ?? min - room;
  const high = signal.max ?? max + room;
  return { min: low, max: high, step: niceStep((high - low) / 200) };
}

/** The nearest 1, 2 or 5 below. @param {number} size */
export function niceStep(size) {
  if (!(size > 0)) return 0.01;
  const power = 10 ** Math.floor(Math.log10(size));
  const digit = size / power;
  return +((digit >= 5 ? 5 : digit >= 2 ? 2 : 1) * power).toPrecision(3);
}

/**
 * A first change that is worth looking at: a quarter of the reach towards its farther end, no
 * faster than the input may move.
 * @param {import("../api.js").Signal} signal
 * @param {{min: number, max: number, step: number}} span
 * @param {number} present
 * @param {number} interval seconds of a step
 * @param {number} horizon
 * @returns {Change}
 */
export function suggestion(signal, span, present, interval, horizon) {
  const way = span.max - present >= present - span.min ? 1 : -1;
  const raw = span.step === 1 && span.max - span.min <= 1 ? (present >= 0.5 ? 0 : 1) : present + (way * (span.max - span.min)) / 4;
  const value = Math.min(span.max, Math.max(span.min, +(Math.round(raw / span.step) * span.step).toPrecision(6)));
  return { signal: signal.name, ...speed(signal, present, value, interval, horizon), value, from: 0 };
}

/**
 * `set` where the input may jump, else a ramp that is just slow enough.
 * @param {import("../api.js").Signal} signal @param {number} present @param {number} value @param {number} interval @param {number} horizon
 * @returns {{op: "set" | "ramp", to: number}}
 */
function speed(signal, present, value, interval, horizon) {
  const steps = slowest(signal, present, value, interval);
  return steps <= 1 ? { op: "set", to: horizon } : { op: "ramp", to: Math.min(horizon, steps) };
}

/**
 * Steps that a change needs at the input's rate limit.
 * @param {import("../api.js").Signal} signal @param {number} present @param {number} value @param {number} interval
 */
export function slowest(signal, present, value, interval) {
  if (!signal.max_rate) return 1;
  return Math.max(1, Math.ceil(Math.abs(value - present) / (signal.max_rate * interval) - 1e-9));
}
