/** Play, pause, step and scrub over a number of steps. */

import { el, svg } from './dom.js';

const STEPS_PER_SECOND = 5;
const SPEEDS = [0.5, 1, 2, 4];
const ICONS = {
  play: 'M6 3.5v13l11-6.5z',
  pause: 'M5 3.5h3.6v13H5zM11.4 3.5H15v13h-3.6z',
  back: 'M13 3.5v13L4.5 10zM3 3.5h1.8v13H3z',
  forward: 'M7 3.5v13l8.5-6.5zM15.2 3.5H17v13h-1.8z',
};

/** `onSeek` is called with each new cursor, 0 to `steps`. Nothing plays by itself. */
export class Transport {
  #steps;
  #onSeek;
  #cursor = 0;
  #timer = null;
  #play = button('Play', 'play', () => this.toggle());
  #scrubber;
  #count = el('output', { class: 'gs-count' });
  #speed = el('select', { 'aria-label': 'Speed' }, SPEEDS.map((speed) =>
    el('option', { value: speed, selected: speed === 1 }, `${speed}×`)));

  constructor(steps, onSeek, signal) {
    this.#steps = steps;
    this.#onSeek = onSeek;
    this.#scrubber = el('input', {
      type: 'range', min: 0, max: steps, step: 1, value: 0, 'aria-label': 'Step',
      oninput: (event) => this.seek(event.target.valueAsNumber),
    });
    this.root = el('div', { class: 'gs-transport' },
      this.#play,
      button('Step back', 'back', () => this.seek(this.#cursor - 1)),
      button('Step forward', 'forward', () => this.seek(this.#cursor + 1)),
      this.#scrubber, this.#count, this.#speed);
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  /** Pauses and goes to a cursor. */
  seek(cursor) {
    this.#pause();
    this.#move(cursor);
  }

  toggle() {
    if (this.#timer !== null) {
      this.#pause();
      return;
    }
    if (this.#cursor >= this.#steps) this.#move(0);
    this.#show('pause', 'Pause');
    this.#schedule();
  }

  /** Handles the player's keys, except where the focused control has a use for them itself. */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const own = event.target.closest('button, select, input');
    const moves = { ArrowLeft: this.#cursor - 1, ArrowRight: this.#cursor + 1, Home: 0, End: this.#steps };
    if (event.key === ' ' && !own?.matches('button, select')) this.toggle();
    else if (event.key in moves && !own?.matches('select, input')) this.seek(moves[event.key]);
    else return;
    event.preventDefault();
  }

  #schedule() {
    this.#timer = setTimeout(() => {
      this.#move(this.#cursor + 1);
      if (this.#cursor < this.#steps) this.#schedule();
      else this.#pause();
    }, 1000 / STEPS_PER_SECOND / Number(this.#speed.value));
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#show('play', 'Play');
  }

  #move(cursor) {
    this.#cursor = Math.min(this.#steps, Math.max(0, cursor));
    this.#scrubber.value = this.#cursor;
    this.#scrubber.setAttribute('aria-valuetext', `step ${this.#cursor} of ${this.#steps}`);
    this.#count.textContent = `${this.#cursor} / ${this.#steps}`;
    this.#onSeek(this.#cursor);
  }

  #show(name, label) {
    this.#play.setAttribute('aria-label', label);
    this.#play.replaceChildren(icon(name));
  }
}

function button(label, name, onclick) {
  return el('button', { type: 'button', class: 'gs-icon', 'aria-label': label, onclick }, icon(name));
}

function icon(name) {
  return svg('svg', { viewBox: '0 0 20 20', width: 16, height: 16, 'aria-hidden': true }, svg('path', { d: ICONS[name] }));
}
