/** What evaluations came to: accuracy with its intervals as a picture, and every number in a table. */

import { downloadButton } from './download.js';
import { el } from './dom.js';
import { answeredConditions, bracket, conditionOf, scoreOf } from './evaluation_numbers.js';
import { intervalPlot, shareAxis } from './interval_plot.js';
import { decimal, integer, percent, seriesStyle } from './scale.js';

const MEASURES = {
  exact: ['Exact', 'The share of grids that are the reference solution, cell for cell.'],
  cells: ['Cells', 'The share of blanks filled as in the reference solution, which the field calls accuracy.'],
  string_match: ['String match', 'The older measure of MATH-500: equal to the reference once both are spelled alike.'],
};
const ENDINGS = [
  ['truncated', 'Truncated', 'Responses without an end: the length was too short for them.'],
  ['eos_overflow', 'Empty', 'Responses that ended at once, with nothing written.'],
  ['early_termination', 'No answer', 'Responses that ended after something was written, but without an answer that can be read.'],
];
const MEANINGS = [
  ['Solved', 'Items whose answer is right, of those asked; docs/tasks.md says what counts as right.'],
  ['Interval', 'In brackets: where the share of all such items lies with 95 % confidence (Wilson’s interval; for means, Student’s t).'],
];
const LENGTHS = [
  ['Tokens', 'Written before the end of the response, on average.'],
  ['Passes', 'Forward passes of the model for one response, on average: what an answer costs.'],
];

export class Results {
  #plot = el('div');
  // Lives on while its table is replaced, and with it where it was scrolled to.
  #table = el('div', { class: 'gs-table', tabindex: 0, role: 'region', 'aria-label': 'The numbers' });
  #meanings = el('dl');
  #evaluations;

  constructor(evaluations) {
    this.#evaluations = evaluations;
    this.root = el('section', { class: 'gs-section', hidden: true },
      el('header', {}, el('h3', {}, 'Solved'),
        downloadButton('Results (JSON)', 'evaluation.json', 'application/json', () => JSON.stringify(this.#evaluations, null, 2))),
      this.#plot, this.#table,
      el('details', { class: 'gs-meanings' }, el('summary', {}, 'What the numbers mean'), this.#meanings));
  }

  update(evaluations) {
    this.#evaluations = evaluations;
    const conditions = answeredConditions(evaluations);
    this.root.hidden = !conditions.length;
    if (!conditions.length) return;
    this.#plot.replaceChildren(accuracy(evaluations, conditions));
    const rows = conditions.flatMap(({ length, seed }) =>
      evaluations.map((each) => [each, conditionOf(each, length, seed)]).filter(([, found]) => found));
    const measures = [...new Set(rows.flatMap(([, found]) => Object.keys(found.measures)))];
    this.#table.replaceChildren(numbers(rows, measures, conditions.length > 1));
    this.#meanings.replaceChildren(...meanings(measures));
  }
}

function accuracy(evaluations, conditions) {
  const lengths = [...new Set(conditions.map(({ length }) => length))];
  const groups = lengths.map((length) => ({
    title: lengths.length > 1 ? `${length} tokens` : '',
    rows: evaluations.map((each) => row(each, length)).filter(({ points }) => points.length),
  }));
  const intervals = evaluations.flatMap((each) => (each.conditions ?? []).map(({ solved }) => solved));
  return intervalPlot('Share of the items solved, with 95 % intervals', groups, shareAxis(intervals));
}

/** A checkpoint at a length; its seeds, if there are several, lie below each other. */
function row(evaluation, length) {
  const found = (evaluation.conditions ?? []).filter(({ sampling }) => sampling.length === length).map(({ solved }) => solved);
  return {
    label: evaluation.name, index: evaluation.index,
    points: found.map(({ share, low, high }) => ({ at: 100 * share, low: 100 * low, high: 100 * high })),
    text: found.length > 1 ? overSeeds(found) : found.map(scoreOf).join(''),
  };
}

function overSeeds(found) {
  const counts = found.map(({ correct }) => correct);
  const range = [...new Set([Math.min(...counts), Math.max(...counts)])].map(integer).join(' to ');
  return `${found.length} seeds: ${range} of ${integer(found[0].n)} solved each`;
}

/** Length and seed have columns where there are `several`; one is in the description above. */
function numbers(rows, measures, several) {
  const columns = [
    'Checkpoint', ...(several ? ['Length', 'Seed'] : []), 'Solved', 'Share', ...measures.map((name) => MEASURES[name]?.[0] ?? name),
    ...ENDINGS.map(([, label]) => label), ...LENGTHS.map(([label]) => label),
  ];
  return el('table', {},
    el('thead', {}, el('tr', {}, columns.map((label) => el('th', { scope: 'col' }, label)))),
    el('tbody', {}, rows.map(([each, found]) => el('tr', {}, cells(each, found, measures, several)))));
}

function meanings(measures) {
  const all = [
    ...MEANINGS, ...measures.map((name) => MEASURES[name]).filter(Boolean), ...ENDINGS.map(([, ...text]) => text), ...LENGTHS,
  ];
  return all.map(([label, text]) => el('div', {}, el('dt', {}, label), el('dd', {}, text)));
}

function cells({ name, index }, { sampling, seed, solved, measures, tokens, passes, ...endings }, names, several) {
  return [
    el('th', { scope: 'row' }, el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), name),
    ...[...(several ? [integer(sampling.length), String(seed)] : []), `${integer(solved.correct)} of ${integer(solved.n)}`]
      .map((text) => el('td', {}, text)),
    interval(percent(solved.share, 1), solved, 100),
    ...names.map((measure) => (measures[measure]
      ? interval(percent(measures[measure].mean, 1), measures[measure], 100) : el('td', {}, '–'))),
    ...ENDINGS.map(([key]) => interval(`${integer(endings[key].correct)} of ${integer(endings[key].n)}`, endings[key], 100, ' %')),
    interval(decimal(tokens.mean, 1), tokens), interval(decimal(passes.mean, 1), passes),
  ];
}

function interval(text, bounds, factor = 1, unit = '') {
  const range = bracket(bounds, factor);
  return el('td', {}, text, range ? el('span', { class: 'gs-bounds' }, `${range}${unit}`) : null);
}
