/** The token strip: tokens as running text, each with a value drawn as colour and as the height of an underline. */

import { el, isDark, onThemeChange } from './dom.js';
import { cellsOf, pieces, pillName, spoken } from './glyphs.js';
import { tokenCard } from './popover.js';
import { colourAt } from './scale.js';

// From least to most advanced: a cell of several tokens is as far as the last of them.
const STATES = [
  'uncomputed', 'waiting', 'masked', 'revealed', 'committed', 'given', 'after', 'prompt', 'learned', 'tail', 'asked', 'visible',
];
const DEFAULTS = {
  describe: () => '', details: () => [], candidates: () => [], hidden: () => false, onHover: () => {}, actions: () => null,
  onChoose: () => false,
};
const EVENTS = ['pointerdown', 'pointerover', 'pointerleave', 'focusin', 'focusout', 'click', 'keydown'];

/**
 * `tokens` are drawn once, and again where `retell` changes them; `update` only changes attributes and custom properties.
 * Callbacks take the token's position: `describe` ends its spoken label, `details` gives the rows of its card,
 * `candidates` the tokens that could stand there, `hidden` whether the token must not be told yet.
 * `onHover` gets a position or null, `actions` returns what a pinned card offers to do. `onChoose(first, last, extend)` gets
 * the positions of a cell that was clicked, and says whether it had a use for them; otherwise the cell's card is pinned.
 * `extend`: the range from the one before, by Shift.
 */
export class TokenStrip {
  #tokens;
  #cells;
  #nodes;
  #cellOf = [];
  #options;
  #painted = null;
  #drag = null;
  #current = 0;

  constructor(tokens, { label, signal, ...options }) {
    this.#options = { ...DEFAULTS, ...options };
    this.root = el('div', { class: 'gs-strip', role: 'listbox', 'aria-label': label, 'aria-orientation': 'horizontal' });
    this.#draw(tokens, cellsOf(tokens));
    EVENTS.forEach((type) => this.root.addEventListener(type, this));
    onThemeChange(() => this.#painted && this.#paint(this.#painted.values, this.#painted.scale), signal);
  }

  #draw(tokens, cells) {
    this.#tokens = tokens;
    this.#cells = cells;
    const drawn = cells.map(drawCell);
    this.#nodes = drawn.map(({ cell }) => cell);
    this.#cellOf = cells.flatMap((cell, index) => Array(cell.count).fill(index));
    this.root.replaceChildren(...drawn.flatMap(({ cell, ends }) => (ends ? [cell, el('br')] : [cell])));
    this.#current = Math.min(this.#current, Math.max(this.#nodes.length - 1, 0));
    this.#nodes[this.#current]?.setAttribute('tabindex', '0');
    this.#label();
  }

  /** Other tokens in the same places: cells stay what they are as long as glyphs do not merge. */
  retell(tokens) {
    const cells = cellsOf(tokens);
    if (cells.length !== this.#cells.length) {
      const focused = this.root.contains(document.activeElement);
      this.#options.popover.release(this.root);
      this.#draw(tokens, cells);
      if (focused) this.#nodes[this.#current]?.focus({ preventScroll: true });
      return;
    }
    cells.forEach((cell, index) => {
      if (cell.text !== this.#cells[index].text || cell.special !== this.#cells[index].special) redraw(this.#nodes[index], cell);
    });
    [this.#tokens, this.#cells] = [tokens, cells];
  }

  /** `values` [tokens] colour the cells on `scale`, null leaving one plain; `states` [tokens] name looks of the stylesheet, `marks` [tokens] point some out. */
  update({ values, scale, states, marks }) {
    if (values) this.#paint(values, scale);
    if (states) this.#cells.forEach((cell, index) => { this.#nodes[index].dataset.state = leastAdvanced(states, cell); });
    if (marks) this.#cells.forEach(({ first }, index) => this.#nodes[index].classList.toggle('gs-differs', marks[first]));
    this.#label();
    this.#options.popover.refresh();
  }

  #paint(values, scale) {
    this.#painted = { values, scale };
    const dark = isDark();
    this.#cells.forEach((cell, index) => {
      const { style, classList } = this.#nodes[index];
      const value = mean(values, cell);
      if (value === null) {
        ['--fill', '--ink', '--bar'].forEach((name) => style.removeProperty(name));
        return;
      }
      const position = scale.position(value);
      const { fill, ink } = colourAt(scale.ramp, position, dark);
      style.setProperty('--fill', fill);
      style.setProperty('--ink', ink);
      const bar = scale.ramp === 'diverging' ? 2 * position - 1 : position;
      style.setProperty('--bar', Math.abs(bar));
      classList.toggle('gs-negative', bar < 0);
    });
  }

  /** Outlines the cell at a position, or none. */
  highlight(position) {
    this.root.querySelector('.gs-echo')?.classList.remove('gs-echo');
    if (position !== null) this.#nodes[this.#cellOf[position]]?.classList.add('gs-echo');
  }

  handleEvent(event) {
    const index = this.#nodes.indexOf(event.target.closest('.gs-cell'));
    if (event.type === 'keydown') this.#key(event);
    else if (event.type === 'pointerdown') this.#drag = event.shiftKey && index >= 0 ? { from: index, begun: false } : null;
    else if (event.type === 'click') this.#choose(index, event.shiftKey);
    else if (event.type === 'pointerleave' || event.type === 'focusout' || index < 0) this.#leave();
    else {
      if (event.buttons && event.shiftKey && this.#drag) this.#reach(index);
      this.#enter(index, event.type === 'focusin');
    }
  }

  #choose(index, extend) {
    if (index >= 0 && !this.#offer(index, extend)) this.#pin(index);
  }

  #offer(index, extend) {
    const { first, count } = this.#cells[index];
    return this.#options.onChoose(first, first + count - 1, extend);
  }

  /** With Shift, a drag chooses the cell that it started from, and then the range to each that it reaches. */
  #reach(index) {
    if (!this.#drag.begun && index === this.#drag.from) return;
    if (!this.#drag.begun) this.#offer(this.#drag.from, false);
    this.#drag.begun = true;
    this.#offer(index, true);
  }

  #enter(index, focused) {
    if (focused) this.#makeCurrent(index);
    this.#options.popover.show(this.#nodes[index], () => this.#card(index));
    this.#options.onHover(this.#cells[index].first);
  }

  #leave() {
    this.#options.popover.hide();
    this.#options.onHover(null);
  }

  #pin(index) {
    if (index < 0) return;
    this.#nodes[index].focus({ preventScroll: true });
    this.#options.popover.togglePin(
      this.#nodes[index], () => this.#card(index), this.#options.actions(this.#cells[index].first),
    );
  }

  #key(event) {
    const moves = {
      ArrowRight: () => this.#current + 1, ArrowLeft: () => this.#current - 1,
      ArrowDown: () => this.#nearestInLine(1), ArrowUp: () => this.#nearestInLine(-1),
      Home: () => 0, End: () => this.#nodes.length - 1,
    };
    if (event.key === 'Enter' || event.key === ' ') this.#choose(this.#current, event.shiftKey);
    else if (event.key === 'Escape') this.#options.popover.unpin();
    else if (moves[event.key]) this.#nodes[moves[event.key]()]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The cell of the next line in a direction that is closest to being straight below or above. */
  #nearestInLine(direction) {
    const from = this.#nodes[this.#current];
    const beyond = (node) => direction * (node.offsetTop - from.offsetTop) > from.offsetHeight / 2;
    const others = this.#nodes.filter(beyond);
    if (!others.length) return this.#current;
    const line = Math.min(...others.map((node) => direction * node.offsetTop));
    const distance = (node) => Math.abs(node.offsetLeft - from.offsetLeft);
    const inLine = others.filter((node) => direction * node.offsetTop < line + from.offsetHeight / 2);
    return this.#nodes.indexOf(inLine.reduce((a, b) => (distance(b) < distance(a) ? b : a)));
  }

  #makeCurrent(index) {
    this.#nodes[this.#current].setAttribute('tabindex', '-1');
    this.#current = index;
    this.#nodes[index].setAttribute('tabindex', '0');
  }

  #card(index) {
    const { details, candidates, hidden } = this.#options;
    const { first, count } = this.#cells[index];
    return Array.from({ length: count }, (_, offset) => first + offset).map((position) =>
      tokenCard(position, hidden(position) ? null : this.#tokens[position], details(position), candidates(position)));
  }

  #label() {
    const { describe, hidden } = this.#options;
    this.#cells.forEach(({ first, text }, index) => {
      const name = hidden(first) ? 'masked token' : `token ${spoken(text)}`;
      this.#nodes[index].setAttribute('aria-label', [name, describe(first)].filter(Boolean).join(', '));
    });
  }
}

function leastAdvanced(states, { first, count }) {
  const own = states.slice(first, first + count);
  return own.reduce((a, b) => (STATES.indexOf(b) < STATES.indexOf(a) ? b : a));
}

function mean(values, { first, count }) {
  let sum = 0;
  for (let i = first; i < first + count; i += 1) {
    if (values[i] === null) return null;
    sum += values[i];
  }
  return sum / count;
}

function drawCell({ text, special }) {
  const parts = special ? [] : pieces(text);
  // A break at the end belongs between cells: inside, it would leave an empty box on the next line.
  const ends = parts.at(-1)?.kind === 'break';
  const inner = ends ? parts.slice(0, -1) : parts;
  const looks = ['gs-cell', special && 'gs-special', inner.some(({ kind }) => kind === 'break') && 'gs-breaks'];
  const cell = el('span', {
    class: looks.filter(Boolean).join(' '), role: 'option', 'aria-selected': 'false', tabindex: -1,
  }, special ? el('span', { class: 'gs-pill' }, pillName(text)) : inner.map(drawPiece));
  return { cell, ends };
}

/** Gives a cell another text in its place, with the line break that may follow it. */
function redraw(node, content) {
  const { cell, ends } = drawCell(content);
  node.className = cell.className;
  node.replaceChildren(...cell.childNodes);
  const next = node.nextElementSibling;
  if (next?.tagName === 'BR') next.remove();
  if (ends) node.after(el('br'));
}

function drawPiece({ kind, text }) {
  return kind === 'break' ? el('br') : el('span', { class: `gs-${kind}` }, text);
}
