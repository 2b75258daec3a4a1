/** What a press on a button asks for is done elsewhere: it may be refused, or nothing may come of it. */

const REFUSED = 'gs-refused';
const PATIENCE_MILLISECONDS = 10_000;

/**
 * Calls `restore` once where nothing comes of a press: as soon as the page says what is wrong, or after ten seconds. Returns what
 * to call when something has come of it.
 */
export function expectAnswer(restore) {
  const over = new AbortController();
  const giveUp = () => {
    over.abort();
    restore();
  };
  const timer = setTimeout(giveUp, PATIENCE_MILLISECONDS);
  over.signal.addEventListener('abort', () => clearTimeout(timer));
  document.addEventListener(REFUSED, giveUp, { signal: over.signal });
  return () => over.abort();
}

/** The page says that something was not done. */
export function refused() {
  document.dispatchEvent(new Event(REFUSED));
}
