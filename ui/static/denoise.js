/**
 * Traces of one prompt side by side, step by step, while they are made and afterwards. `data` is
 * {traces: [{id, label, state, edits, document}], api, offline, step, comparisons}: traces without a `document` come from the
 * backend at `api`, and so do `comparisons` (by the traces' indices, "0-1") when none are given. `offline` is the address
 * of a page that plays traces without a backend, `step` where to begin, `compare` which two to compare.
 * onAction('cancel', {traces}) stops traces, onAction('branch', {trace, cursor, edits, traces}) goes on from one; both only
 * where there is a backend.
 */

import { setParameter } from './address.js';
import { component, el, loading, stylesheet } from './dom.js';
import { FITTED } from './entropy_range.js';
import { Player } from './player.js';
import { Watched, follow } from './trace_feed.js';

await stylesheet('player.css');

// Of these there may be another trace under the same id.
const OVER = ['cancelled', 'failed', 'lost'];

export function mount(host, { data, onAction }) {
  // Kept over updates, so that the next traces are seen the way the last ones were left.
  const view = { layer: 'entropy', range: FITTED, alignment: 'step', pair: [0, 1], comparisons: new Map() };
  let known = new Map();
  // The trace whose edits a branch was asked for with: they are done once there is the branch.
  let branching = null;

  function draw(next, signal) {
    if (next === null) return [loading('the steps')];
    if (!next.traces?.length) return [empty()];
    const traces = next.traces.map((each) => taken(each));
    if (next.compare) view.pair = next.compare;
    if (branching && traces.some(({ id }) => !known.has(id))) {
      known.get(branching)?.edits.clear();
      branching = null;
    }
    known = new Map(traces.map((trace) => [trace.id, trace]));
    const act = onAction && ((name, payload) => {
      if (name === 'branch') branching = payload.trace;
      onAction(name, payload);
    });
    const player = new Player(traces, {
      ...next, view, onAction: act, onClose: (index) => close({ ...next, step: player.step }, index),
    }, signal);
    const left = traces.filter((trace) => !trace.settled);
    if (left.length) follow(next.api, left, player, signal);
    return player.nodes;
  }

  function taken(each) {
    const before = known.get(each.id);
    return before && !OVER.includes(before.state) ? before : new Watched(each);
  }

  function close(next, index) {
    const traces = next.traces.filter((_, i) => i !== index);
    setParameter('traces', traces.map(({ id }) => id).join(','));
    frame.update({ ...next, traces });
  }

  const frame = component(host, 'denoise', data, draw);
  return frame;
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and a prompt and press Denoise: here you watch each of them fill in its response.');
}
