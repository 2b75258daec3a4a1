/** Small line charts that lay several series over each other, as plain SVG with their numbers below. */

import { el, svg } from './dom.js';
import { axisEnd, seriesStyle } from './scale.js';

const [WIDTH, HEIGHT] = [100, 40];
const DECADES = 3;
// As the stylesheet dashes the lines, in their order.
const DASHES = ['solid', 'dash', 'dot'];

/**
 * `series` are {label, values} of equal length, null for a gap, `reference` one more or nothing; `ends` name the ends of the horizontal axis and
 * `axis` the vertical one. `steps`: values are of intervals, and drawn as a staircase. `logarithmic`: from a thousandth to 1.
 */
export function lineChart({ title, sentence, series, reference, ends, format, axis, steps, logarithmic, numbers }) {
  const all = [...series, ...(reference ? [reference] : [])];
  const { position, least, most } = logarithmic ? decades() : linear(all.flatMap(({ values }) => values));
  const path = (values) => (steps ? staircase : polyline)(values.map((value) => (value === null ? null : HEIGHT * (1 - position(value)))));
  return el('figure', { class: 'gs-step-chart' },
    el('h3', {}, title), el('p', { class: 'gs-help' }, sentence), seriesKey(series, reference), el('p', { class: 'gs-note' }, axis),
    el('div', { class: 'gs-plot gs-tall' },
      el('div', { class: 'gs-y-axis' }, el('span', {}, format(most)), el('span', {}, format(least))),
      svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${axis}; numbers below` },
        svg('path', { class: 'gs-axes', d: `M0 0V${HEIGHT}H${WIDTH}` }),
        series.map(({ values }, index) => svg('path', { class: 'gs-line gs-themed', style: seriesStyle(index), d: path(values) })),
        reference ? svg('path', { class: 'gs-reference', d: path(reference.values) }) : null),
      el('div', { class: 'gs-x-axis' }, el('span', {}, ends[0]), el('span', {}, ends[1]))),
    el('details', {}, el('summary', {}, 'Numbers'), numbers));
}

function linear(values) {
  const most = axisEnd(Math.max(...values));
  return { position: (value) => value / most, least: 0, most };
}

function decades() {
  return { position: (value) => Math.max(0, 1 + Math.log10(value) / DECADES), least: 10 ** -DECADES, most: 1 };
}

function seriesKey(series, reference) {
  return el('ul', { class: 'gs-states' },
    series.map(({ label }, index) => el('li', {},
      el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index), 'data-dash': DASHES[Math.min(index, 2)] }), label)),
    reference ? el('li', {}, el('span', { class: 'gs-swatch gs-even' }), reference.label) : null);
}

function polyline(heights) {
  const x = (i) => (WIDTH * (i + 0.5)) / heights.length;
  return heights.map((y, i) => (y === null ? '' : `${i && heights[i - 1] !== null ? 'L' : 'M'}${x(i)} ${y}`)).join('');
}

function staircase(heights) {
  const width = WIDTH / heights.length;
  return heights.map((y, i) => `${i ? 'L' : 'M'}${width * i} ${y}H${width * (i + 1)}`).join('');
}
