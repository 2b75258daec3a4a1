/** The live feed of an experiment: what the page's stream says of it, and metric points that never come twice. */

import { watch } from './page_stream.js';

/**
 * `onRun` gets a RunView at every change, `onMetrics` a run's id and points it has not had yet,
 * `onStatus` 'connected' or 'reconnecting'. Ends when `signal` aborts; goes on in a hidden page while it `staysAwake()`.
 */
export function openRunStream(api, experiment, { onRun, onMetrics, onStatus }, signal, staysAwake) {
  // The runs that have been told of, before any point of theirs: other tabs may watch other experiments.
  const newest = new Map();

  function run(view) {
    if (view.experiment_id !== experiment) return;
    if (!newest.has(view.id)) newest.set(view.id, -1);
    onRun(view);
  }

  function metrics({ run_id: run, points }) {
    if (!newest.has(run)) return;
    const fresh = points.filter((point) => point.cursor > newest.get(run));
    if (!fresh.length) return;
    newest.set(run, fresh.at(-1).cursor);
    onMetrics(run, fresh);
  }

  watch(api, [`experiment:${experiment}`], { run, metrics, status: onStatus }, signal, staysAwake);
}
