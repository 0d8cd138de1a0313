// @ts-check
/** What was answered as a file: its numbers as CSV, its charts as PNG. */

/** @param {any} answer @returns {string} a row per step, a column per future, signal and quantile */
export function csv(answer) {
  const futures = [{ name: "baseline", ...answer.baseline }, ...answer.scenarios];
  /** @type {{name: string, values: any[]}[]} */
  const columns = [];
  for (const future of futures) {
    for (const [signal, quantiles] of Object.entries(future.signals)) {
      for (const [level, values] of Object.entries(/** @type {any} */ (quantiles))) columns.push({ name: `${future.name}: ${signal} ${level}`, values });
    }
    for (const [signal, input] of Object.entries(future.inputs ?? {})) columns.push({ name: `${future.name}: ${signal}`, values: /** @type {any} */ (input).values });
    for (const limit of future.constraints ?? []) columns.push({ name: `${future.name}: ${limit.signal} breach probability`, values: limit.breach_probability });
    if (future.support) columns.push({ name: `${future.name}: support`, values: future.support.score });
  }
  const rows = answer.timestamps.map((/** @type {string} */ at, /** @type {number} */ i) => [at, String(i), ...columns.map((column) => column.values[i] ?? "")]);
  return [["timestamp", "step", ...columns.map((column) => column.name)], ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
}

/** A cell; a text that a spreadsheet would compute is made harmless. @param {any} value */
function cell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * The charts below an element, one under another, with their titles.
 * @param {HTMLElement} element @param {string} title @returns {Promise<Blob | null>}
 */
export function png(element, title) {
  const figures = [...element.querySelectorAll("figure.chart")].flatMap((figure) => {
    const canvas = figure.querySelector("canvas");
    return canvas && canvas.width ? [{ canvas, name: figure.getAttribute("data-chart") ?? "" }] : [];
  });
  const scale = devicePixelRatio;
  const line = 26 * scale;
  const keys = [...element.querySelectorAll(".key")].map((key) => ({ text: key.textContent ?? "", color: getComputedStyle(/** @type {Element} */ (key.querySelector("i"))).color }));
  const width = Math.max(600 * scale, ...figures.map(({ canvas }) => canvas.width)) + 24 * scale;
  const height = figures.reduce((sum, { canvas }) => sum + canvas.height + line, 0) + 3 * line;
  const whole = document.createElement("canvas");
  whole.width = width;
  whole.height = height;
  const pen = whole.getContext("2d");
  if (!pen) return Promise.resolve(null);
  const style = getComputedStyle(document.documentElement);
  pen.fillStyle = style.getPropertyValue("--surface").trim();
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = style.getPropertyValue("--ink").trim();
  pen.font = `600 ${15 * scale}px system-ui, sans-serif`;
  pen.fillText(title, 12 * scale, 22 * scale);
  pen.font = `${12 * scale}px system-ui, sans-serif`;
  let x = 12 * scale;
  for (const { text, color } of keys) {
    pen.fillStyle = color;
    pen.fillText(`— ${text}`, x, 46 * scale);
    x += pen.measureText(`— ${text}   `).width;
  }
  let y = 2.2 * line;
  for (const { canvas, name } of figures) {
    pen.fillStyle = style.getPropertyValue("--ink-2").trim();
    pen.fillText(name, 12 * scale, y + 16 * scale);
    y += line;
    pen.drawImage(canvas, 12 * scale, y);
    y += canvas.height;
  }
  return new Promise((resolve) => whole.toBlob(resolve, "image/png"));
}

/** @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
