/** What can be done with a job in its state: stopping it, and taking it up again. */

import { el } from './dom.js';
import { expectAnswer } from './press.js';
import { isOpen } from './run_state.js';

const SAVE = 'Stop and save';
const DISCARD = 'Discard';

/**
 * Asks once more before it stops anything, in the place where it stands. `act(name)` is called with `stop` (what there is
 * so far is kept), `discard`, `resume` (from the last checkpoint) or `retry` (from the start). What was pressed can be pressed
 * again once the state has changed, or nothing has come of it.
 */
export class JobActions {
  #act;
  #state;
  #answered = () => {};
  #stop = el('button', { type: 'button', onclick: () => this.#open(true) }, 'Stop');
  #keep = el('button', { type: 'button', onclick: () => this.#open(false) }, 'Keep running');
  #save = el('button', { type: 'button', onclick: () => this.#choose('stop') }, SAVE);
  #discard = el('button', { type: 'button', class: 'gs-danger', onclick: () => this.#choose('discard') }, DISCARD);
  #question = el('span', { class: 'gs-confirm', hidden: true }, this.#keep, this.#save, this.#discard);
  #resume = el('button', { type: 'button', onclick: () => this.#again('resume') }, 'Resume');
  #retry = el('button', { type: 'button', onclick: () => this.#again('retry') }, 'Start over');
  #ended = el('span', { class: 'gs-confirm', hidden: true }, this.#resume, this.#retry);

  constructor(act) {
    this.#act = act;
    this.root = el('div', {
      class: 'gs-stop',
      onkeydown: (event) => event.key === 'Escape' && !this.#question.hidden && this.#open(false),
    }, this.#stop, this.#question, this.#ended);
  }

  update(state) {
    if (state === this.#state) return;
    const before = this.#state;
    this.#state = state;
    this.#answered();
    const unfinished = ['stopped', 'failed', 'interrupted'].includes(state);
    this.root.hidden = !isOpen(state) && !unfinished;
    this.#ended.hidden = !unfinished;
    this.#save.hidden = state !== 'running';
    this.#discard.textContent = state === 'queued' ? 'Take off the queue' : DISCARD;
    // Saving may take minutes: it can still be decided that nothing is worth keeping.
    this.#keep.textContent = { queued: 'Keep waiting', stopping: 'Let it save' }[state] ?? 'Keep running';
    this.#offer();
    const goesOn = (each) => each === 'queued' || each === 'running';
    if (!isOpen(state)) this.#stop.hidden = this.#question.hidden = true;
    else if (!(goesOn(state) && goesOn(before))) this.#open(false, { focus: false });
  }

  /** Everything can be pressed. */
  #offer() {
    [this.#stop, this.#resume, this.#retry].forEach((button) => { button.disabled = false; });
    this.#stop.textContent = this.#state === 'stopping' ? 'Stopping…' : 'Stop';
  }

  #open(open, { focus = true } = {}) {
    this.#stop.hidden = open;
    this.#question.hidden = !open;
    if (focus) (open ? this.#keep : this.#stop).focus();
  }

  #choose(name) {
    this.#open(false);
    this.#stop.textContent = 'Stopping…';
    this.#stop.disabled = true;
    this.#press(name);
  }

  #again(name) {
    // Until the new state is there: pressing twice would ask twice.
    [this.#resume, this.#retry].forEach((button) => { button.disabled = true; });
    this.#press(name);
  }

  #press(name) {
    this.#answered();
    this.#answered = expectAnswer(() => this.#offer());
    this.#act(name);
  }
}
