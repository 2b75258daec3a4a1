/** One evaluation: its state, how far it is, what it has solved so far, and stopping it or going on. */

import { el } from './dom.js';
import { latest, scoreOf } from './evaluation_numbers.js';
import { expectAnswer } from './press.js';
import { isOpen, stateShape } from './run_state.js';
import { duration, integer, seriesStyle } from './scale.js';

// Stopping loses nothing, so it is not asked about: the answers stay.
const STOP = { name: 'stop', label: 'Stop', done: 'Stopping…' };
const GO_ON = { name: 'go_on', label: 'Go on', done: 'Going on…' };
const AGAIN = { name: 'go_on', label: 'Try again', done: 'Trying again…' };

export class EvaluationCard {
  #parts = {
    chip: el('span', { class: 'gs-chip' }), count: el('span', { class: 'gs-count' }), left: el('span'), fill: el('div'),
    outcome: el('div', { class: 'gs-outcome' }),
  };
  #bar = el('div', { class: 'gs-progress', role: 'progressbar', 'aria-valuemin': 0 }, this.#parts.fill);
  #button;
  #footer;
  #action;
  #state;
  #answered = () => {};

  constructor({ id, name, about, index }, onAction) {
    this.#button = el('button', {
      type: 'button',
      onclick: () => {
        this.#button.disabled = true;
        this.#button.textContent = this.#action.done;
        this.#answered = expectAnswer(() => this.#offer());
        onAction(this.#action.name, { evaluation: id });
      },
    });
    this.#footer = el('footer', {}, this.#button);
    const { chip, count, left, outcome } = this.#parts;
    this.root = el('article', { class: 'gs-card', 'aria-label': name },
      el('header', {}, el('h3', {}, el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), name), chip),
      el('p', { class: 'gs-note' }, about),
      el('div', { class: 'gs-progress-text' }, count, left),
      this.#bar, outcome, this.#footer);
  }

  update(evaluation) {
    const { state, eta_seconds: eta, problems } = evaluation;
    const { done, total } = progressOf(evaluation);
    const { chip, count, left, fill, outcome } = this.#parts;
    this.root.dataset.state = state;
    chip.replaceChildren(stateShape(state), state);
    count.textContent = total ? `${integer(done)} of ${integer(total)} answers` : waiting(state);
    left.textContent = isOpen(state) && eta !== null ? `${duration(eta)} left` : '';
    fill.style.width = `${total ? (100 * done) / total : 0}%`;
    this.#bar.setAttribute('aria-label', `Answers of ${this.root.getAttribute('aria-label')}`);
    this.#bar.setAttribute('aria-valuemax', total || 1);
    this.#bar.setAttribute('aria-valuenow', done);
    outcome.replaceChildren(...problems.map(failure), ...score(evaluation));
    // A button that was pressed stays as it is until the state has changed, or nothing has come of it.
    if (this.#state === state) return;
    this.#state = state;
    this.#answered();
    this.#action = isOpen(state) ? STOP : state === 'failed' ? AGAIN : GO_ON;
    this.#footer.hidden = state === 'finished';
    this.#offer();
  }

  #offer() {
    this.#button.disabled = false;
    this.#button.textContent = this.#action.label;
  }
}

/** Counted from the answers themselves: what was done before a restart is not in the view's own numbers. */
function progressOf({ done, total, items, asked, conditions }) {
  if (!items || !conditions) return { done, total };
  return { done: conditions.reduce((sum, { solved }) => sum + solved.n, 0), total: items * asked.length };
}

function waiting(state) {
  if (state === 'queued') return 'waiting for its turn';
  return state === 'running' ? 'loading the checkpoint' : 'no answers yet';
}

function score(evaluation) {
  const condition = latest(evaluation);
  const several = evaluation.asked.length > 1;
  // One condition of several says how it goes, not what it came to.
  if (!condition || (several && evaluation.state === 'finished')) return [];
  const { low, high, share } = condition.solved;
  return [el('div', { class: 'gs-score', style: `--low: ${low}; --high: ${high}; --share: ${share}` },
    el('p', { title: '95 % Wilson interval' }, scoreOf(condition.solved)),
    several ? el('p', { class: 'gs-note' }, `at length ${condition.sampling.length}, seed ${condition.seed}`) : null,
    el('div', { class: 'gs-interval', 'aria-hidden': true }, el('i'), el('b')))];
}

function failure({ field, message, remedy }) {
  return el('p', { class: 'gs-failure' },
    field ? [el('code', {}, field), ' '] : null, el('span', {}, message), remedy ? el('b', {}, ` ${remedy}`) : null);
}
