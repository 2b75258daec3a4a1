/** The live feed of an experiment: one EventSource that reconnects, and metric points that never come twice. */

const RETRY_MILLISECONDS = 3000;

/**
 * `onRun` gets a RunView at every change, `onMetrics` a run's id and points it has not had yet,
 * `onStatus` 'connected' or 'reconnecting'. Ends when `signal` aborts.
 */
export function openRunStream(url, { onRun, onMetrics, onStatus }, signal) {
  const newest = new Map();
  let source = null;
  let retry = null;

  function metrics({ run_id: run, points }) {
    const fresh = points.filter((point) => point.cursor > (newest.get(run) ?? -1));
    if (!fresh.length) return;
    newest.set(run, fresh.at(-1).cursor);
    onMetrics(run, fresh);
  }

  function connect() {
    source = new EventSource(url);
    source.addEventListener('open', () => onStatus('connected'));
    source.addEventListener('run', (event) => onRun(JSON.parse(event.data)));
    source.addEventListener('metrics', (event) => metrics(JSON.parse(event.data)));
    source.addEventListener('error', () => {
      onStatus('reconnecting');
      // The browser retries a dropped connection, but gives up on one that was refused, as a restarting proxy does.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MILLISECONDS);
    });
  }

  connect();
  signal.addEventListener('abort', () => {
    clearTimeout(retry);
    source.close();
  });
}
