/** What can be done with a job: stopping it, taking it up again, bringing back what it had. The server says which of it. */

import { el } from './dom.js';
import { expectAnswer } from './press.js';
import { isOpen } from './run_state.js';
import { duration, integer } from './scale.js';

// Whoever presses twice does not press what appears in between.
const GUARD_MILLISECONDS = 600;
const UNITS = { evaluate: 'answer', denoise: 'answer' };

/**
 * Asks once more before it stops anything. The harmless answer takes the place of the button that was pressed; the others come
 * below it, and the one that keeps nothing can be pressed only a moment later. `act(name)` is called with `stop` (what there is
 * is kept), `discard`, `resume` (from the last checkpoint), `retry` (from step 0) or `undo`. What was pressed can be pressed again
 * once something has changed, or nothing has come of it.
 */
export class JobActions {
  #act;
  #job = { actions: [] };
  #shown = '';
  #answered = () => {};
  #guards = new Map();
  // The second click of two was meant for what was there before: it neither answers the question nor asks it again.
  #stop = button('Stop', ({ detail }) => detail > 1 || this.#open(true));
  #keep = button('Keep running', ({ detail }) => detail > 1 || this.#open(false));
  #save = button('Stop and save', () => this.#choose('stop'));
  #discard = button('Discard', () => this.#choose('discard'), 'gs-danger');
  #note = el('span', { class: 'gs-note' });
  #question = el('div', { class: 'gs-question', role: 'group', 'aria-label': 'Stop it?', hidden: true },
    this.#keep, el('span', { class: 'gs-confirm' }, this.#save, this.#discard), this.#note);
  #undo = button('Undo', () => this.#again('undo'));
  #resume = button('Resume', () => this.#again('resume'));
  #retry = button('Start over', () => this.#again('retry'));
  #kept = el('span', { class: 'gs-note' });
  #others = el('span', { class: 'gs-confirm', hidden: true }, this.#kept, this.#undo, this.#resume, this.#retry);

  constructor(act) {
    this.#act = act;
    this.root = el('div', {
      class: 'gs-stop',
      onkeydown: (event) => event.key === 'Escape' && !this.#question.hidden && this.#open(false),
    }, this.#others, el('span', { class: 'gs-stop-place' }, this.#stop, this.#question));
  }

  /** `job` is {state, kind, actions, step, saved_step, undo_step, elapsed}, as the API says it. */
  update(job) {
    const before = this.#job.state;
    this.#job = job;
    this.#name(job);
    const shown = JSON.stringify([job.state, job.actions]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#answered();
    const stops = this.#may('stop') || this.#may('discard');
    const others = ['undo', 'resume', 'retry'].some((action) => this.#may(action));
    this.root.hidden = !stops && !others;
    this.#others.hidden = !others;
    this.#resume.hidden = !this.#may('resume');
    this.#retry.hidden = !this.#may('retry');
    this.#show(this.#undo, this.#may('undo'));
    this.#stop.hidden = !stops;
    this.#save.hidden = !this.#may('stop');
    this.#offer();
    const goesOn = (state) => state === 'queued' || state === 'running';
    if (stops && goesOn(job.state) && goesOn(before)) this.#show(this.#discard, !this.#question.hidden && this.#may('discard'));
    else this.#open(false, { focus: false });
  }

  #may(action) {
    return this.#job.actions.includes(action);
  }

  #name(job) {
    const { state, saved_step: saved, undo_step: kept, kind } = job;
    this.#keep.textContent = { queued: 'Stay in queue', stopping: 'Let it save' }[state] ?? 'Keep running';
    this.#save.textContent = state === 'queued' ? 'Take off the queue' : 'Stop and save';
    this.#discard.textContent = ['Discard', lost(job)].filter(Boolean).join(' ');
    this.#note.textContent = state === 'queued' ? 'What it has so far is kept.' : '';
    this.#resume.title = saved ? `From ${counted(saved, kind)}` : '';
    this.#retry.textContent = saved ? 'Start over' : 'Run again';
    this.#retry.title = saved ? 'From step 0. What it has is kept until there is a new checkpoint.' : '';
    this.#kept.textContent = !this.#may('undo') ? ''
      : isOpen(state) || state === 'failed' || state === 'interrupted' ? `${sentence(kept, kind)} is kept until there is a new checkpoint.`
        : `${sentence(kept, kind)} can be brought back for a minute.`;
  }

  /** Everything can be pressed. */
  #offer() {
    [this.#stop, this.#undo, this.#resume, this.#retry].forEach((each) => { each.disabled = this.#guards.has(each); });
    this.#stop.textContent = this.#job.state === 'stopping' ? 'Stopping…' : 'Stop';
  }

  #open(open, { focus = true } = {}) {
    // It keeps its place, and the question lies over it: nothing moves below the pointer.
    this.#stop.style.visibility = open ? 'hidden' : '';
    this.#question.hidden = !open;
    this.#show(this.#discard, open && this.#may('discard'));
    if (open) placeOver(this.#question, this.#keep, this.#stop);
    if (focus) (open ? this.#keep : this.#stop).focus({ preventScroll: true });
  }

  /** A button that appears cannot be pressed at once: a second click was meant for what was there before. */
  #show(guarded, visible) {
    const appears = visible && guarded.hidden;
    guarded.hidden = !visible;
    if (!appears) return;
    clearTimeout(this.#guards.get(guarded));
    guarded.disabled = true;
    this.#guards.set(guarded, setTimeout(() => {
      this.#guards.delete(guarded);
      guarded.disabled = false;
    }, GUARD_MILLISECONDS));
  }

  #choose(name) {
    this.#open(false);
    this.#stop.textContent = 'Stopping…';
    this.#stop.disabled = true;
    this.#press(name);
  }

  #again(name) {
    // Until the new state is there: pressing twice would ask twice.
    [this.#undo, this.#resume, this.#retry].forEach((each) => { each.disabled = true; });
    this.#press(name);
  }

  #press(name) {
    this.#answered();
    this.#answered = expectAnswer(() => this.#offer());
    this.#act(name);
  }
}

/**
 * Lays the question so that its harmless answer covers the button that opened it, and the others come towards the side with more
 * room: nothing has to be scrolled, which would bring another answer below the pointer.
 */
function placeOver(question, harmless, opener) {
  const { left, right, top, bottom, width } = opener.getBoundingClientRect();
  const { clientWidth: room, clientHeight: height } = document.documentElement;
  const toTheLeft = left + right > room;
  question.dataset.side = toTheLeft ? 'left' : 'right';
  question.dataset.towards = height - bottom < question.offsetHeight && top > height - bottom ? 'top' : 'bottom';
  question.style.maxWidth = `${Math.max(width, (toTheLeft ? right : room - left) - 8)}px`;
  harmless.style.minWidth = `${width}px`;
}

/** Where a job is: "step 41", or "41 answers". */
function counted(count, kind) {
  return kind === 'evaluate' || kind === 'denoise' ? amount(count, kind) : `step ${integer(count)}`;
}

function sentence(count, kind) {
  const text = count ? counted(count, kind) : 'what it had';
  return text[0].toUpperCase() + text.slice(1);
}

/** What would be lost with a job: "41 steps (3 min 49 s of work)". */
function lost({ kind, step, elapsed }) {
  if (!step) return '';
  return `${amount(step, kind)}${elapsed ? ` (${duration(elapsed)} of work)` : ''}`;
}

function amount(count, kind) {
  const unit = UNITS[kind] ?? 'step';
  return `${integer(count)} ${unit}${count === 1 ? '' : 's'}`;
}

function button(label, onclick, name = null) {
  return el('button', { type: 'button', class: name, onclick }, label);
}
