/**
 * What is wrong and what to do about it. `data` is {title, problems: [{field, message, remedy}], edits, places}; `edits` are the
 * names of the edits that a field may refer to by number, and `places` say where fields are on the page: see `field_jump.js`.
 */

import { component, el } from './dom.js';
import { downloadButton } from './download.js';
import { fieldName } from './field_jump.js';
import { refused } from './press.js';
import { csv } from './table.js';

// More than are taken in at a glance, such as rows of a file, can be taken along.
const MANY = 5;
const COLUMNS = ['where', 'problem', 'remedy'];
const EDIT = /^edits\.(\d+)/;

export function mount(host, { data }) {
  const frame = component(host, 'problems', data, (next, signal) => {
    // What a request of the page was refused, which nothing else says; see gradio_requests.js.
    document.addEventListener('gs-failure', (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      frame.update({ title: 'That was not done', problems: [{ field: '', message: event.detail, remedy: '' }] });
    }, { signal });
    return next?.problems?.length ? draw(next) : [];
  });
  return frame;
}

function draw(data) {
  refused();
  return [problemPanel(data)];
}

/** Problems under a title, brought into view. */
export function problemPanel({ title, problems, edits, places }) {
  const panel = problemBox(title, problems, edits, places);
  // It may appear below the fold of the form that caused it.
  requestAnimationFrame(() => panel.scrollIntoView({ block: 'nearest' }));
  return panel;
}

/** Problems under a title. */
export function problemBox(title, problems, edits = [], places = {}) {
  return el('section', { class: 'gs-alert', role: 'alert', 'aria-live': 'assertive' },
    el('h3', {}, title),
    el('ul', {}, problems.map(({ field, message, remedy }) => el('li', {},
      field ? fieldName(field.replace(EDIT, (_, number) => edits[number] ?? `edit ${Number(number) + 1}`), places) : null,
      el('span', {}, message), remedy ? el('b', {}, remedy) : null))),
    problems.length > MANY ? downloadButton('Save this list as CSV', 'problems.csv', 'text/csv', () => asCsv(problems)) : null);
}

function asCsv(problems) {
  const groups = [{ label: '', columns: COLUMNS.map((label) => ({ label })) }];
  return csv(groups, problems.map(({ field, message, remedy }) => [field, message, remedy]));
}
