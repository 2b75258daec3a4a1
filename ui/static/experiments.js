/**
 * The experiments there are, newest first, each with the states of its runs, which are asked for anew until they have ended.
 * `data` is {selected, api, experiments: [{id, name, created, href, runs: [{label, state}]}]}.
 */

import { component, el } from './dom.js';
import { isOpen, stateShape } from './run_state.js';

const WHEN = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
const REFRESH_MILLISECONDS = 3000;

export function mount(host, { data }) {
  return component(host, 'experiments', data, (next, signal) =>
    (next?.experiments.length ? [draw(next, signal)] : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Nothing has been launched yet.');
}

function draw({ selected, api, experiments }, signal) {
  const entries = experiments.map((experiment) => entry(experiment, experiment.id === selected));
  const timer = setInterval(() => {
    if (document.hidden) return;
    entries.filter((each) => each.isOpen()).forEach((each) => refresh(each, api, signal));
  }, REFRESH_MILLISECONDS);
  signal.addEventListener('abort', () => clearInterval(timer));
  return el('nav', { 'aria-label': 'Experiments' },
    el('ul', { class: 'gs-experiments' }, entries.map((each) => el('li', {}, each.root))));
}

function entry({ id, name, created, href, runs }, selected) {
  const when = new Date(created * 1000);
  const states = el('span', { class: 'gs-run-states' });
  let open = false;

  function show(next) {
    open = next.some(({ state }) => isOpen(state));
    states.replaceChildren(...next.map(({ label, state }) =>
      el('span', { 'data-state': state, title: state }, stateShape(state), label, el('span', { class: 'gs-hidden' }, ` ${state}`))));
  }

  show(runs);
  const root = el('a', { href, 'aria-current': selected && 'page' },
    el('b', {}, name), el('time', { datetime: when.toISOString() }, when.toLocaleString(undefined, WHEN)), states);
  return { id, root, show, isOpen: () => open };
}

async function refresh({ id, show }, api, signal) {
  try {
    const response = await fetch(`${api}/runs?experiment=${encodeURIComponent(id)}`, { signal });
    if (response.ok) show((await response.json()).items);
  } catch {
    // The page was left, or the backend is away, which the runs beside this list say; the next round asks again.
  }
}
