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

/**
 * `onSeek` is called with each new row, 0 to the last; `name` says where a row of how many is, as [short, spoken].
 * Nothing plays by itself, but with `follow` the newest row is shown as rows are added, until somebody goes back.
 */
export class Transport {
  #steps = 0;
  #edge = 0;
  #onSeek;
  #name;
  #cursor = 0;
  #following;
  #timer = null;
  #play = button('Play', 'play', () => this.toggle());
  #scrubber;
  #moves;
  #count = el('output', { class: 'gs-count' });
  #speed = el('select', { 'aria-label': 'Speed' }, SPEEDS.map((speed) =>
    el('option', { value: speed, selected: speed === 1 }, `${speed}×`)));

  constructor({ onSeek, name, follow, under }, signal) {
    this.#onSeek = onSeek;
    this.#name = name;
    this.#following = follow;
    this.#scrubber = el('input', {
      type: 'range', min: 0, max: 0, step: 1, value: 0, 'aria-label': 'Step',
      oninput: (event) => this.seek(event.target.valueAsNumber),
    });
    this.#moves = [
      this.#play,
      button('Step back', 'back', () => this.seek(this.#cursor - 1)),
      button('Step forward', 'forward', () => this.seek(this.#cursor + 1)),
    ];
    this.root = el('div', { class: 'gs-transport' },
      this.#moves,
      el('div', { class: 'gs-scrub' }, this.#scrubber, under), this.#count, this.#speed);
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  get cursor() {
    return this.#cursor;
  }

  /** Whether the newest row is shown as rows are added. */
  get following() {
    return this.#following;
  }

  /** There are now rows 0 to `steps`, of which `edge` is the newest. */
  extend(steps, edge) {
    this.#steps = steps;
    this.#edge = edge;
    this.#scrubber.max = steps;
    // Where there is no step yet, none can be chosen: what is chosen is not lost when steps come.
    [this.#scrubber, ...this.#moves].forEach((each) => { each.disabled = !steps; });
    this.#move(this.#following ? edge : this.#cursor);
  }

  /** Goes to the newest row and stays with it. */
  follow() {
    this.seek(this.#edge);
  }

  /** Pauses and goes to a row; from the newest one on it stays with those that are added, unless it is not to `follow`. */
  seek(cursor, follow = true) {
    this.#pause();
    this.#go(cursor, follow);
  }

  toggle() {
    if (this.#timer !== null) {
      this.#pause();
      return;
    }
    if (this.#cursor >= this.#steps) this.#go(0);
    this.#show('pause', 'Pause');
    this.#schedule();
  }

  /** Handles the player's keys, except where the focused control has a use for them itself. */
  key(event) {
    if (!this.#steps || event.altKey || event.ctrlKey || event.metaKey) return;
    const own = event.target.closest('button, select, input');
    const moves = { ArrowLeft: this.#cursor - 1, ArrowRight: this.#cursor + 1, Home: 0, End: this.#steps };
    if (event.key === ' ' && !own?.matches('button, select')) this.toggle();
    else if (event.key in moves && !own?.matches('select, input')) this.seek(moves[event.key]);
    else return;
    event.preventDefault();
  }

  #schedule() {
    this.#timer = setTimeout(() => {
      this.#go(this.#cursor + 1);
      if (this.#cursor < this.#steps) this.#schedule();
      else this.#pause();
    }, 1000 / STEPS_PER_SECOND / Number(this.#speed.value));
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#show('play', 'Play');
  }

  #go(cursor, follow = true) {
    this.#following = follow && cursor >= this.#edge;
    this.#move(cursor);
  }

  #move(cursor) {
    this.#cursor = Math.min(this.#steps, Math.max(0, cursor));
    this.#scrubber.value = this.#cursor;
    const [short, spoken] = this.#name(this.#cursor, this.#steps);
    this.#scrubber.setAttribute('aria-valuetext', spoken);
    this.#count.textContent = short;
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
