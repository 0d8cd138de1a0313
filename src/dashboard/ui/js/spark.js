// @ts-check
/** A line of the last values and the next ones, small enough for a list. */

/** The namespace of pictures. */
export const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 200;
const HEIGHT = 36;

/** @typedef {[number[], (number | null | undefined)[]]} Points instants and values */

/** @param {string} name @param {Points} past @param {Points} ahead */
export function sparkline(name, past, ahead) {
  const known = [...past[1], ...ahead[1]].filter((value) => value !== null && value !== undefined);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${name}, recent values and forecast`);
  if (!known.length) return svg;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const from = Math.min(past[0][0] ?? Infinity, ahead[0][0] ?? Infinity);
  const to = Math.max(past[0].at(-1) ?? -Infinity, ahead[0].at(-1) ?? -Infinity);
  const room = high - low || Math.abs(high) * 1e-3 || 1;
  /** @param {Points} points @param {string} kind */
  const draw = ([t, values], kind) => {
    let pen = "M";
    let path = "";
    values.forEach((value, i) => {
      if (value === null || value === undefined) {
        pen = "M";
        return;
      }
      const x = ((t[i] - from) / (to - from || 1)) * WIDTH;
      const y = HEIGHT - 3 - ((value - low) / room) * (HEIGHT - 6);
      path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    });
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("class", kind);
    line.setAttribute("d", path);
    svg.append(line);
  };
  draw(past, "past");
  draw(ahead, "ahead");
  return svg;
}
