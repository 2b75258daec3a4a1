/**
 * Evaluations side by side: how far they are, what they came to, and how they differ. It asks for what is new while one is
 * active, and not at all afterwards. `data` is {api, evaluations}: each an EvaluationView with `name`, `about`, `asked` (length and
 * seed of every condition) and `given` (whether its items begin the response). Actions: stop and go_on, {evaluation}.
 */

import { component, el, stylesheet } from './dom.js';
import { Answers } from './evaluation_answers.js';
import { EvaluationCard } from './evaluation_card.js';
import { Comparison } from './evaluation_comparison.js';
import { Results } from './evaluation_results.js';
import { get } from './requests.js';
import { isOpen } from './run_state.js';

await stylesheet('evaluation.css');

const POLL_MILLISECONDS = 1000;
// A long list is scored anew for each answer: asking takes at most a fifth of the time.
const PAUSE_PER_ANSWER = 4;

export function mount(host, { data, onAction }) {
  // Kept over updates, so that going on with one does not change what is looked at.
  const view = { first: null, condition: null, filter: 'all' };
  return component(host, 'evaluation', data, (next, signal) =>
    (next?.evaluations?.length ? draw(next, view, onAction, signal) : [empty()]));
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
  poll(api, current, (trouble) => {
    status.textContent = trouble;
    status.dataset.state = trouble ? 'reconnecting' : '';
    if (!trouble) show();
  }, signal);
  return [el('div', { class: 'gs-cards gs-evaluations' }, cards.map((card) => card.root)), status, ...parts.map((part) => part.root)];
}

/** Asks for each evaluation once, and then for those that are active. Results go into `current`. */
async function poll(api, current, onRound, signal) {
  let wanted = current;
  while (wanted.length && !signal.aborted) {
    const began = performance.now();
    try {
      const found = await Promise.all(wanted.map(({ id }) => get(`${api}/evaluations/${encodeURIComponent(id)}`, signal)));
      found.forEach((detail, i) => Object.assign(wanted[i], detail));
      onRound('');
      wanted = current.filter(({ state }) => isOpen(state));
    } catch (error) {
      if (signal.aborted) return;
      onRound(`${error.message} Trying again; what you see may be out of date.`);
    }
    if (wanted.length) await pause(Math.max(POLL_MILLISECONDS, PAUSE_PER_ANSWER * (performance.now() - began)), signal);
  }
}

function pause(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    }, { once: true });
  });
}
