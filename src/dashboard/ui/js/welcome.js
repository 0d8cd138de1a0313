// @ts-check
/** What an empty server shows: the lines that fill it. The page goes on by itself afterwards. */

import { h } from "./dom.js";

/** @param {string} origin */
const lines = (origin) => [
  {
    title: "Describe a kind of machine, and create one of it",
    text: `curl -X POST ${origin}/v1/asset-types -H 'content-type: application/json' -d '{"key":"tank","interval":"PT1S","signals":[
  {"name":"pump","unit":"%","kind":"number","role":"control_input","min":0,"max":100},
  {"name":"level","unit":"m","kind":"number","role":"output"}]}'
curl -X POST ${origin}/v1/assets -H 'content-type: application/json' -d '{"key":"tank-1","type":"tank"}'`,
  },
  {
    title: "Send its history, a CSV with a header",
    text: `curl -X POST ${origin}/v1/assets/tank-1/telemetry -H 'content-type: text/csv' --data-binary @history.csv
# history.csv:   observed_at,pump,level
#                2026-11-24T10:00:00Z,40,2.31`,
  },
  {
    title: "Ask what comes next",
    text: `curl -X POST ${origin}/v1/assets/tank-1/predict -H 'content-type: application/json' -d '{"horizon":60}'`,
  },
];

export function welcome() {
  return h(
    "section",
    { class: "panel", "aria-label": "Beginning" },
    h("div", { class: "panel-head" }, h("h2", {}, "No asset yet")),
    h(
      "div",
      { class: "panel-body" },
      h("p", { class: "words" }, "Three ways to begin. This page shows the first reading the moment it arrives."),
      h(
        "div",
        { class: "beginnings" },
        h("div", { class: "beginning" }, h("h3", {}, "A CSV of yours"), h("p", { class: "small words" }, "Drop its history: the asset and its type are made of the file."), h("a", { class: "button", href: "#/import" }, "Import a CSV")),
        h("div", { class: "beginning" }, h("h3", {}, "The demo plant"), h("p", { class: "small words" }, "Two simulated tanks that fill this server's place with live data, in a terminal:"), command("counterpart demo", "the command that starts the demo plant")),
        h("div", { class: "beginning" }, h("h3", {}, "A type first"), h("p", { class: "small words" }, "Say what the signals of your machine are; a pasted header is enough."), h("a", { class: "button", href: "#/types/new" }, "Make a type")),
      ),
      h("h3", {}, "Or in three commands"),
      h(
        "ol",
        { class: "steps" },
        lines(location.origin).map(({ title, text }, i) => {
          return h("li", {}, h("h3", {}, `${i + 1}. ${title}`), command(text, `step ${i + 1}`));
        }),
      ),
    ),
  );
}

/** A command to copy. @param {string} text @param {string} name */
export function command(text, name) {
  const copy = h("button", { type: "button", class: "small", "aria-label": `Copy ${name}` }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text).then(() => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select and copy"; });
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  return h("div", { class: "command" }, h("pre", { tabindex: 0, role: "region", "aria-label": name }, text), copy);
}
