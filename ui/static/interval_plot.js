/** Values with their intervals, one line each, on a common axis. The numbers stand beside the picture, not only in it. */

import { el } from './dom.js';
import { seriesStyle } from './scale.js';

const STEPS = [1, 2, 5, 10, 20, 25, 50];

/**
 * `groups` are [{title, rows: [{label, text, index, strong, points: [{at, low, high}]}]}]; `index` gives the colour, null none. Points
 * of one row lie below each other. `axis` is {low, high, ticks, zero, format}; a zero is drawn as a line of its own.
 */
export function intervalPlot(label, groups, axis) {
  return el('div', { class: 'gs-intervals', role: 'group', 'aria-label': label },
    groups.map(({ title, rows }) => [title ? el('h4', {}, title) : null, rows.map((row) => line(row, axis))]).flat(2),
    el('div', { class: 'gs-interval-row', 'aria-hidden': true }, el('span'),
      el('div', { class: 'gs-interval-axis' }, axis.ticks.map((tick) =>
        el('span', { style: `--at: ${place(tick, axis)}` }, axis.format(tick)))),
      el('span')));
}

function line({ label, text, index, strong, points }, axis) {
  const lines = axis.ticks.map((tick) =>
    el('i', { class: tick === axis.zero ? 'gs-grid gs-zero' : 'gs-grid', style: `--at: ${place(tick, axis)}` }));
  return el('div', { class: strong ? 'gs-interval-row gs-strong' : 'gs-interval-row' },
    el('span', { class: 'gs-interval-label' },
      index === null ? null : el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), label),
    el('div', { class: 'gs-interval-track', 'aria-hidden': true }, lines, points.map((point) => whisker(point, index, axis))),
    el('span', { class: 'gs-interval-text' }, text));
}

function whisker({ at, low, high }, index, axis) {
  const bounds = `--low: ${place(low, axis)}; --high: ${place(high, axis)}; --at: ${place(at, axis)}`;
  return el('div', {
    class: index === null ? 'gs-whisker' : 'gs-whisker gs-themed', style: index === null ? bounds : `${bounds}; ${seriesStyle(index)}`,
  }, el('i'), el('b'));
}

function place(value, { low, high }) {
  return (value - low) / (high - low);
}

/** An axis of shares in percent around these intervals, on whole tens. */
export function shareAxis(intervals) {
  const low = 10 * Math.floor(10 * Math.min(...intervals.map((each) => each.low)));
  const high = 10 * Math.ceil(10 * Math.max(...intervals.map((each) => each.high)));
  const step = high - low > 50 ? 20 : 10;
  const first = step * Math.floor(low / step);
  const last = Math.max(first + step, step * Math.ceil(high / step));
  return { low: first, high: last, ticks: range(first, last, step), zero: null, format: (x) => `${x} %` };
}

/** An axis of differences in points that has zero in the middle. */
export function differenceAxis(intervals) {
  const most = Math.max(...intervals.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  const step = STEPS.find((each) => 2 * each >= most) ?? STEPS.at(-1);
  const format = (x) => (x > 0 ? `+${x}` : String(x).replace('-', '−'));
  return { low: -2 * step, high: 2 * step, ticks: range(-2 * step, 2 * step, step), zero: 0, format };
}

function range(first, last, step) {
  return Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => first + i * step);
}
