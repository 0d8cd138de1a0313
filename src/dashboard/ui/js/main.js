// @ts-check
/** Starts the page: shows what the address asks for, and whether the live link stands. */

import { alarmCount } from "./alarm/count.js";
import { alarmsPage } from "./alarm/page.js";
import { KEY_NEEDED, api } from "./api.js";
import { auditPage } from "./audit/page.js";
import { chartLibrary } from "./chart.js";
import { fill, h, problemBox, say } from "./dom.js";
import { fleetPage } from "./fleet/page.js";
import { jobsPage } from "./jobs.js";
import { keysPage } from "./key/page.js";
import { signInPage } from "./key/session.js";
import { forgetRole, learnRole } from "./role.js";
import { here } from "./router.js";
import { stream } from "./stream.js";
import { twinPage } from "./twin/page.js";
import { importPage } from "./type/import.js";
import { typesPage } from "./type/page.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const link = /** @type {HTMLElement} */ (document.getElementById("link-state"));
const LINK = /** @type {Record<string, string>} */ ({ connecting: "connecting", open: "live link", lost: "no link, trying again" });

/** Ends with the page that is shown. */
let shown = new AbortController();
/** @type {string | null} */
let shownPath = null;

stream.on("link", (state) => {
  link.dataset.state = state;
  say(link, LINK[state]);
  // A stream cannot say why it was refused: if it was for the key, the page asks for one.
  if (state === "lost") api.session().catch(() => {});
}, new AbortController().signal);

/** Shows another part of the same page. @type {(() => void) | undefined} */
let moved;
/** The first part of an address, and the way in the bar that it belongs to. */
const SECTIONS = /** @type {Record<string, string>} */ ({ jobs: "jobs", alarms: "alarms", types: "types", import: "import", keys: "keys", audit: "audit" });

async function show() {
  const { path } = here();
  // The parts of an asset's page share what is known of it.
  const name = (path[0] === "assets" ? path.slice(0, 2) : path).join("/");
  if (name === shownPath) {
    moved?.();
    return;
  }
  moved = undefined;
  const first = shownPath === null;
  shownPath = name;
  shown.abort();
  shown = new AbortController();
  const end = shown.signal;
  const section = SECTIONS[path[0]] ?? "fleet";
  main.dataset.page = path[0] ?? "fleet";
  for (const anchor of document.querySelectorAll("[data-nav]")) {
    if (anchor.getAttribute("data-nav") === section) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  const page = h("div", {});
  fill(main, page);
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  await Promise.all([chartLibrary(), learnRole()]);
  if (end.aborted) return;
  try {
    if (path[0] === "assets" && path[1]) {
      const show = await twinPage(page, path[1], end);
      if (!end.aborted) moved = show;
    } else if (path[0] === "jobs") await jobsPage(page, end);
    else if (path[0] === "alarms") await alarmsPage(page, end);
    else if (path[0] === "types") await typesPage(page, path[1], end);
    else if (path[0] === "import") await importPage(page, end);
    else if (path[0] === "keys") await keysPage(page, end);
    else if (path[0] === "audit") await auditPage(page, end);
    else await fleetPage(page, end);
  } catch (error) {
    if (!end.aborted) fill(page, problemBox(error, () => { shownPath = null; show(); }));
  }
}

/** The server asks for a key: whatever page it was, it waits behind this one. */
function askForKey() {
  if (main.dataset.page === "sign-in") return;
  main.dataset.page = "sign-in";
  shown.abort();
  forgetRole();
  stream.pause();
  link.dataset.state = "lost";
  say(link, "signed out");
  const page = h("div", {});
  fill(main, page);
  signInPage(page, () => {
    shownPath = null;
    show().then(() => stream.resume());
    main.focus({ preventScroll: true });
  });
}

// The address after # is the page's own, so the skip link cannot use it.
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
alarmCount(/** @type {HTMLElement} */ (document.getElementById("alarm-count")));
addEventListener(KEY_NEEDED, askForKey);
addEventListener("hashchange", show);
show();
