/** What is wrong and what to do about it. `data` is {title, problems: [{field, message, remedy}]}. */

import { component, el } from './dom.js';

export function mount(host, { data }) {
  return component(host, 'problems', data, (next) => (next?.problems?.length ? [draw(next)] : []));
}

function draw({ title, problems }) {
  return el('div', { class: 'gs-alert', role: 'alert' },
    el('h3', {}, title),
    el('ul', {}, problems.map(({ field, message, remedy }) => el('li', {},
      field ? el('code', {}, field) : null, ' ', message, ' ', remedy ? el('span', { class: 'gs-remedy' }, remedy) : null))));
}
