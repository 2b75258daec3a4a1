/**
 * An experiment's runs, live. `data` is {experiment, name, api, links: {tokens, denoise, clone, again}}: the experiment's id and name, the
 * root of the API, and addresses in which {experiment} and {run} stand for ids. Of a run, onAction gets stop, discard, resume or
 * retry with {run}, and train_on with {run, epochs, key}.
 */

import { component, el, loading } from './dom.js';
import { Curves } from './curves.js';
import { Notifications } from './notifications.js';
import { RunCard } from './run_card.js';
import { openRunStream } from './run_stream.js';

export function mount(host, { data, onAction }) {
  return component(host, 'runs', data, (next, signal) =>
    (next === null ? [loading('the runs')] : next.experiment ? draw(next, onAction, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'No experiment is open. ', el('a', { href: './' }, 'Launch one'), ', or choose one from the list.');
}

function draw({ experiment, name, api, links }, onAction, signal) {
  const cards = new Map();
  const grid = el('div', { class: 'gs-cards', 'aria-busy': 'true' }, loading('the runs'));
  const status = el('p', { class: 'gs-status', role: 'status' }, 'connecting…');
  const curves = new Curves(signal);
  const notifications = new Notifications(signal);

  function card(run) {
    if (!cards.size) {
      grid.replaceChildren();
      grid.removeAttribute('aria-busy');
    }
    const asked = [...cards.values()].filter((each) => each.answered()).length > 0;
    const act = (name, id, more) => onAction(name, { run: id, ...more });
    const made = new RunCard(run.position, (each) => addresses(each, api, links), act);
    const later = [...cards.values()].find((each) => each.position > run.position);
    cards.set(run.id, made);
    grid.insertBefore(made.root, later?.root ?? null);
    if (asked) requestAnimationFrame(() => made.root.scrollIntoView({ block: 'nearest' }));
    return made;
  }

  function onRun(run) {
    (cards.get(run.id) ?? card(run)).update(run);
    curves.setRun(run);
    notifications.run(run);
  }

  openRunStream(api, experiment, {
    onRun,
    onMetrics: (run, points) => {
      cards.get(run)?.measure(points);
      curves.append(run, points);
      notifications.measured(run, points);
    },
    onStatus: (state) => {
      status.textContent = state === 'connected' ? 'live' : 'reconnecting… what you see may be out of date';
      status.dataset.state = state;
      notifications.connected(state === 'connected');
    },
  }, signal, () => notifications.isOn);
  const clock = setInterval(() => cards.forEach((each) => each.tick()), 1000);
  signal.addEventListener('abort', () => clearInterval(clock));
  const again = links?.again ? el('a', {
    href: filled(links.again, { experiment }), title: 'The launch form, filled with what this experiment was asked for',
  }, 'Clone all') : null;
  return [el('header', { class: 'gs-title' }, el('h2', {}, name), status, again, notifications.root), grid, curves.root];
}

function addresses(run, api, { tokens, denoise, clone } = {}) {
  const id = encodeURIComponent(run.id);
  const ids = { experiment: run.experiment_id, run: run.id };
  return {
    log: `${api}/runs/${id}/log`, spec: `${api}/runs/${id}/spec`,
    tokens: filled(tokens, ids), denoise: filled(denoise, ids), clone: filled(clone, ids),
  };
}

function filled(template, ids) {
  return template?.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(ids[name]));
}
