// @ts-check
/** A retro what-if in the shape of a what-if: the baseline is what really happened. */

/** @param {any} answer of the API @returns {any} */
export function asOutcome(answer) {
  const observed = Object.fromEntries(Object.entries(answer.factual.observed).map(([name, values]) => [name, { 0.5: values }]));
  return {
    ...answer,
    baseline: { inputs: answer.factual.inputs, signals: observed },
    scenarios: answer.scenarios,
    fit: answer.factual.fit,
  };
}
