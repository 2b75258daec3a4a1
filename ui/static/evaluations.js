/**
 * All evaluations, newest first, to be opened or laid beside those that are open; live while one is active.
 * `data` is {api, opened, most, evaluations}: ids that are open, how many may be, and EvaluationViews with `name` and `about`.
 */

import { component, el, loading, stylesheet } from './dom.js';
import { watch } from './page_stream.js';
import { get } from './requests.js';
import { isOpen, stateShape } from './run_state.js';
import { integer } from './scale.js';

await stylesheet('evaluation.css');

const MOST_LISTED = 200;

export function mount(host, { data }) {
  return component(host, 'evaluations', data, (next, signal) =>
    (next === null ? [loading('the evaluations')] : next.evaluations?.length ? [draw(next, signal)]
      : [el('p', { class: 'gs-empty' }, 'Nothing has been evaluated yet.')]));
}

function draw({ api, opened, most, evaluations }, signal) {
  const tasks = evaluations.filter(({ id }) => opened.includes(id)).map(({ order }) => order.task);
  const room = opened.length && opened.length < most;
  const entries = evaluations.map((each) => entry(each, opened, room && tasks.includes(each.order.task)));
  if (evaluations.some(({ state }) => isOpen(state))) follow(api, new Map(entries.map((each) => [each.id, each])), signal);
  return el('ul', { class: 'gs-evaluation-list', 'aria-label': 'Evaluations' }, entries.map((each) => each.root));
}

/** `comparable`: it may be laid beside what is open. */
function entry(evaluation, opened, comparable) {
  const { id, name, about } = evaluation;
  const state = el('span', { class: 'gs-run-states' });

  function show({ state: next, done, solved }) {
    const counts = done ? `, ${integer(solved)} of ${integer(done)} solved` : '';
    state.replaceChildren(el('span', { 'data-state': next }, stateShape(next), `${next}${counts}`));
  }

  show(evaluation);
  const shown = opened.includes(id);
  const root = el('li', { 'aria-current': shown && 'true' },
    el('div', {}, el('b', {}, name), el('span', { class: 'gs-note' }, about), state),
    el('nav', { class: 'gs-links', 'aria-label': name },
      shown && opened.length === 1 ? null : el('a', { href: address([id]) }, 'Open'),
      shown || !comparable ? null : el('a', { href: address([...opened, id]) }, 'Compare'),
      shown && opened.length > 1 ? el('a', { href: address(opened.filter((each) => each !== id)) }, 'Leave out') : null));
  return { id, root, show };
}

function address(ids) {
  return `evaluate?${new URLSearchParams({ evaluations: ids.join() })}`;
}

function follow(api, entries, signal) {
  watch(api, ['queue'], {
    job: ({ id, state, step, latest }) => entries.get(id)?.show({ state, done: step, solved: latest.solved ?? 0 }),
    look: () => refresh(api, entries, signal),
  }, signal);
}

async function refresh(api, entries, signal) {
  try {
    (await get(`${api}/evaluations?limit=${MOST_LISTED}`, signal)).items.forEach((view) => entries.get(view.id)?.show(view));
  } catch {
    // The page was left, or the backend is away, which the evaluations above this list say; it is asked again.
  }
}
