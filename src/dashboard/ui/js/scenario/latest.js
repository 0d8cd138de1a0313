// @ts-check
/**
 * Work that follows a hand: while values keep coming, it runs on the newest one; a run that has
 * become stale is cancelled. A run that is nearly done is let finish first, so that a curve
 * moves while the hand moves and not only after it has stopped.
 */

/**
 * @param {(signal: AbortSignal) => Promise<void>} run reads the newest values itself
 * @param {{wait?: number, patience?: number}} [times] milliseconds
 */
export function latest(run, { wait = 60, patience = 250 } = {}) {
  /** @type {number | undefined} */
  let timer;
  /** @type {{stop: AbortController, since: number} | null} */
  let busy = null;
  let again = false;

  const start = async () => {
    timer = undefined;
    if (busy && performance.now() - busy.since < patience) {
      again = true;
      return;
    }
    busy?.stop.abort();
    const mine = { stop: new AbortController(), since: performance.now() };
    busy = mine;
    again = false;
    try {
      await run(mine.stop.signal);
    } finally {
      if (busy === mine) {
        busy = null;
        if (again) ask();
      }
    }
  };
  const ask = () => {
    timer ??= setTimeout(start, wait);
    // A run that outlives its patience is cancelled by the next beat, not left to block it.
    if (busy) again = true;
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
    again = false;
    busy?.stop.abort();
  };
  return { ask, cancel };
}
