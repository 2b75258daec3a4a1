/** A scale's key: the ramp with the wedge that stands for the underline, and its ticks. */

import { el } from './dom.js';
import { gradient } from './scale.js';

export function legend({ title, ramp, ticks }) {
  const colours = `--light: ${gradient(ramp, false)}; --dark: ${gradient(ramp, true)}`;
  return el('figure', { class: 'gs-legend' },
    el('figcaption', {}, title),
    el('div', {},
      el('div', { class: `gs-legend-bar gs-themed gs-${ramp}`, style: colours }),
      el('div', { class: 'gs-legend-ticks' }, ticks.map((label) => el('span', {}, label)))));
}
