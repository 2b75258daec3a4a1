/** A small line chart over rows of steps with a cursor, as plain SVG. */

import { el, svg } from './dom.js';
import { seriesStyle } from './scale.js';

const [WIDTH, HEIGHT] = [100, 40];

/** `format` writes the value axis' ends. Returns {root, update, seek}. */
export function stepChart(title, format) {
  const cursorLine = svg('line', { class: 'gs-cursor', y1: 0, y2: HEIGHT });
  const lines = svg('g');
  const plot = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': true },
    svg('path', { class: 'gs-axes', d: `M0 0V${HEIGHT}H${WIDTH}` }), lines, cursorLine);
  const [top, left, right] = [el('span'), el('span'), el('span')];
  let last = 1;
  const x = (row) => (WIDTH * row) / Math.max(last, 1);
  return {
    root: el('figure', { class: 'gs-step-chart' },
      el('figcaption', {}, title),
      el('div', { class: 'gs-plot' },
        el('div', { class: 'gs-y-axis' }, top, el('span', {}, format(0))), plot, el('div', { class: 'gs-x-axis' }, left, right))),
    /** `series` are arrays over rows, null for a gap; `most` is where the value axis ends; `ends` name the first and last row. */
    update: (series, most, ends) => {
      last = Math.max(...series.map((values) => values.length)) - 1;
      const y = (value) => HEIGHT - (HEIGHT * value) / most;
      lines.replaceChildren(...series.map((values, index) =>
        svg('path', { class: 'gs-line gs-themed', style: seriesStyle(index), d: path(values, x, y) })));
      top.textContent = format(most);
      [left.textContent, right.textContent] = ends;
    },
    seek: (row) => ['x1', 'x2'].forEach((name) => cursorLine.setAttribute(name, x(row))),
  };
}

function path(values, x, y) {
  const starts = (row) => row === 0 || values[row - 1] === null;
  return values
    .map((value, row) => (value === null ? '' : `${starts(row) ? 'M' : 'L'}${x(row)} ${y(value)}`))
    .join('');
}
