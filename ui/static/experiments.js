/**
 * The experiments there are, newest first, each with the states of its runs, live.
 * `data` is null while it is loaded, {} where there is none to show, or {selected, api, experiments: [{id, name, created, href, runs: [{id, label, state}]}]}.
 */

import { component, el, loading } from './dom.js';
import { watch } from './page_stream.js';
import { get } from './requests.js';
import { isOpen, stateShape } from './run_state.js';

const WHEN = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };

export function mount(host, { data }) {
  return component(host, 'experiments', data, (next, signal) =>
    (next === null ? [loading('the experiments')] : next.experiments?.length ? [draw(next, signal)] : [empty(next)]));
}

/** Without a list, which could not be had, nothing is said of it. */
function empty({ experiments }) {
  return experiments ? el('p', { class: 'gs-empty' }, 'Nothing has been launched yet.') : '';
}

function draw({ selected, api, experiments }, signal) {
  const entries = experiments.map((experiment) => entry(experiment, experiment.id === selected));
  const byId = new Map(entries.map((each) => [each.id, each]));
  watch(api, ['queue'], {
    job: (job) => byId.get(job.experiment_id)?.take(job),
    look: () => entries.filter((each) => each.isOpen()).forEach((each) => refresh(each, api, signal)),
  }, signal);
  return el('nav', { 'aria-label': 'Experiments' },
    el('ul', { class: 'gs-experiments' }, entries.map((each) => el('li', {}, each.root))));
}

function entry({ id, name, created, href, runs }, selected) {
  const when = new Date(created * 1000);
  const states = el('span', { class: 'gs-run-states' });
  const known = new Map();

  function show(next) {
    next.forEach((run) => known.set(run.id, run));
    states.replaceChildren(...[...known.values()].map(({ label, state }) =>
      el('span', { 'data-state': state, title: state }, stateShape(state), label, el('span', { class: 'gs-hidden' }, ` ${state}`))));
  }

  show(runs);
  const root = el('a', { href, 'aria-current': selected && 'page' },
    el('b', {}, name), el('time', { datetime: when.toISOString() }, when.toLocaleString(undefined, WHEN)), states);
  // Most of what is told of a job is how far it is.
  const take = (run) => run.state === known.get(run.id)?.state || show([run]);
  return { id, root, show, take, isOpen: () => [...known.values()].some(({ state }) => isOpen(state)) };
}

async function refresh({ id, show }, api, signal) {
  try {
    show((await get(`${api}/runs?experiment=${encodeURIComponent(id)}`, signal)).items);
  } catch {
    // The page was left, or the backend is away, which the runs beside this list say; it is asked again.
  }
}
