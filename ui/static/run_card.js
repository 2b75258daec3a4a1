/** One run: its state, progress, score or failure, and what can be done with it. Built once, then updated in place. */

import { el } from './dom.js';
import { JobActions } from './job_actions.js';
import { hasWeights, isLive, stateShape } from './run_state.js';
import { ticking } from './ticking.js';
import { decimal, duration, integer, percent, seriesDash, seriesStyle } from './scale.js';
import { tailWarning } from './tail_warning.js';
import { TrainOn } from './train_on.js';

/**
 * `links(run)` gives {log, spec, tokens, denoise, clone} addresses; `act(name, id)` is called as `JobActions` says, and for
 * `train_on` with {epochs, key} as `TrainOn` says.
 */
export class RunCard {
  #run;
  #measured = {};
  #elapsed = () => 0;
  #links;
  #parts = {
    label: el('span'), chip: el('span', { class: 'gs-chip' }), phase: el('span', { class: 'gs-phase' }),
    steps: el('span', { class: 'gs-count' }), fill: el('div'), speed: el('dd'), left: el('dd'), elapsed: el('dd'),
    warning: el('p', { class: 'gs-warning', role: 'status', hidden: true }),
    outcome: el('div', { class: 'gs-outcome', 'aria-live': 'polite' }),
    links: el('nav', { class: 'gs-links', 'aria-label': 'Results' }),
  };
  #bar = el('div', { class: 'gs-progress', role: 'progressbar', 'aria-valuemin': 0 }, this.#parts.fill);
  #actions;
  #trainOn;

  constructor(position, links, act) {
    this.position = position;
    this.#links = links;
    this.#actions = new JobActions((name) => act(name, this.#run.id));
    this.#trainOn = new TrainOn((epochs, key) => act('train_on', this.#run.id, { epochs, key }));
    const { label, chip, phase, steps, speed, left, elapsed, warning, outcome, links: nav } = this.#parts;
    this.root = el('article', { class: 'gs-card' },
      el('header', {}, el('h3', {}, swatch(position), label), chip),
      el('div', { class: 'gs-progress-text' }, phase, steps),
      this.#bar,
      el('dl', { class: 'gs-facts' },
        fact('Tokens/s', speed), fact('Remaining', left), fact('Elapsed', elapsed)),
      warning,
      outcome,
      el('footer', {}, nav, this.#actions.root, this.#trainOn.root));
  }

  update(run) {
    const before = this.#run;
    this.#run = run;
    this.#elapsed = ticking(run);
    if (before && before.first_attempt !== run.first_attempt) this.#forget();
    const { label, chip, steps, speed } = this.#parts;
    this.root.dataset.state = run.state;
    this.root.setAttribute('aria-label', `Run ${run.label}, ${run.state}`);
    label.textContent = run.label;
    chip.replaceChildren(stateShape(run.state), run.state);
    steps.textContent = stepText(run);
    speed.textContent = integer(run.tokens_per_second);
    this.#progress(run);
    this.#phase();
    this.tick();
    this.#actions.update({ kind: 'train', ...run });
    this.#trainOn.update(hasWeights(run));
    const shown = ({ state, result, failure, actions, saved_step: saved, files_removed: removed }) =>
      JSON.stringify([state, result, failure, actions, saved, removed]);
    if (before && shown(before) === shown(run)) return;
    this.#parts.outcome.replaceChildren(...outcome(run));
    this.#parts.links.replaceChildren(...links(run, this.#links(run)));
  }

  /** There is another run; whether it is what was asked for here. */
  answered() {
    return this.#trainOn.answered();
  }

  /** Takes new points; a value holds until a later point has another. */
  measure(points) {
    points.forEach(({ values }) => Object.assign(this.#measured, values));
    const { warning } = this.#parts;
    warning.textContent = tailWarning(this.#measured.tail_loss_share, 'of the loss falls on the end-of-text tail');
    warning.hidden = !warning.textContent;
    this.#phase();
  }

  /** Writes the times, which pass without any event. */
  tick() {
    const { state, eta_seconds: eta } = this.#run;
    this.#parts.left.textContent = duration(eta);
    this.#parts.left.parentElement.hidden = !isLive(state);
    const elapsed = this.#elapsed();
    this.#parts.elapsed.textContent = duration(elapsed || isLive(state) ? elapsed : null);
  }

  /** It begins at step 0 again: what was measured was of attempts before. */
  #forget() {
    this.#measured = {};
    this.#parts.warning.hidden = true;
  }

  #phase() {
    const { state, phase, saved_step: saved } = this.#run;
    this.#parts.phase.textContent = state === 'queued' ? (saved ? 'waiting to resume' : 'waiting for its turn')
      : isLive(state) ? doing(phase, this.#measured) : '';
  }

  #progress(run) {
    const { total_steps: total, state } = run;
    const step = reached(run);
    const share = state === 'finished' ? 1 : total ? step / total : 0;
    this.#parts.fill.style.width = `${100 * share}%`;
    this.#bar.setAttribute('aria-valuemax', total ?? 1);
    this.#bar.setAttribute('aria-valuenow', step);
    this.#bar.setAttribute('aria-label', 'Progress');
  }
}

/** The step at which a run is: while it does not run, that of the checkpoint from which it would go on. */
function reached({ state, step, saved_step: saved }) {
  return isLive(state) || state === 'finished' ? step : saved ?? 0;
}

function stepText(run) {
  const { state, total_steps: total } = run;
  if (!total || !(isLive(state) || state === 'finished' || reached(run))) return '';
  return `step ${integer(reached(run))} of ${integer(total)}`;
}

function swatch(position) {
  return el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(position), 'data-dash': seriesDash(position) });
}

/** Probing comes before the first step, and counts examples instead. */
function doing(phase, { probed, to_probe: total }) {
  return phase === 'probing' && total ? `probing ${integer(probed)} of ${integer(total)}` : phase;
}

function fact(name, value) {
  return el('div', {}, el('dt', {}, name), value);
}

function outcome(run) {
  return run.files_removed ? [...ending(run), removedNote(run.files_removed)] : ending(run);
}

function removedNote(when) {
  const day = new Date(when * 1000).toLocaleDateString(undefined, { dateStyle: 'long' });
  return el('p', { class: 'gs-note' }, `Its files were removed on ${day} to make room.`);
}

function stopped(result, actions) {
  if (result) return `Stopped at loss ${decimal(result.final_loss, 3)}; what it has learned is kept.`;
  return actions.includes('undo') ? 'Discarded.' : 'Stopped.';
}

function ending({ state, result, failure, actions, saved_step: saved }) {
  if (failure) return [failureNote(failure)];
  if (result?.score) return [score(result.score)];
  if (state === 'finished' && result) return [el('p', {}, `Finished at loss ${decimal(result.final_loss, 3)}.`)];
  const resumes = actions.includes('resume') ? ` It can be resumed from step ${integer(saved)}.` : '';
  if (state === 'stopped') return [el('p', {}, `${stopped(result, actions)}${resumes}`)];
  if (state === 'interrupted') return [el('p', {}, `The process ended before the run did.${resumes}`)];
  return [];
}

function failureNote({ message, field, remedy }) {
  return el('p', { class: 'gs-failure' },
    field ? [el('code', {}, field), ' '] : null, el('span', {}, message), remedy ? el('b', {}, ` ${remedy}`) : null);
}

function score({ correct, n, share, low, high }) {
  const bounds = [low, high].map((bound) => decimal(100 * bound, 0));
  return el('div', { class: 'gs-score', style: `--low: ${low}; --high: ${high}; --share: ${share}` },
    el('p', { title: '95 % Wilson interval' }, el('b', {}, percent(share)), ` [${bounds.join(', ')}]`,
      el('span', { class: 'gs-note' }, `${integer(correct)} of ${integer(n)} solved`)),
    el('div', { class: 'gs-interval', 'aria-hidden': true }, el('i'), el('b')));
}

function links(run, { log, spec, tokens, denoise, clone }) {
  const trained = hasWeights(run);
  return [
    trained && tokens ? el('a', { href: tokens }, 'Tokens') : null,
    trained && denoise ? el('a', { href: denoise }, 'Denoise') : null,
    el('a', { href: spec, download: true }, 'Spec (YAML)'),
    clone ? el('a', { href: clone, title: 'The launch form, filled with what this run was asked for' }, 'Clone') : null,
    run.started ? el('a', { href: log, target: '_blank', rel: 'noopener' }, 'Log') : null,
  ].filter(Boolean);
}
