// @ts-check
/**
 * The live stream. The browser resumes by itself after a short loss (Last-Event-ID); where the
 * stream had to be opened anew, `resync` tells the page to read what it may have missed. It is
 * closed while nobody looks, because a browser allows only six connections to a server.
 */

/** How long the page may be hidden before the stream is closed. */
const HIDDEN_MS = 20_000;
const EVENTS = ["state", "prediction", "job", "backtest", "model", "alarm"];

class Stream extends EventTarget {
  /** @type {EventSource | null} */ #source = null;
  /** @type {string | null} */ #asset = null;
  #wanted = false;
  #failures = 0;
  /** @type {number | undefined} */ #timer;
  #opened = false;

  /** Follows one asset, or all of them. @param {string | null} asset */
  follow(asset) {
    if (this.#wanted && asset === this.#asset && this.#source) return;
    this.#asset = asset;
    this.#wanted = true;
    this.#opened = false;
    this.#open();
  }

  /** @param {string} name @param {(data: any) => void} handler @param {AbortSignal} signal */
  on(name, handler, signal) {
    this.addEventListener(name, (event) => handler(/** @type {CustomEvent} */ (event).detail), { signal });
  }

  pause() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  resume() {
    if (this.#wanted && !this.#source) this.#open();
  }

  #open() {
    this.pause();
    const query = this.#asset ? `?asset=${encodeURIComponent(this.#asset)}` : "";
    const source = new EventSource(`/v1/stream${query}`);
    this.#source = source;
    this.#tell("link", "connecting");
    source.onopen = () => {
      this.#failures = 0;
      this.#tell("link", "open");
      if (this.#opened) this.#tell("resync", null);
      this.#opened = true;
    };
    source.onerror = () => {
      this.#tell("link", "lost");
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      this.#failures += 1;
      this.#timer = setTimeout(() => this.#open(), Math.min(500 * 2 ** this.#failures, 10_000));
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        let data;
        try {
          data = JSON.parse(event.data);
        } catch {
          return;
        }
        this.#tell(name, data);
      });
    }
  }

  /** @param {string} name @param {any} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const stream = new Stream();

/** @type {number | undefined} */
let hiding;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream.pause(), HIDDEN_MS);
  else stream.resume();
});
addEventListener("pagehide", () => stream.pause());
addEventListener("pageshow", () => stream.resume());
