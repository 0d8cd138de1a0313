// @ts-check
/**
 * Where the person is, in the address after `#`: a path and a query. Reloading or sharing the
 * address brings back the same page with the same window and the same what-if.
 */

/** @returns {{path: string[], query: URLSearchParams}} */
export function here() {
  const [path, query] = location.hash.replace(/^#/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query ?? "") };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Writes into the query without loading the page anew and without a step in the history.
 * @param {Record<string, string | number | string[] | null | undefined>} changes null removes; a list is written name by name
 */
export function remember(changes) {
  const { query } = here();
  for (const [name, value] of Object.entries(changes)) {
    if (Array.isArray(value)) {
      query.delete(name);
      for (const one of value) query.append(name, one);
    } else if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, String(value));
  }
  const path = location.hash.replace(/^#/, "").split("?", 1)[0] || "/";
  const text = query.toString();
  history.replaceState(history.state, "", `#${path}${text ? `?${text}` : ""}`);
}

/** @param {string} key @param {string} [tab] of its page */
export const assetLink = (key, tab) => `#/assets/${encodeURIComponent(key)}${tab ? `/${tab}` : ""}`;
