// @ts-check
/** The public API, as the dashboard uses it. Nothing here is private to the dashboard. */

/**
 * @typedef {{name: string, unit?: string, kind: any, role: string, min?: number|null, max?: number|null, max_rate?: number|null, interval?: string, description?: string}} Signal
 * @typedef {{key: string, version: number, interval: string, signals: Signal[], health_classes?: string[], description?: string, extends?: any, base_model?: string}} AssetType
 * @typedef {{key: string, type: string, version: number, name: string|null, attributes: Record<string, any>}} Asset
 * @typedef {{source: string, source_name?: string, type: string, target: string, target_name?: string, from_signal: string, to_signal: string}} Relationship
 * @typedef {{source: "given"|"desired"|"hold", values: number[]}} InputFuture what was assumed of an input
 * @typedef {{timestamps: string[], signals: Record<string, Record<string, (number|null)[]>>, inputs?: Record<string, InputFuture>, model: any, skill: any, state: any, frequency: string, id?: string, created_at?: string}} Prediction
 */

/** Told to the window when the server asks for a key that this browser does not have. */
export const KEY_NEEDED = "key-needed";
const SESSION = "/v1/session";

/** An error answer (RFC 9457), or the lack of any answer. */
export class ApiError extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.title ?? `HTTP ${status}`);
    this.status = status;
    this.title = problem?.title ?? `The server answered ${status}`;
    this.detail = problem?.detail ?? "";
    this.errors = problem?.errors ?? [];
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{query?: Record<string, any>, body?: any, signal?: AbortSignal, type?: string}} [options]
 */
export async function request(method, path, { query, body, signal, type = "application/json" } = {}) {
  const known = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = known.length ? `?${new URLSearchParams(known.map(([name, value]) => [name, String(value)]))}` : "";
  let response;
  try {
    response = await fetch(path + search, {
      method,
      signal,
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { title: "The server does not answer", detail: "It may have been stopped, or the network is down. The page tries again by itself." });
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError(response.status, { title: "The server's answer could not be read" });
  }
  if (response.status === 401 && !(path === SESSION && method === "POST")) dispatchEvent(new Event(KEY_NEEDED));
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

/** @param {string} key */
export const at = (key) => `/v1/assets/${encodeURIComponent(key)}`;

/** Brings an asset into one shape. @param {any} raw @returns {Asset} */
function asset(raw) {
  const type = typeof raw.type === "object" && raw.type ? raw.type : { key: raw.type ?? raw.asset_type, version: raw.type_version ?? raw.version };
  return { ...raw, key: raw.key ?? raw.asset, type: type.key, version: type.version, name: raw.name ?? null, attributes: raw.attributes ?? {} };
}

/** All pages of a list. @param {string} path @returns {Promise<any[]>} */
async function whole(path) {
  const found = [];
  let cursor;
  do {
    const page = await request("GET", path, { query: { limit: 1000, cursor } });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return found;
}

/** Bodies that change a part of a thing. */
const PATCH = "application/merge-patch+json";

/** @type {Map<string, Promise<AssetType>>} a version of a type never changes */
const types = new Map();

export const api = {
  /** @param {{limit?: number, cursor?: string}} query */
  async assets(query = {}) {
    const page = await request("GET", "/v1/assets", { query });
    return { items: /** @type {Asset[]} */ (page.items.map(asset)), next: page.next ?? null };
  },
  /** @param {string} key */
  async asset(key) {
    return asset(await request("GET", at(key)));
  },
  /** @param {string} key @param {number} version 0 for the newest @returns {Promise<AssetType>} */
  assetType(key, version) {
    const name = `${key}/${version}`;
    let found = version ? types.get(name) : undefined;
    if (!found) {
      found = request("GET", `/v1/asset-types/${encodeURIComponent(key)}${version ? `/versions/${version}` : ""}`).then((raw) => ({ ...raw, ...(raw.document ?? {}) }));
      found.catch(() => types.delete(name));
      types.set(name, found);
    }
    return found;
  },
  /** @param {string} key */
  state: (key) => request("GET", `${at(key)}/state`),
  /** @param {string} key @param {Record<string, any>} query @param {AbortSignal} [signal] */
  history: (key, query, signal) => request("GET", `${at(key)}/history`, { query, signal }),
  /** @param {string} key @returns {Promise<Prediction|null>} the newest vintage */
  async newestPrediction(key) {
    const page = await request("GET", `${at(key)}/predictions`, { query: { limit: 1 } });
    return page.items[0] ?? null;
  },
  /** Vintages. @param {string} key @param {Record<string, any>} query @param {AbortSignal} [signal] */
  predictions: (key, query, signal) => request("GET", `${at(key)}/predictions`, { query, signal }),
  /** A vintage beside what was measured since. @param {string} key @param {string} id @param {AbortSignal} [signal] */
  prediction: (key, id, signal) => request("GET", `${at(key)}/predictions/${encodeURIComponent(id)}`, { signal }),
  /** @param {string} key @param {any} body @param {AbortSignal} signal */
  whatIf: (key, body, signal) => request("POST", `${at(key)}/what-if`, { body, signal }),
  /** @param {Record<string, any>} query */
  jobs: (query) => request("GET", "/v1/fine-tune-jobs", { query }),
  /** @param {any} body */
  startJob: (body) => request("POST", "/v1/fine-tune-jobs", { body }),
  /** @param {string} id */
  job: (id) => request("GET", `/v1/fine-tune-jobs/${encodeURIComponent(id)}`),
  /** @param {string} id */
  cancelJob: (id) => request("POST", `/v1/fine-tune-jobs/${encodeURIComponent(id)}/cancel`, { body: {} }),
  /** @param {string} key */
  models: (key) => request("GET", `${at(key)}/models`),
  /** One version, with all that a search tried. @param {string} key @param {number} version @param {AbortSignal} [signal] */
  model: (key, version, signal) => request("GET", `${at(key)}/models/${version}`, { signal }),
  /** @param {string} key @param {number} version */
  promote: (key, version) => request("POST", `${at(key)}/models/${version}/promote`, { body: {} }),
  /** @param {string} key @param {number} version @param {AbortSignal} [signal] */
  responses: (key, version, signal) => request("GET", `${at(key)}/models/${version}/responses`, { signal }),
  /** Newest first, without what each window was like. @param {string} key @param {Record<string, any>} query */
  backtests: (key, query) => request("GET", `${at(key)}/backtests`, { query }),
  /** @param {string} key @param {any} body */
  startBacktest: (key, body) => request("POST", `${at(key)}/backtests`, { body }),
  /** @param {string} key @param {string} id */
  cancelBacktest: (key, id) => request("POST", `${at(key)}/backtests/${encodeURIComponent(id)}/cancel`, { body: {} }),
  /** What another version would say to the saved scenarios. @param {string} key @param {number} version @param {number | null} against @param {AbortSignal} [signal] */
  modelDiff: (key, version, against, signal) => request("GET", `${at(key)}/models/${version}/diff`, { query: { against }, signal }),
  /** @param {string} key */
  rollBack: (key) => request("POST", `${at(key)}/models/roll-back`, { body: {} }),

  /** @param {Record<string, any>} query */
  alarms: (query) => request("GET", "/v1/alarms", { query }),
  /** @param {string} id with its log */
  alarm: (id) => request("GET", `/v1/alarms/${encodeURIComponent(id)}`),
  /** @param {string} id @param {"acknowledge" | "clear" | "comment" | "shelve" | "unshelve"} verb @param {any} body */
  tellAlarm: (id, verb, body) => request("POST", `/v1/alarms/${encodeURIComponent(id)}/${verb}`, { body }),
  /** @param {string} key */
  alarmRules: (key) => request("GET", `${at(key)}/alarm-rules`, { query: { limit: 200 } }),
  /** @param {string} key @param {any} body */
  addRule: (key, body) => request("POST", `${at(key)}/alarm-rules`, { body }),
  /** @param {string} key @param {string} rule @param {any} body */
  changeRule: (key, rule, body) => request("PATCH", `${at(key)}/alarm-rules/${encodeURIComponent(rule)}`, { body, type: PATCH }),
  /** @param {string} key @param {string} rule */
  removeRule: (key, rule) => request("DELETE", `${at(key)}/alarm-rules/${encodeURIComponent(rule)}`),

  /** @param {string} key @param {Record<string, any>} query */
  events: (key, query) => request("GET", `${at(key)}/events`, { query }),
  /** @param {string} key @param {any} body */
  addEvent: (key, body) => request("POST", `${at(key)}/events`, { body }),
  /** @param {string} key @param {string} id */
  removeEvent: (key, id) => request("DELETE", `${at(key)}/events/${encodeURIComponent(id)}`),
  /** @param {string} key @param {Record<string, any>} query @param {AbortSignal} [signal] */
  anomalies: (key, query, signal) => request("GET", `${at(key)}/anomalies`, { query, signal }),
  /** @param {string} key @param {AbortSignal} [signal] */
  dataHealth: (key, signal) => request("GET", `${at(key)}/data-health`, { signal }),

  /** What feeds it and what it feeds, whole. @param {string} key @returns {Promise<Relationship[]>} */
  relationships: (key) => whole(`${at(key)}/relationships`),
  /** What feeds what, of all assets. @returns {Promise<Relationship[]>} */
  allRelationships: () => whole("/v1/relationships"),
  /** How all assets stand. @returns {Promise<any[]>} */
  fleet: () => whole("/v1/fleet"),
  /** How some assets stand. @param {string[]} keys @returns {Promise<any[]>} */
  standing: async (keys) => (keys.length ? (await request("GET", "/v1/fleet", { query: { assets: keys.join(",") } })).items : []),
  /** @param {string} source @param {string} target @param {{from_signal: string, to_signal: string}} body */
  feed: (source, target, body) => request("PUT", `${at(source)}/relationships/feeds/${encodeURIComponent(target)}`, { body }),
  /** @param {string} source @param {string} target */
  endFeed: (source, target) => request("DELETE", `${at(source)}/relationships/feeds/${encodeURIComponent(target)}`),
  /** @param {string} key @param {Record<string, any>} [query] */
  outcomes: (key, query) => request("GET", `${at(key)}/outcomes`, { query }),

  /** @param {string} key @param {any} body @param {AbortSignal} signal */
  retroWhatIf: (key, body, signal) => request("POST", `${at(key)}/retro-what-if`, { body, signal }),
  /** @param {string} key */
  scenarios: (key) => request("GET", `${at(key)}/scenarios`, { query: { limit: 100 } }),
  /** @param {string} key @param {any} body */
  saveScenario: (key, body) => request("POST", `${at(key)}/scenarios`, { body }),
  /** @param {string} key @param {string} id @param {any} body */
  changeScenario: (key, id, body) => request("PATCH", `${at(key)}/scenarios/${encodeURIComponent(id)}`, { body, type: PATCH }),
  /** @param {string} key @param {string} id */
  removeScenario: (key, id) => request("DELETE", `${at(key)}/scenarios/${encodeURIComponent(id)}`),

  /** Who asks, and what they may do. @returns {Promise<{key_needed: boolean, role: string, key: any}>} */
  session: () => request("GET", SESSION),
  /** @param {string} key */
  signIn: (key) => request("POST", SESSION, { body: { key } }),
  /** The line that makes a key on the server's machine. @returns {Promise<{command: string}>} */
  keyCommand: () => request("GET", `${SESSION}/key-command`),
  signOut: () => request("DELETE", SESSION),
  /** @param {Record<string, any>} query */
  keys: (query) => request("GET", "/v1/api-keys", { query }),
  /** What was done, newest first. @param {Record<string, any>} query */
  trail: (query) => request("GET", "/v1/audit", { query }),
  /** @param {any} body */
  addKey: (body) => request("POST", "/v1/api-keys", { body }),
  /** @param {string} id @param {boolean} [force] */
  revokeKey: (id, force) => request("DELETE", `/v1/api-keys/${encodeURIComponent(id)}`, { query: { force: force || null } }),

  /** @returns {Promise<any[]>} */
  webhooks: () => whole("/v1/webhooks"),
  /** @param {any} body */
  addWebhook: (body) => request("POST", "/v1/webhooks", { body }),
  /** @param {string} id @param {any} body */
  changeWebhook: (id, body) => request("PATCH", `/v1/webhooks/${encodeURIComponent(id)}`, { body, type: PATCH }),
  /** @param {string} id */
  removeWebhook: (id) => request("DELETE", `/v1/webhooks/${encodeURIComponent(id)}`),
  /** @param {string} id */
  rotateWebhook: (id) => request("POST", `/v1/webhooks/${encodeURIComponent(id)}/secret`, { body: {} }),
  /** @param {string} id */
  testWebhook: (id) => request("POST", `/v1/webhooks/${encodeURIComponent(id)}/test`, { body: {} }),
  /** @param {string} id @param {Record<string, any>} query */
  deliveries: (id, query) => request("GET", `/v1/webhooks/${encodeURIComponent(id)}/deliveries`, { query }),

  /** @param {Record<string, any>} query */
  assetTypes: (query) => request("GET", "/v1/asset-types", { query }),
  /** @param {any} body */
  addAssetType: (body) => request("POST", "/v1/asset-types", { body }),
  /** @param {string} key @param {any} body makes a new version */
  changeAssetType: (key, body) => request("PUT", `/v1/asset-types/${encodeURIComponent(key)}`, { body }),
  baseModels: () => request("GET", "/v1/base-models"),
  /** @param {any} body */
  addAsset: (body) => request("POST", "/v1/assets", { body }),
};

/** What kind of values a signal takes. @param {Signal} signal @returns {{kind: "number"|"boolean"|"enum", labels: string[]}} */
export function kindOf(signal) {
  const raw = signal.kind ?? "number";
  if (typeof raw === "string") return { kind: /** @type {any} */ (raw), labels: raw === "boolean" ? ["off", "on"] : /** @type {any} */ (signal).labels ?? [] };
  const kind = raw.kind ?? raw.type ?? Object.keys(raw)[0];
  return { kind, labels: kind === "boolean" ? ["off", "on"] : raw.labels ?? raw[kind]?.labels ?? (Array.isArray(raw[kind]) ? raw[kind] : []) };
}
