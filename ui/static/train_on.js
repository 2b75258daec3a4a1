/** Training what a run has learned for longer: asks in place for how many epochs. */

import { el } from './dom.js';
import { expectAnswer } from './press.js';

const MOST_EPOCHS = 1000;

/**
 * `act(epochs, key)` is called with the key of the opened question: what is pressed twice is asked for once. The question closes
 * when `answered` is called; where it was refused, or nothing has come of it, it can be pressed again.
 */
export class TrainOn {
  #act;
  #key = '';
  #asked = false;
  #over = () => {};
  #begin = el('button', { type: 'button', onclick: () => this.#open(true) }, 'Train on');
  #epochs = el('input', { type: 'number', required: true, min: 1, max: MOST_EPOCHS, step: 1, value: 1, inputmode: 'numeric' });
  #train = el('button', { type: 'submit', class: 'gs-main' }, 'Train');
  #cancel = el('button', { type: 'button', onclick: () => this.#open(false) }, 'Cancel');
  #question = el('form', { class: 'gs-confirm', hidden: true, onsubmit: (event) => this.#press(event) },
    el('label', {}, 'More epochs', this.#epochs), this.#train, this.#cancel);

  constructor(act) {
    this.#act = act;
    this.root = el('div', {
      class: 'gs-train-on', hidden: true,
      onkeydown: (event) => event.key === 'Escape' && !this.#question.hidden && this.#open(false),
    }, this.#begin, this.#question);
  }

  /** Offered while there are weights to go on from. */
  update(hasWeights) {
    if (this.root.hidden !== hasWeights) return;
    this.root.hidden = !hasWeights;
    this.#show(false);
  }

  /** There is another run; whether it is what was asked for here. */
  answered() {
    const { activeElement: focused } = document;
    const mine = this.#asked;
    if (mine) this.#open(false, { focus: this.root.contains(focused) || focused === document.body });
    return mine;
  }

  #open(open, { focus = true } = {}) {
    if (open) {
      this.#key = [...crypto.getRandomValues(new Uint32Array(4))].join('-');
      this.#epochs.value = 1;
    }
    this.#show(open);
    if (!focus) return;
    (open ? this.#epochs : this.#begin).focus();
    if (!open) return;
    this.#epochs.select();
    this.#question.scrollIntoView({ block: 'nearest' });
  }

  #show(open) {
    this.#asked = false;
    this.#over();
    this.#offer();
    this.#begin.hidden = open;
    this.#question.hidden = !open;
  }

  #offer() {
    this.#train.disabled = false;
  }

  #press(event) {
    event.preventDefault();
    if (this.#train.disabled) return;
    this.#train.disabled = true;
    this.#asked = true;
    this.#over();
    this.#over = expectAnswer(() => this.#offer());
    this.#act(this.#epochs.valueAsNumber, this.#key);
  }
}
