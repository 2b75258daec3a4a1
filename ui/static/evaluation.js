/**
 * Evaluations side by side: how far they are, what they came to, and how they differ; live while one is active.
 * `data` is {api, evaluations}: each an EvaluationView with `name`, `about`, `asked` (length and seed of every condition) and
 * `given` (whether its items begin the response). Actions: stop and go_on, {evaluation}.
 */

import { component, el, loading, stylesheet } from './dom.js';
import { Answers } from './evaluation_answers.js';
import { EvaluationCard } from './evaluation_card.js';
import { Comparison } from './evaluation_comparison.js';
import { Results } from './evaluation_results.js';
import { watch } from './page_stream.js';
import { calmly, get } from './requests.js';
import { isOpen } from './run_state.js';

await stylesheet('evaluation.css');

const LEAST_PAUSE = 1000;
// A long list is scored anew for each answer: asking takes at most a fifth of the time.
const PAUSE_PER_ANSWER = 4;

export function mount(host, { data, onAction }) {
  // Kept over updates, so that going on with one does not change what is looked at.
  const view = { first: null, condition: null, filter: 'all' };
  return component(host, 'evaluation', data, (next, signal) =>
    (next === null ? [loading('the results')] : next.evaluations?.length ? draw(next, view, onAction, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and a task, and how many of its items each of them solves appears here.');
}

function draw({ api, evaluations }, view, onAction, signal) {
  const current = evaluations.map((each, index) => ({ ...each, index }));
  const cards = current.map((each) => new EvaluationCard(each, onAction));
  const status = el('p', { class: 'gs-status', role: 'status' });
  const parts = [
    new Results(current),
    ...(current.length > 1 ? [new Comparison(api, current, view, signal)] : []),
    new Answers(api, current, view, signal),
  ];

  function show() {
    cards.forEach((card, index) => card.update(current[index]));
    parts.forEach((part) => part.update(current));
  }

  show();
  follow(api, current, (trouble) => {
    status.textContent = trouble;
    status.dataset.state = trouble ? 'reconnecting' : '';
    if (!trouble) show();
  }, signal);
  return [el('div', { class: 'gs-cards gs-evaluations' }, cards.map((card) => card.root)), status, ...parts.map((part) => part.root)];
}

/** Asks for each evaluation once, and whenever something is told of it. Results go into `current`. */
function follow(api, current, onRound, signal) {
  const byId = new Map(current.map((each) => [each.id, each]));
  const stale = new Set(current);

  const ask = calmly(async () => {
    const wanted = [...stale];
    stale.clear();
    if (!wanted.length) return;
    try {
      const found = await Promise.all(wanted.map(({ id }) => get(`${api}/evaluations/${encodeURIComponent(id)}`, signal)));
      found.forEach((detail, i) => Object.assign(wanted[i], detail));
      onRound('');
    } catch (error) {
      if (signal.aborted) return;
      onRound(`${error.message} Trying again; what you see may be out of date.`);
      again(wanted);
    }
  }, (took) => Math.max(LEAST_PAUSE, PAUSE_PER_ANSWER * took));

  function again(evaluations) {
    evaluations.forEach((each) => stale.add(each));
    ask();
  }

  ask();
  if (!current.some(({ state }) => isOpen(state))) return;
  watch(api, ['queue'], {
    job: ({ id }) => byId.has(id) && again([byId.get(id)]),
    look: () => again(current.filter(({ state }) => isOpen(state))),
  }, signal);
}
