// @ts-check
/** History from a CSV: dropped, looked at, its columns mapped to signals, checked, taken in. */

import { api } from "../api.js";
import { fill, h, problemBox, say } from "../dom.js";
import { choice, field, form, showFaults, words } from "../form.js";
import { seconds, span } from "../format.js";
import { only } from "../role.js";
import { assetLink, here } from "../router.js";
import { stream } from "../stream.js";
import { typeBuilder } from "./builder.js";
import { guessesOf, sheetOf } from "./columns.js";
import { receipt } from "./receipt.js";
import { upload } from "./upload.js";

/** Bytes of a file that are looked at. */
const LOOK = 1 << 18;
const ROWS = 6;
const PAGE = 1000;

/** @param {HTMLElement} page @param {AbortSignal} end */
export async function importPage(page, end) {
  document.title = "Import · Counterpart";
  stream.follow(null);
  const steps = h("div", { class: "stack" });
  const pick = h("input", { type: "file", id: "import-file", accept: ".csv,.tsv,.txt,text/csv", class: "sr" });
  const zone = h("label", { class: "drop", for: "import-file", "data-drop": "" }, h("strong", {}, "Drop a CSV here, or choose a file"), h("span", { class: "small quiet" }, "Its first line names the columns; one of them is the time (RFC 3339 or epoch milliseconds). Up to 1 GiB; sending the same again changes nothing."));
  const take = (/** @type {File | undefined} */ file) => file && look(steps, file, end);
  pick.addEventListener("change", () => take(pick.files?.[0]));
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(/** @type {DragEvent} */ (event).dataTransfer?.files[0]);
  });
  fill(page, h("div", { class: "page-head" }, h("h1", {}, "Import history")), h("div", { class: "stack" }, pick, zone, steps));
}

/** @param {HTMLElement} steps @param {File} file @param {AbortSignal} end */
async function look(steps, file, end) {
  fill(steps, h("p", { class: "quiet" }, "Reading the file…"));
  try {
    const text = await file.slice(0, LOOK).text();
    const sheet = sheetOf(file.size > LOOK ? text.slice(0, text.lastIndexOf("\n")) : text);
    if (sheet.names.length < 2) throw { title: "This does not look like a CSV", detail: "Its first line should name at least a time and a signal." };
    const assets = (await api.assets({ limit: PAGE })).items;
    if (end.aborted) return;
    fill(steps, preview(file, sheet), target(file, sheet, assets, end));
  } catch (error) {
    fill(steps, problemBox(error));
  }
}

/** @param {File} file @param {import("./columns.js").Sheet} sheet */
function preview(file, sheet) {
  const size = file.size >= 1 << 20 ? `${(file.size / (1 << 20)).toFixed(1)} MiB` : `${Math.ceil(file.size / 1024)} KiB`;
  return h(
    "section",
    { class: "panel", "aria-label": "Preview" },
    h("div", { class: "panel-head" }, h("h2", {}, file.name), h("span", { class: "small quiet" }, `${size}, ${sheet.names.length} columns${sheet.interval ? `, a row every ${span(seconds(sheet.interval))}` : ""}`)),
    h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "First rows of the file" }, h(
      "table",
      { class: "data preview-table" },
      h("caption", { class: "sr" }, "First rows of the file"),
      h("thead", {}, h("tr", {}, sheet.names.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, sheet.rows.slice(0, ROWS).map((row) => h("tr", {}, sheet.names.map((_, i) => h("td", {}, row[i] ?? ""))))),
    )),
  );
}

/** @param {File} file @param {import("./columns.js").Sheet} sheet @param {import("../api.js").Asset[]} assets @param {AbortSignal} end */
function target(file, sheet, assets, end) {
  const wanted = here().query.get("asset");
  const into = choice({ ...(assets.length ? Object.fromEntries(assets.map((asset) => [asset.key, asset.name ? `${asset.name} (${asset.key})` : asset.key])) : {}), "": "A new asset, its type made of this file" }, wanted ?? "", { id: "import-into" });
  into.value = wanted ?? (assets.some((asset) => asset.key === wanted) ? wanted ?? "" : "");
  const body = h("div", { class: "stack" });
  const show = async () => {
    const asset = assets.find((one) => one.key === into.value);
    try {
      fill(body, asset ? await known(file, sheet, asset, end) : fresh(file, sheet, end));
    } catch (error) {
      fill(body, problemBox(error, show));
    }
  };
  into.addEventListener("change", show);
  show();
  return h("section", { class: "panel", "aria-label": "Where it belongs" }, h("div", { class: "panel-head" }, h("h2", {}, "Where it belongs")), h("div", { class: "panel-body stack" }, field("Into", into), body));
}

/** Columns of the file that become signals of an asset that is there. @param {File} file @param {import("./columns.js").Sheet} sheet @param {import("../api.js").Asset} asset @param {AbortSignal} end */
async function known(file, sheet, asset, end) {
  const type = await api.assetType(asset.type, asset.version);
  const time = timeChoice(sheet);
  const guesses = guessesOf(sheet);
  const options = { "": "leave out", ...Object.fromEntries(type.signals.map((signal) => [signal.name, signal.name])) };
  const selects = guesses.map(({ column, name }) => {
    const best = type.signals.find((signal) => signal.name === column) ?? type.signals.find((signal) => signal.name.toLowerCase() === name.toLowerCase());
    return { column, select: choice(options, best?.name ?? "", { "aria-label": `Signal of the column ${column}`, "data-column": column }) };
  });
  const runs = runner(file, asset.key, () => ({ time: time.value, columns: selects.filter(({ select }) => select.value).map(({ column, select }) => /** @type {[string, string]} */ ([column, select.value])) }), end);
  return [
    h("div", { class: "form" }, field("The time is in", time), selects.map(({ column, select }) => field(column, select))),
    runs.element,
  ];
}

/** @param {import("./columns.js").Sheet} sheet */
const timeChoice = (sheet) => choice(sheet.names, sheet.names[Math.max(0, sheet.time)], { id: "import-time" });

/** A new asset and its type, both of the file. @param {File} file @param {import("./columns.js").Sheet} sheet @param {AbortSignal} end */
function fresh(file, sheet, end) {
  const bare = file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9._:-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "") || "machine";
  const time = timeChoice(sheet);
  const builder = typeBuilder({ key: `${bare}-type`, fixed: false, columns: true, document: { interval: sheet.interval ?? "PT1S", signals: guessesOf(sheet) } });
  const key = h("input", { type: "text", value: bare, maxlength: 128, spellcheck: "false" });
  const name = h("input", { type: "text", maxlength: 200 });
  const after = h("div", {});
  const assetFields = [field("Key of the asset", key, { pointer: "/asset/key", hint: "Letters, digits and ._:-" }), field("Its name, for people", name, { pointer: "/asset/name" })];
  const element = form(
    {
      label: "New asset and its type",
      submit: "Create both",
      needs: "administer",
      send: async () => {
        await api.addAssetType({ key: builder.key(), ...builder.value() });
        try {
          await api.addAsset({ key: key.value.trim(), type: builder.key(), name: words(name) ?? null });
        } catch (error) {
          const problem = /** @type {any} */ (error);
          showFaults(element, { ...problem, title: problem.title, detail: problem.detail, errors: (problem.errors ?? []).map((/** @type {any} */ one) => ({ ...one, pointer: `/asset${one.pointer}` })) });
          return;
        }
        for (const control of element.querySelectorAll("input, select, button")) control.setAttribute("disabled", "");
        const runs = runner(file, key.value.trim(), () => ({ time: time.value, columns: builder.mapping() }), end);
        fill(after, runs.element);
        await runs.check();
      },
    },
    ...assetFields,
    field("The time is in", time),
    ...builder.fields,
  );
  return h("div", { class: "stack" }, element, after);
}

/**
 * Checks the file, and takes it in.
 * @param {File} file @param {string} asset @param {() => {time: string, columns: [string, string][]}} mapping @param {AbortSignal} end
 */
function runner(file, asset, mapping, end) {
  const result = h("div", { role: "status" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Sent of the file" });
  const sent = h("p", { class: "small quiet" });
  const check = h("button", only("operate", { type: "button", onclick: () => run(true) }), "Check the file");
  const store = h("button", only("operate", { type: "button", class: "primary", onclick: () => run(false) }), "Import");
  const stop = h("button", { type: "button", hidden: true, onclick: () => stopping.abort() }, "Stop");
  let stopping = new AbortController();
  end.addEventListener("abort", () => stopping.abort());

  /** @param {boolean} dry */
  const run = async (dry) => {
    stopping = new AbortController();
    for (const button of [check, store]) button.disabled = true;
    stop.hidden = false;
    bar.hidden = false;
    bar.value = 0;
    fill(result);
    const { time, columns } = mapping();
    try {
      const answer = await upload("/v1/imports", { asset, time, columns: columns.map(([column, signal]) => `${column}:${signal}`).join(","), ...(dry ? { dry_run: "true" } : {}) }, file, stopping.signal, (share) => {
        bar.value = share;
        say(sent, share < 1 ? `${Math.round(share * 100)}\u202f% sent` : dry ? "checking the rest" : "storing the rest");
      });
      fill(result, receipt(answer), dry ? null : h("p", {}, h("a", { class: "button", href: assetLink(asset) }, "See it live"), " ", h("a", { class: "button", href: assetLink(asset, "data") }, "Data health")));
    } catch (error) {
      if (!end.aborted) fill(result, stopping.signal.aborted ? h("p", { class: "note" }, "Stopped. What was stored stays; sending the same again goes on from there.") : problemBox(error));
    } finally {
      for (const button of [check, store]) button.disabled = false;
      stop.hidden = true;
      bar.hidden = true;
      say(sent, "");
    }
  };
  return { element: h("div", { class: "stack" }, h("div", { class: "row" }, check, store, stop), bar, sent, result), check: () => run(true) };
}
