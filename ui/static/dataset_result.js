/** A finished DatasetInspection: tokens, classes, places in the response, and how the rates spread. */

import { el } from './dom.js';
import { shown } from './glyphs.js';
import { lineChart } from './line_chart.js';
import { sftFrequency } from './masking.js';
import { axisEnd, decimal, integer, percent, seriesStyle } from './scale.js';
import { dataTable } from './table.js';

const EVEN = 'SFT: all alike';

function ratesOf(label) {
  return `rates of ${label}`;
}

export function datasetResult(inspection) {
  const { checkpoints } = inspection;
  return el('div', { class: 'gs-dataset' },
    summary(inspection),
    section('Tokens', 'Mean entropy of each token where all of the response is masked: what a checkpoint is least sure of, GIFT masks '
      + `more often, what it is surest of less often. Only tokens that occur ${integer(inspection.minimum_count)} times or more.`,
    el('div', { class: 'gs-panes gs-long' }, checkpoints.map((checkpoint) => tokenPane(checkpoint, checkpoints)))),
    section('Kinds of token', 'What each kind has of all tokens that are masked, over all t: under SFT, and under GIFT at each checkpoint’s '
      + 'rates. Where a bar is longer than SFT’s, GIFT spends more of its masking.', classBars(checkpoints)),
    el('div', { class: 'gs-charts' }, placeChart(checkpoints), rateChart(inspection)));
}

function section(title, sentence, ...children) {
  return el('section', { class: 'gs-part' }, el('h3', {}, title), el('p', { class: 'gs-help' }, sentence), ...children);
}

function summary({ examples, available, seed, checkpoints }) {
  const about = available > examples ? `, drawn with seed ${seed}` : '';
  return el('p', { class: 'gs-note' },
    el('b', {}, integer(examples)), ` of ${integer(available)} examples${about}, `,
    el('b', {}, integer(checkpoints[0].tokens)), ' response tokens, their end-of-text tail included.');
}

/** Two lists of bars on one scale for all checkpoints. */
function tokenPane(checkpoint, all) {
  const most = axisEnd(Math.max(...all.flatMap(({ highest }) => highest.map((glyph) => glyph.mean_entropy))));
  return el('section', { class: 'gs-pane' },
    el('header', {}, el('h3', {}, checkpoint.label), el('p', { class: 'gs-note' },
      'mean entropy ', el('b', {}, `${decimal(checkpoint.mean_entropy, 3)} nats`), ', masked over all t: SFT ', el('b', {}, percent(sftFrequency(null), 1)),
      ', GIFT ', el('b', {}, percent(checkpoint.masking_frequency, 1)))),
    el('div', { class: 'gs-lists' },
      glyphList('Least sure of', checkpoint.highest, most), glyphList('Surest of', checkpoint.lowest, most)));
}

function glyphList(title, glyphs, most) {
  return el('figure', {},
    el('figcaption', {}, title),
    glyphs.length ? el('ol', { class: 'gs-bars', 'aria-label': title }, glyphs.map((glyph) => glyphBar(glyph, most)))
      : el('p', { class: 'gs-note' }, 'No token occurs that often.'));
}

function glyphBar({ text, token_class: kind, count, mean_entropy: entropy, deviation, masking_frequency: frequency }, most) {
  const title = `${kind}; standard deviation ${decimal(deviation, 3)} nats; GIFT masks it ${percent(frequency, 1)} of the time`;
  return el('li', { title },
    el('span', { class: 'gs-token-name' }, shown(text)),
    bar(entropy / most),
    el('span', { class: 'gs-value' }, decimal(entropy, 3)),
    el('span', { class: 'gs-note' }, `×${integer(count)}`));
}

function bar(share, attributes = {}) {
  return el('span', { class: 'gs-bar', 'aria-hidden': true }, el('i', { ...attributes, style: `${attributes.style ?? ''}; --share: ${share}` }));
}

/** For each kind of token, SFT's bar and one for each checkpoint. */
function classBars(checkpoints) {
  const kinds = checkpoints[0].classes.filter((_, kind) => checkpoints.some(({ classes }) => classes[kind].tokens > 0));
  const of = (checkpoint, name) => checkpoint.classes.find((group) => group.name === name);
  const shares = kinds.flatMap(({ name }) => checkpoints.flatMap((each) => [of(each, name).token_share, of(each, name).masked_share]));
  const most = axisEnd(Math.max(...shares));
  return el('figure', { class: 'gs-pane' },
    el('ul', { class: 'gs-kinds', 'aria-label': 'Share of what is masked, by kind of token' }, kinds.map(({ name, token_share: even }) =>
      el('li', {}, el('b', {}, name), el('ul', { class: 'gs-bars' },
        el('li', {}, el('span', {}, EVEN), bar(even / most), el('span', { class: 'gs-value' }, percent(even, 1)), el('span')),
        checkpoints.map((checkpoint, index) => {
          const group = of(checkpoint, name);
          return el('li', {}, el('span', {}, ratesOf(checkpoint.label)),
            bar(group.masked_share / most, { class: 'gs-themed', style: seriesStyle(index) }),
            el('span', { class: 'gs-value' }, percent(group.masked_share, 1)),
            el('span', { class: 'gs-note' }, `${decimal(group.mean_entropy)} nats`));
        }))))));
}

function placeChart(checkpoints) {
  const places = checkpoints[0].positions;
  const even = { label: EVEN, values: places.map((group) => group.token_share) };
  const shares = checkpoints.map(({ label, positions }) => ({ label: ratesOf(label), values: positions.map((group) => group.masked_share) }));
  // Twentieths of a short response hold one token more or less: their shares jump, the ratio to SFT's does not.
  const ratio = (share, place) => (even.values[place] ? share / even.values[place] : null);
  return lineChart({
    title: 'Place in the response',
    sentence: 'How much of its masking GIFT spends on each twentieth of the response, at each checkpoint’s rates and compared with SFT. '
      + 'Above the line at 1, it is more than SFT would spend; below it, less.',
    series: shares.map(({ label, values }) => ({ label, values: values.map(ratio) })),
    reference: { label: EVEN, values: places.map(() => 1) },
    ends: ['beginning', 'end'], format: (times) => decimal(times, 1), axis: 'Times as much as under SFT',
    numbers: table('Share of what is masked, by place', places.map(({ name }) => name), [even, ...shares], (x) => percent(x, 2)),
  });
}

function rateChart({ power, checkpoints }) {
  const { edges } = checkpoints[0].rates;
  // The upper end is often empty.
  const used = 1 + Math.max(...checkpoints.map(({ rates }) => rates.counts.findLastIndex((count) => count > 0)));
  const series = checkpoints.map(({ label, rates, tokens }) => ({ label, values: rates.counts.slice(0, used).map((count) => count / tokens) }));
  const names = edges.slice(0, used).map((edge, i) => `${decimal(edge)} to ${decimal(edges[i + 1])}`);
  return lineChart({
    title: `Masking rates β = H^${power}`,
    sentence: 'How many of the response tokens have which rate. Rates far apart mean that GIFT treats tokens very differently; one single '
      + 'rate would make it SFT.',
    series, ends: ['β = 0', `β = ${decimal(edges[used])}`], format: (share) => percent(share, share < 0.01 ? 1 : 0), steps: true, logarithmic: true,
    axis: 'Share of the tokens, logarithmic',
    numbers: table('Share of the tokens, by masking rate', names, series, (x) => percent(x, 2)),
  });
}

function table(caption, names, series, format) {
  const groups = [{ label: '', columns: [{ label: '' }] }, { label: caption, columns: series.map(({ label }) => ({ label, format })) }];
  return dataTable(caption, groups, names.map((name, i) => [name, ...series.map(({ values }) => values[i])]));
}
