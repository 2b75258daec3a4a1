/** A small line chart over steps with a cursor, as plain SVG. */

import { el, svg } from './dom.js';
import { seriesStyle } from './scale.js';

const [WIDTH, HEIGHT] = [100, 40];

/** `series` are arrays over cursors, null for a gap; `format` writes the value axis' ends. Returns {root, seek}. */
export function stepChart(title, series, most, steps, format) {
  const x = (cursor) => (WIDTH * cursor) / Math.max(steps, 1);
  const y = (value) => HEIGHT - (HEIGHT * value) / most;
  const path = (values) => values
    .map((value, cursor) => (value === null ? '' : `${starts(values, cursor) ? 'M' : 'L'}${x(cursor)} ${y(value)}`))
    .join('');
  const cursorLine = svg('line', { class: 'gs-cursor', y1: 0, y2: HEIGHT });
  const plot = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': true },
    svg('path', { class: 'gs-axes', d: `M0 0V${HEIGHT}H${WIDTH}` }),
    series.map((values, index) => svg('path', { class: 'gs-line gs-themed', style: seriesStyle(index), d: path(values) })),
    cursorLine);
  return {
    root: el('figure', { class: 'gs-step-chart' },
      el('figcaption', {}, title),
      el('div', { class: 'gs-plot' },
        el('div', { class: 'gs-y-axis' }, el('span', {}, format(most)), el('span', {}, format(0))),
        plot,
        el('div', { class: 'gs-x-axis' }, el('span', {}, 'step 0'), el('span', {}, String(steps))))),
    seek: (cursor) => ['x1', 'x2'].forEach((name) => cursorLine.setAttribute(name, x(cursor))),
  };
}

function starts(values, cursor) {
  return cursor === 0 || values[cursor - 1] === null;
}
