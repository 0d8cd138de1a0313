// @ts-check
/** What a chart shows behind and above its lines: the future, marked intervals, limits. */

/**
 * @typedef {{from: number, to: number, color: string, alpha?: number, strip?: boolean}} Mark
 *   an interval of time; a strip is only a line at the bottom
 * @typedef {{value: number, color: string}} Level a horizontal line
 */

/**
 * @param {any} u of uPlot
 * @param {{from: number, to: number, now: number | null, marks: Mark[]}} view
 * @param {(name: string) => string} color
 */
export function behind(u, { from, to, now, marks }, color) {
  const { left, top, width, height } = u.bbox;
  const { ctx } = u;
  const at = (/** @type {number} */ t) => Math.round(Math.min(left + width, Math.max(left, u.valToPos(t, "x", true))));
  ctx.save();
  if (now !== null && now >= from && now <= to) {
    const x = at(now);
    ctx.fillStyle = color("chart-future");
    ctx.fillRect(x, top, left + width - x, height);
  }
  for (const mark of marks) {
    if (mark.to < from || mark.from > to) continue;
    const x = at(mark.from);
    ctx.fillStyle = color(mark.color);
    ctx.globalAlpha = mark.alpha ?? 1;
    const y = mark.strip ? top + height - 4 * devicePixelRatio : top;
    ctx.fillRect(x, y, Math.max(devicePixelRatio * 2, at(mark.to) - x), mark.strip ? 4 * devicePixelRatio : height);
  }
  ctx.globalAlpha = 1;
  if (now !== null && now >= from && now <= to) stroke(u, at(now), top, at(now), top + height, color("chart-now"), []);
  ctx.restore();
}

/** @param {any} u @param {Level[]} levels @param {(name: string) => string} color */
export function above(u, levels, color) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  for (const { value, color: name } of levels) {
    const y = Math.round(u.valToPos(value, "y", true));
    if (y >= top && y <= top + height) stroke(u, left, y, left + width, y, color(name), [6, 3]);
  }
  u.ctx.restore();
}

/** @param {any} u @param {number} x @param {number} y @param {number} x2 @param {number} y2 @param {string} style @param {number[]} dash */
function stroke(u, x, y, x2, y2, style, dash) {
  u.ctx.strokeStyle = style;
  u.ctx.lineWidth = devicePixelRatio;
  u.ctx.setLineDash(dash.map((part) => part * devicePixelRatio));
  u.ctx.beginPath();
  u.ctx.moveTo(x, y);
  u.ctx.lineTo(x2, y2);
  u.ctx.stroke();
  u.ctx.setLineDash([]);
}

/**
 * Marks of the time axis in 24-hour local time; a day's first mark says the date.
 * @param {number[]} splits seconds @param {number} step
 */
export function clockMarks(splits, step) {
  let day = "";
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const date = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    if (step >= 86400) return date;
    const changed = day !== "" && date !== day;
    day = date;
    return changed ? date : at.toLocaleTimeString("en-GB", step < 60 ? {} : { hour: "2-digit", minute: "2-digit" });
  });
}

/**
 * Room above and below, and never a range of nothing.
 * @param {any} uPlot @param {number | null} min @param {number | null} max @param {number} labels
 */
export function valueRange(uPlot, min, max, labels) {
  if (labels) return [-0.2, labels - 0.8];
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const least = Math.max(Math.abs(min), Math.abs(max)) * 1e-3 || 1;
  if (max - min < least) return [min - least, max + least];
  return uPlot.rangeNum(min, max, 0.12, true);
}
