/** What is wrong and what to do about it. `data` is {title, problems: [{field, message, remedy}]}. */

import { component, el } from './dom.js';

export function mount(host, { data }) {
  return component(host, 'problems', data, (next) => (next?.problems?.length ? [problemPanel(next)] : []));
}

export function problemPanel({ title, problems }) {
  const panel = el('section', { class: 'gs-alert', role: 'alert', 'aria-live': 'assertive' },
    el('h3', {}, title),
    el('ul', {}, problems.map(({ field, message, remedy }) => el('li', {},
      field ? el('code', {}, field) : null, el('span', {}, message), remedy ? el('b', {}, remedy) : null))));
  // It may appear below the fold of the form that caused it.
  requestAnimationFrame(() => panel.scrollIntoView({ block: 'nearest' }));
  return panel;
}
