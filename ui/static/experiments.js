/** The experiments there are, newest first. `data` is {selected, experiments: [{id, name, created, href, runs: [{label, state}]}]}. */

import { component, el } from './dom.js';

const WHEN = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };

export function mount(host, { data }) {
  return component(host, 'experiments', data, (next) => (next?.experiments.length ? [list(next)] : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Nothing has been launched yet.');
}

function list({ selected, experiments }) {
  return el('nav', { 'aria-label': 'Experiments' }, el('ul', { class: 'gs-experiments' }, experiments.map((experiment) =>
    el('li', {}, el('a', { href: experiment.href, 'aria-current': experiment.id === selected && 'page' },
      el('b', {}, experiment.name),
      el('time', { datetime: new Date(experiment.created * 1000).toISOString() },
        new Date(experiment.created * 1000).toLocaleString(undefined, WHEN)),
      el('span', {}, experiment.runs.map(({ label, state }) => `${label} ${state}`).join(' · ')))))));
}
