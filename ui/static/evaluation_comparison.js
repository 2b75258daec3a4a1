/** The first evaluation against each of the others on the same items: difference, counts, test, and a sentence that says it. */

import { el } from './dom.js';
import { bracket, probability, signed } from './evaluation_numbers.js';
import { differenceAxis, intervalPlot } from './interval_plot.js';
import { get } from './requests.js';
import { isOpen } from './run_state.js';
import { decimal, integer } from './scale.js';

const SURE = 0.05;
const MEANINGS = [
  ['Points', 'The first one’s share of solved items minus the other’s, in hundredths, with its 95 % interval.'],
  ['Only one', 'Items that one solves and the other does not: all that says who is better.'],
  ['McNemar p', 'Of the exact test: how often items would be split at least this unevenly if both were equally good.'],
];
const OVER_SEEDS = ['All seeds', 'Over seeds and items by a paired bootstrap; from a few seeds it says little about other seeds.'];

export class Comparison {
  #api;
  #view;
  #signal;
  #evaluations;
  #body = el('div', { class: 'gs-comparisons', 'aria-live': 'polite' });
  #first;
  #shown;

  constructor(api, evaluations, view, signal) {
    [this.#api, this.#view, this.#signal, this.#evaluations] = [api, view, signal, evaluations];
    if (!evaluations.some(({ id }) => id === view.first)) view.first = favourite(evaluations).id;
    this.#first = el('select', { onchange: (event) => this.#choose(event.target.value) },
      evaluations.map(({ id, name }) => el('option', { value: id, selected: id === view.first }, name)));
    const meanings = seeds(evaluations) > 1 ? [...MEANINGS, OVER_SEEDS] : MEANINGS;
    this.root = el('section', { class: 'gs-section', hidden: true },
      el('header', {}, el('h3', {}, 'Compared on the same items'), el('label', { class: 'gs-choice' }, 'First', this.#first)),
      this.#body,
      el('details', { class: 'gs-meanings' },
        el('summary', {}, 'What the numbers mean'),
        el('dl', {}, meanings.map(([label, text]) => el('div', {}, el('dt', {}, label), el('dd', {}, text))))));
  }

  /** Compares again when one has ended; what is still being answered changes too often. */
  update(evaluations) {
    this.#evaluations = evaluations;
    this.root.hidden = !evaluations.some(({ conditions }) => conditions?.length);
    const state = evaluations.map(({ state: each, missing }) => (isOpen(each) ? each : missing)).join();
    if (this.root.hidden || state === this.#shown) return;
    this.#shown = state;
    this.#compare();
  }

  #choose(id) {
    this.#view.first = id;
    this.#compare();
  }

  #compare() {
    const first = this.#evaluations.find(({ id }) => id === this.#view.first);
    const others = this.#evaluations.filter((each) => each !== first);
    this.#body.replaceChildren(...others.map((other) => this.#pair(first, other)));
  }

  #pair(first, other) {
    const block = el('article', { class: 'gs-pane' },
      el('header', {}, el('h3', {}, `${first.name} − ${other.name}`)), el('p', { class: 'gs-note' }, 'Comparing…'));
    this.#fill(block, first, other);
    return block;
  }

  async #fill(block, first, other) {
    if ([first, other].some(({ state, conditions }) => isOpen(state) || !conditions?.length)) {
      block.lastChild.textContent = 'Compared when both have ended and have answers.';
      return;
    }
    try {
      const query = new URLSearchParams({ first: first.id, second: other.id });
      const found = await get(`${this.#api}/evaluation-comparisons?${query}`, this.#signal);
      block.lastChild.replaceWith(...found.flatMap((each) => length(each, found.length > 1, first.name, other.name)));
    } catch (error) {
      if (!this.#signal.aborted) block.lastChild.textContent = error.message;
    }
  }
}

function seeds(evaluations) {
  return new Set(evaluations.flatMap(({ asked }) => asked.map(({ seed }) => seed))).size;
}

/** What was trained is usually asked about, and listed after what it is compared with. */
function favourite(evaluations) {
  return evaluations.at(-1);
}

function length(comparison, several, first, other) {
  return [
    several ? el('h4', {}, `${comparison.length} tokens`) : null,
    el('p', { class: 'gs-conclusion' }, conclusion(comparison, first, other)),
    plot(comparison), table(comparison, first, other),
  ].filter(Boolean);
}

/** One sentence; no difference is claimed where the interval contains 0. */
function conclusion({ seeds: compared, over_seeds: overSeeds }, first, other) {
  const { points, low, high } = overSeeds ?? compared[0].paired.difference;
  const [onlyFirst, onlyOther] = ['only_a', 'only_b'].map((name) => compared.reduce((sum, { paired }) => sum + paired[name], 0));
  const what = overSeeds ? `answers over ${compared.length} seeds` : 'items';
  const counts = `${integer(onlyFirst)} ${what} only ${first}, ${integer(onlyOther)} only ${other}.`;
  if (low <= 0 && high >= 0) {
    return `These items do not show a difference: ${first} minus ${other} is ${signed(points)} points, and the interval `
      + `(${decimal(low, 1)} to ${decimal(high, 1)}) contains 0; ${counts}`;
  }
  const [more, least, most] = points > 0 ? ['more', low, high] : ['fewer', -high, -low];
  const { p } = compared[0].paired;
  const doubt = !overSeeds && p >= SURE ? ` It is close: the exact test, with p = ${probability(p)}, is less sure.` : '';
  return `${first} solves ${decimal(Math.abs(points), 1)} points ${more} than ${other} (${decimal(least, 1)} to `
    + `${decimal(most, 1)}); ${counts}${doubt}`;
}

function plot({ seeds: compared, over_seeds: overSeeds }) {
  const one = ({ seed, paired: { difference } }) => row(compared.length > 1 ? `Seed ${seed}` : 'Difference', difference, false);
  const rows = [...(overSeeds ? [row('All seeds', overSeeds, true)] : []), ...compared.map(one)];
  return intervalPlot('Difference in points, with 95 % intervals', [{ title: '', rows }],
    differenceAxis([...compared.map(({ paired }) => paired.difference), ...(overSeeds ? [overSeeds] : [])]));
}

function row(label, { points, low, high }, strong) {
  return {
    label, strong, index: null, points: [{ at: points, low, high }], text: `${signed(points)} points ${bracket({ low, high })}`,
  };
}

function table({ seeds: compared }, first, other) {
  const several = compared.length > 1;
  const columns = [...(several ? ['Seed'] : []), 'Both', `Only ${first}`, `Only ${other}`, 'Neither', 'McNemar p'];
  return el('div', { class: 'gs-table', tabindex: 0, role: 'region', 'aria-label': `Counts of ${first} and ${other}` },
    el('table', {},
      el('thead', {}, el('tr', {}, columns.map((label) => el('th', { scope: 'col' }, label)))),
      el('tbody', {}, compared.map(({ seed, paired }) => el('tr', {},
        several ? el('th', { scope: 'row' }, String(seed)) : null,
        [paired.both, paired.only_a, paired.only_b, paired.neither].map((count) => el('td', {}, integer(count))),
        el('td', {}, probability(paired.p)))))));
}
