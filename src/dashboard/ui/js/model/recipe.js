// @ts-check
/** A fine-tune job with a recipe: what is left empty has the server's default. */

import { api } from "../api.js";
import { h } from "../dom.js";
import { choice, field, form, typed } from "../form.js";

/**
 * Names, defaults and limits as the API describes them (`Recipe`, `Classification`).
 * @typedef {{name: string, label: string, usual: string, hint?: string, options?: string[] | Record<string, string>}} Setting
 */
export const SETTINGS = /** @type {Setting[]} */ ([
  { name: "optimizer", label: "Optimiser", usual: "adamw", options: ["adamw", "adam", "sgd", "rmsprop"] },
  { name: "freeze", label: "What learns", usual: "", options: { "": "head and decoder", decoder: "head and decoder, searched or not", head: "the head alone, which is quick", last_block: "head, decoder and last block", adapters: "head, decoder and adapters", all: "head, decoder and whole backbone" }, hint: "The rest stays as it is in the base model." },
  { name: "learning_rate", label: "Learning rate", usual: "", hint: "Empty: 3e-4 and 1e-3 are tried." },
  { name: "momentum", label: "Momentum", usual: "", hint: "For sgd and rmsprop." },
  { name: "loss", label: "Loss", usual: "pinball", options: ["pinball", "huber", "mse"] },
  { name: "huber_delta", label: "Huber delta", usual: "", hint: "For huber." },
  { name: "max_steps", label: "Steps at most", usual: "300", hint: "1 to 20,000" },
  { name: "batch", label: "Batch", usual: "32", hint: "1 to 1,024 windows, to 256 where more than head and decoder learn" },
  { name: "evaluate_every", label: "Evaluate every", usual: "20", hint: "steps" },
  { name: "patience", label: "Patience", usual: "6", hint: "evaluations, then it stops" },
  { name: "dropout", label: "Dropout", usual: "0.1", hint: "0 to 0.9" },
  { name: "l1", label: "L1", usual: "0", hint: "0 to 1" },
  { name: "l2", label: "L2", usual: "0.02", hint: "0 to 1" },
  { name: "l2_sp", label: "L2 to the beginning", usual: "0.001", hint: "0 to 1" },
  { name: "gradient_clip", label: "Gradient clip", usual: "1" },
  { name: "replay", label: "Replayed share", usual: "0.3", hint: "of a step's windows" },
  { name: "synthetic", label: "Synthetic share", usual: "0.1", hint: "of a step's windows" },
  { name: "seed", label: "Seed", usual: "0" },
  { name: "start", label: "Begin from", usual: "auto", options: ["auto", "base", "pooled"], hint: "Pooled: the mean of the heads of other assets of the type." },
]);
export const CLASSIFICATION = /** @type {Setting[]} */ ([
  { name: "loss", label: "Loss", usual: "cross_entropy", options: ["cross_entropy", "binary_cross_entropy"] },
  { name: "class_weights", label: "Class weights", usual: "balanced", options: ["balanced", "none"] },
  { name: "label_smoothing", label: "Label smoothing", usual: "0.05", hint: "0 to 0.5" },
  { name: "dropout", label: "Dropout", usual: "0.5", hint: "0 to 0.9" },
  { name: "noise", label: "Noise", usual: "0.3", hint: "0 to 2 deviations" },
  { name: "max_steps", label: "Steps at most", usual: "1500", hint: "1 to 20,000" },
]);

/**
 * @param {string} asset @param {(job: any) => void} started
 */
export function recipeForm(asset, started) {
  const promote = choice({ managed: "if it passes the gate", manual: "only by hand" }, "managed");
  const general = settings(SETTINGS, "/recipe");
  const search = searchFields();
  const classes = settings(CLASSIFICATION, "/recipe/classification");
  const element = form(
    {
      label: "Recipe of a fine-tune job",
      submit: "Start with these settings",
      needs: "operate",
      send: async () => {
        const recipe = { ...general.value(), ...search.value() };
        const classification = classes.value();
        if (Object.keys(classification).length) recipe.classification = classification;
        started(await api.startJob({ asset, promote: promote.value, ...(Object.keys(recipe).length ? { recipe } : {}) }));
      },
    },
    field("Promote", promote, { pointer: "/promote", hint: "The gate compares with what serves." }),
    general.fields,
    search.fields,
    h("h3", { class: "wide legend" }, "Health classes, where the asset has labels"),
    classes.fields,
  );
  return h("details", { "data-recipe": "" }, h("summary", {}, "Settings of the job"), element);
}

/** A switch, and the budget of the search. */
function searchFields() {
  const choose = choice({ "": "no", search: "yes, those left empty" }, "", { "data-setting": "search" });
  const budget = h("input", { type: "number", step: "any", placeholder: "10", disabled: true });
  choose.addEventListener("change", () => (budget.disabled = !choose.value));
  return {
    fields: [
      field("Search settings", choose, { pointer: "/recipe/search", hint: "Of rates, decays, dropout, replay and learning layers many are tried a little, the better ones further." }),
      field("Budget of the search", budget, { pointer: "/recipe/search/budget_s", hint: "CPU-seconds, 0.5 to 600" }),
    ],
    /** @returns {Record<string, any>} */
    value: () => {
      if (!choose.value) return {};
      const budget_s = typed(budget);
      return { search: budget_s === undefined ? {} : { budget_s } };
    },
  };
}

/** @param {Setting[]} list @param {string} pointer */
function settings(list, pointer) {
  const controls = list.map(({ name, label, usual, hint, options }) => {
    const control = options
      ? choice(options, usual, { "data-setting": name })
      : h("input", { type: "number", step: "any", placeholder: usual || "chosen", "data-setting": name });
    return { name, usual, control, element: field(label, control, { pointer: `${pointer}/${name}`, hint }) };
  });
  return {
    fields: controls.map(({ element }) => element),
    /** Only what differs from the default. @returns {Record<string, any>} */
    value: () => {
      /** @type {Record<string, any>} */
      const said = {};
      for (const { name, usual, control } of controls) {
        const value = control instanceof HTMLSelectElement ? control.value : typed(control);
        if (value !== undefined && value !== usual) said[name] = value;
      }
      return said;
    },
  };
}
