// @ts-check
/** A CSV header and some rows of it, and what its columns may be. Pure functions. */

/**
 * @typedef {{column: string, name: string, unit: string, role: string, kind: "number" | "boolean" | "enum", labels: string[]}} Guess
 * @typedef {{names: string[], rows: string[][], time: number, asset: number, interval: string | null}} Sheet `time` and `asset` are columns, -1 for none
 */

const TIMES = ["ts", "observed_at", "timestamp", "time", "datetime", "date_time", "date"];
const CONTROLS = /(^|[\s_.-])(set|sp|setpoint|cmd|command|valve|pump|heater|power|speed|opening|control|input|u\d*)([\s_.-]|\d|$)/i;
const DISTURBANCES = /(ambient|outdoor|weather|wind|irradiance|humidity|inflow|demand|disturbance)/i;
/** How people write a unit, and UCUM. */
const UNITS = /** @type {Record<string, string>} */ ({ "°C": "Cel", C: "Cel", degC: "Cel", "°F": "[degF]", "m³/h": "m3/h", "m³": "m3", "m²": "m2", "l/min": "L/min", "l/s": "L/s", l: "L", rpm: "/min", "1/min": "/min", "-": "1", psi: "[psi]", ppm: "[ppm]" });
const SAMPLE = 200;

/** The lines of a text as cells; quotes as CSV has them. @param {string} text @param {number} [most] @returns {string[][]} */
export function cellsOf(text, most = SAMPLE) {
  const first = text.split(/\r?\n/, 1)[0] ?? "";
  const mark = [",", ";", "\t"].find((one) => first.includes(one)) ?? ",";
  /** @type {string[][]} */
  const rows = [];
  let row = [""];
  let quoted = false;
  for (let i = 0; i < text.length && rows.length < most; i += 1) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') {
        row[row.length - 1] += '"';
        i += 1;
      } else if (c === '"') quoted = false;
      else row[row.length - 1] += c;
    } else if (c === '"' && row[row.length - 1] === "") quoted = true;
    else if (c === mark) row.push("");
    else if (c === "\n") {
      rows.push(row);
      row = [""];
    } else if (c !== "\r") row[row.length - 1] += c;
  }
  if (rows.length < most && (row.length > 1 || row[0] !== "")) rows.push(row);
  return rows.map((cells) => cells.map((cell) => cell.trim())).filter((cells) => cells.some((cell) => cell !== ""));
}

/** @param {string} text a header, and rows if there are any @returns {Sheet} */
export function sheetOf(text) {
  const [names = [], ...rows] = cellsOf(text.replace(/^\uFEFF/, ""));
  const plain = names.map((name) => name.toLowerCase());
  const time = plain.findIndex((name) => TIMES.includes(name.replace(/\s*[[(].*$/, "").trim()));
  return { names, rows, time, asset: plain.indexOf("asset"), interval: time < 0 ? null : usualInterval(rows.map((row) => row[time])) };
}

/** The median distance of instants, as ISO 8601. @param {string[]} texts */
function usualInterval(texts) {
  const at = texts.map((text) => (/^\d{11,}$/.test(text ?? "") ? Number(text) : Date.parse(text))).filter(Number.isFinite);
  const steps = at.slice(1).map((one, i) => one - at[i]).filter((step) => step > 0).sort((a, b) => a - b);
  if (!steps.length) return null;
  const seconds = steps[Math.floor(steps.length / 2)] / 1000;
  if (seconds % 3600 === 0) return `PT${seconds / 3600}H`;
  if (seconds % 60 === 0) return `PT${seconds / 60}M`;
  return `PT${seconds}S`;
}

/** What each column that is not the time may be. @param {Sheet} sheet @returns {Guess[]} */
export function guessesOf(sheet) {
  /** @type {Set<string>} */
  const taken = new Set();
  return sheet.names.flatMap((column, i) => {
    if (i === sheet.time || i === sheet.asset || column === "") return [];
    const found = /^(.*?)\s*[[(]([^\])]*)[\])]\s*$/.exec(column);
    const bare = (found?.[1] || column).trim();
    const unit = found ? found[2].trim() : "";
    let name = bare.replace(/[^A-Za-z0-9._:-]+/g, "_").replace(/^[^A-Za-z0-9]+|_+$/g, "").slice(0, 128) || `signal_${i + 1}`;
    while (taken.has(name)) name = `${name}_${i + 1}`;
    taken.add(name);
    const values = [...new Set(sheet.rows.map((row) => row[i] ?? "").filter((value) => value !== ""))];
    const numbers = values.every((value) => Number.isFinite(Number(value)));
    const flags = values.length > 0 && values.every((value) => /^(true|false)$/i.test(value));
    const kind = flags ? "boolean" : values.length && !numbers ? "enum" : "number";
    const role = CONTROLS.test(bare) ? "control_input" : DISTURBANCES.test(bare) ? "disturbance" : "output";
    return [{ column, name, unit: kind === "number" ? UNITS[unit] ?? unit : "", role: kind === "enum" && role === "output" ? "state" : role, kind: /** @type {any} */ (kind), labels: kind === "enum" ? values.slice(0, 32) : [] }];
  });
}
