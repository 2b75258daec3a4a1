/** What a token says about itself when it is pointed at: one floating card for all strips of a component. */

import { el } from './dom.js';
import { percent } from './scale.js';
import { shown } from './glyphs.js';

const GAP = 8;

/** Pinned cards stay until their cell is chosen again or Escape is pressed. */
export class Popover {
  #body = el('div');
  #foot = el('div', { class: 'gs-actions' });
  #card = el('div', { class: 'gs-popover', role: 'tooltip', 'aria-label': 'Token', popover: 'manual' }, this.#body, this.#foot);
  #cell = null;
  #content = null;
  #pinned = null;

  constructor(signal) {
    const place = () => this.#cell && this.#place();
    this.#card.addEventListener('keydown', (event) => this.#key(event));
    window.addEventListener('scroll', place, { capture: true, passive: true, signal });
    window.addEventListener('resize', place, { signal });
  }

  get root() {
    return this.#card;
  }

  /** `content` returns the card's children, and is called again by `refresh`. A pinned card is not replaced. */
  show(cell, content) {
    if (this.#pinned) return;
    this.#cell = cell;
    this.#content = content;
    this.refresh();
  }

  hide() {
    if (this.#pinned || !this.#cell) return;
    this.#cell = null;
    this.#card.hidePopover();
  }

  refresh() {
    if (!this.#cell) return;
    this.#body.replaceChildren(...this.#content());
    // The source makes Tab lead from the cell into the card.
    if (!this.#card.matches(':popover-open')) this.#card.showPopover({ source: this.#cell });
    this.#place();
  }

  /** `actions` is what can be done with the token; it stays as it is while the card is refreshed. */
  togglePin(cell, content, actions = null) {
    const again = this.#pinned === cell;
    this.unpin();
    if (again) return;
    this.show(cell, content);
    this.#pinned = cell;
    if (actions) {
      this.#foot.replaceChildren(actions);
      this.#card.setAttribute('role', 'dialog');
      this.#place();
    }
    this.#card.classList.add('gs-pinned');
    cell.setAttribute('aria-selected', 'true');
  }

  /** Lets go of a cell inside `strip`, and leaves the card of another strip as it is. */
  release(strip) {
    if (strip.contains(this.#cell)) this.unpin();
  }

  unpin() {
    this.#pinned?.setAttribute('aria-selected', 'false');
    this.#pinned = null;
    this.#foot.replaceChildren();
    this.#card.setAttribute('role', 'tooltip');
    this.#card.classList.remove('gs-pinned');
    this.hide();
  }

  #key(event) {
    if (event.key !== 'Escape') return;
    const cell = this.#pinned;
    this.unpin();
    cell?.focus();
  }

  #place() {
    const cell = this.#cell.getBoundingClientRect();
    const card = this.#card.getBoundingClientRect();
    const below = cell.bottom + GAP;
    const fits = below + card.height + GAP <= window.innerHeight;
    const top = fits ? below : Math.max(GAP, cell.top - GAP - card.height);
    const left = Math.max(GAP, Math.min(cell.left, window.innerWidth - GAP - card.width));
    this.#card.style.translate = `${left}px ${top}px`;
  }
}

/** One token's part of the card. `token` is null where it is still masked; `rows` is [[label, value], ...]. */
export function tokenCard(position, token, rows, candidates) {
  return el('section', {},
    el('header', {},
      el('b', { class: 'gs-token-name' }, token ? shown(token.text) : 'masked'),
      el('span', {}, `position ${position}`), token ? el('span', {}, `id ${token.id}`) : null),
    el('dl', {}, rows.flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, value)])),
    candidates.length ? candidateBars(candidates, token?.id) : null);
}

function candidateBars(candidates, actual) {
  return el('ol', { class: 'gs-candidates', 'aria-label': 'Most probable tokens' }, candidates.map(({ token, probability }) =>
    el('li', { class: token.id === actual ? 'gs-actual' : null, style: `--share: ${probability}` },
      el('span', { class: 'gs-token-name' }, shown(token.text)), el('span', {}, percent(probability, 1)))));
}
