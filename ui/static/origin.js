/**
 * What a form was filled from. `data` is {name, href, left}: what that is called and where it is looked at, and as problems what of
 * it was not taken over.
 */

import { component, el } from './dom.js';
import { inWords } from './requests.js';

export function mount(host, { data }) {
  return component(host, 'origin', data, (next) => (next ? [draw(next)] : []));
}

function draw({ name, href, left }) {
  return el('section', { class: 'gs-origin', role: 'status' },
    el('p', {}, 'The form is filled with what was asked for in ', el('a', { href }, name), '. What you change here changes nothing there.'),
    left.length ? el('div', { class: 'gs-warning' }, el('b', {}, 'Not taken over:'),
      el('ul', {}, left.map((problem) => el('li', {},
        problem.field ? [el('code', {}, problem.field), ' '] : null, inWords(problem))))) : null);
}
