// @ts-check
/**
 * The course that a scenario gives a control input: knots, and what lies between them. Steps
 * before the first knot stay as they would be. Pure functions.
 */

/**
 * @typedef {[number, number]} Knot step and value
 * @typedef {"step" | "ramp" | "pulse" | "schedule" | "line"} Shape
 * @typedef {{shape: Shape, knots: Knot[]}} Course knots by ascending step
 */

export const SHAPES = /** @type {Record<Shape, string>} */ ({ step: "Step", ramp: "Ramp", pulse: "Pulse", schedule: "Schedule, held", line: "Schedule, straight" });

/** Whether values go straight from knot to knot; otherwise each holds until the next. @param {Course} course */
export const straight = (course) => course.shape === "ramp" || course.shape === "line";

/**
 * A value for each step; null where the course says nothing.
 * @param {Course} course @param {number} horizon @returns {(number | null)[]}
 */
export function courseValues(course, horizon) {
  const { knots } = course;
  let i = -1;
  return Array.from({ length: horizon }, (_, step) => {
    while (i + 1 < knots.length && knots[i + 1][0] <= step) i += 1;
    if (i < 0) return null;
    const next = knots[i + 1];
    if (!straight(course) || !next) return knots[i][1];
    const [from, value] = knots[i];
    return value + ((next[1] - value) * (step - from)) / (next[0] - from);
  });
}

/**
 * The same as overrides of the API.
 * @param {string} signal @param {Course} course @param {number} horizon @returns {any[]}
 */
export function overridesOf(signal, course, horizon) {
  const knots = course.knots.filter(([step]) => step < horizon);
  if (!knots.length) return [];
  const rounded = (/** @type {number} */ value) => +value.toPrecision(7);
  if (straight(course) && course.knots.length > 1) {
    const from = knots[0][0];
    return [{ signal, op: "series", from, to: horizon, values: courseValues(course, horizon).slice(from).map((value) => rounded(value ?? 0)) }];
  }
  return knots.map(([from, value], i) => ({ signal, op: "set", value: rounded(value), from, to: knots[i + 1]?.[0] ?? horizon }));
}

/**
 * Overrides as courses, where they are such; the rest is kept as it is.
 * @param {any[]} overrides @param {number} horizon
 * @returns {{courses: Record<string, Course>, fixed: any[]}}
 */
export function coursesOf(overrides, horizon) {
  /** @type {Map<string, any[]>} */
  const bySignal = new Map();
  for (const one of overrides) bySignal.set(one.signal, [...(bySignal.get(one.signal) ?? []), one]);
  /** @type {Record<string, Course>} */
  const courses = {};
  const fixed = [];
  for (const [signal, list] of bySignal) {
    const course = courseOf(list, horizon);
    if (course) courses[signal] = course;
    else fixed.push(...list);
  }
  return { courses, fixed };
}

/** @param {any[]} list of one signal @param {number} horizon @returns {Course | null} */
function courseOf(list, horizon) {
  const plain = list.every((one) => !one.when && !one.assume && (one.from === undefined || one.from === null || Number.isInteger(one.from)) && (one.to === undefined || one.to === null || Number.isInteger(one.to)));
  if (!plain) return null;
  if (list.length === 1 && list[0].op === "series") {
    const from = list[0].from ?? 0;
    if ((list[0].to ?? horizon) < horizon && from + list[0].values.length < horizon) return null;
    return { shape: "line", knots: knotsOf(list[0].values, from) };
  }
  if (!list.every((one) => one.op === "set")) return null;
  const sorted = [...list].sort((a, b) => (a.from ?? 0) - (b.from ?? 0));
  const joined = sorted.every((one, i) => (i === sorted.length - 1 ? (one.to ?? horizon) >= horizon : one.to === sorted[i + 1].from));
  if (!joined) return null;
  return { shape: sorted.length === 1 ? "step" : "schedule", knots: sorted.map((one) => [one.from ?? 0, one.value]) };
}

/**
 * As few knots as draw the same line.
 * @param {number[]} values @param {number} [from] first step @returns {Knot[]}
 */
export function knotsOf(values, from = 0) {
  const reach = Math.max(...values) - Math.min(...values);
  const same = Math.max(reach * 1e-3, 1e-9);
  /** @type {Knot[]} */
  const knots = [[from, values[0]]];
  let start = 0;
  for (let i = 2; i <= values.length; i += 1) {
    const fits = i < values.length && Array.from({ length: i - start - 1 }, (_, k) => start + 1 + k).every((k) => Math.abs(values[start] + ((values[i] - values[start]) * (k - start)) / (i - start) - values[k]) <= same);
    if (fits) continue;
    start = i - 1;
    knots.push([from + start, values[start]]);
  }
  if (knots.at(-1)?.[0] === from + values.length - 1 && knots.length > 1 && Math.abs(knots[knots.length - 1][1] - knots[knots.length - 2][1]) <= same) knots.pop();
  return knots;
}

/**
 * Knots of a shape to begin with.
 * @param {Shape} shape @param {number} present @param {number} target @param {number} horizon @param {number} slowest steps that the change needs at least
 * @returns {Course}
 */
export function courseFrom(shape, present, target, horizon, slowest) {
  const part = (/** @type {number} */ share) => Math.max(1, Math.min(horizon - 1, Math.round(horizon * share)));
  const given = Math.max(slowest, 1);
  if (shape === "step" && given <= 1) return { shape, knots: [[0, target]] };
  if (shape === "step" || shape === "ramp") return { shape: "ramp", knots: [[0, present], [Math.max(given, shape === "ramp" ? part(0.25) : 1), target]] };
  if (shape === "pulse") return { shape, knots: [[0, target], [part(0.3), present]] };
  if (shape === "schedule") return { shape, knots: [[0, target], [part(0.35), present], [part(0.7), target]] };
  return { shape, knots: [[0, present], [part(0.25), target], [part(0.7), present]] };
}

/**
 * Moves a knot between its neighbours.
 * @param {Course} course @param {number} index @param {number} step @param {number} value @param {number} horizon
 */
export function moveKnot(course, index, step, value, horizon) {
  const least = index > 0 ? course.knots[index - 1][0] + 1 : 0;
  const most = index < course.knots.length - 1 ? course.knots[index + 1][0] - 1 : horizon - 1;
  course.knots[index] = [Math.round(Math.min(most, Math.max(least, step))), value];
}

/**
 * Adds a knot; a course of one knot becomes a schedule.
 * @param {Course} course @param {number} step @param {number} value @returns {number} its index
 */
export function addKnot(course, step, value) {
  const at = course.knots.findIndex(([one]) => one >= step);
  if (at >= 0 && course.knots[at][0] === step) {
    course.knots[at] = [step, value];
    return at;
  }
  const index = at < 0 ? course.knots.length : at;
  course.knots.splice(index, 0, [step, value]);
  if (course.shape === "step" || course.shape === "pulse") course.shape = "schedule";
  if (course.shape === "ramp" && course.knots.length > 2) course.shape = "line";
  return index;
}
