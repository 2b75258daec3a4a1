/** The live feed of an experiment: what the page's stream says of it, and metric points that never come twice. */

import { watch } from './page_stream.js';

/**
 * `onRun` gets a RunView at every change, `onMetrics` a run's id and points it has not had yet,
 * `onStatus` 'connected' or 'reconnecting'. Ends when `signal` aborts.
 */
export function openRunStream(api, experiment, { onRun, onMetrics, onStatus }, signal) {
  const newest = new Map();

  function metrics({ run_id: run, points }) {
    const fresh = points.filter((point) => point.cursor > (newest.get(run) ?? -1));
    if (!fresh.length) return;
    newest.set(run, fresh.at(-1).cursor);
    onMetrics(run, fresh);
  }

  watch(api, [`experiment:${experiment}`], { run: onRun, metrics, status: onStatus }, signal);
}
