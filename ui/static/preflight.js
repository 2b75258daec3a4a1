/**
 * What a launch would take, and what stands in its way.
 *
 * `data` is what the form asks, {key, experiment, places}, or the answer to it, {key, report} or {key, problems}; `key`
 * names an experiment, and an experiment that is null waits for a file. `places` says where fields are on the page: see `field_jump.js`. An experiment is sent on, as the
 * action `check`, once the form has been left alone for a moment, and only the answer to the newest one is shown.
 */

import { component, el } from './dom.js';
import { fieldName } from './field_jump.js';
import { preflightFacts } from './preflight_facts.js';
import { inWords } from './requests.js';

const LEFT_ALONE = 400;

export function mount(host, { data, onAction }) {
  const shown = { answer: null, asked: null, places: {} };
  let timer;
  const view = component(host, 'preflight', null, () => draw(shown));
  const receive = (next) => {
    if (next?.experiment !== undefined) {
      if (next.key === shown.asked) return;
      Object.assign(shown, { asked: next.key, places: next.places });
      clearTimeout(timer);
      if (next.experiment === null) shown.answer = null;
      else timer = setTimeout(() => onAction('check', { key: next.key, experiment: next.experiment }), LEFT_ALONE);
    } else if (next && next.key === shown.asked) {
      shown.answer = next;
    } else {
      return;
    }
    view.update(null);
  };
  receive(data);
  return { update: receive, destroy: () => { clearTimeout(timer); view.destroy(); } };
}

function draw({ answer, asked, places }) {
  const isOld = asked !== '' && answer?.key !== asked;
  return [el('section', { class: 'gs-pane gs-preflight', 'aria-label': 'Before you launch', 'aria-busy': String(isOld) },
    el('header', {}, el('h3', {}, 'Before you launch'), el('span', { class: 'gs-note', role: 'status' }, status(answer, isOld))),
    answer ? el('div', { class: 'gs-preflight-answer' }, body(answer, places)) : null)];
}

function status(answer, isOld) {
  if (isOld) return answer ? 'looking again…' : 'looking…';
  if (!answer) return 'no file is there yet';
  if (answer.problems) return 'not known';
  const { problems, warnings } = answer.report;
  if (problems.length) return `${problems.length} to correct`;
  return warnings.length ? `can be launched, ${warnings.length} to consider` : 'can be launched';
}

function body({ report, problems }, places) {
  if (problems) return [el('p', { class: 'gs-note' }, problems.map(inWords).join(' '))];
  return [
    remarks('Problems', 'gs-failure', report.problems, places), remarks('Warnings', 'gs-warning', report.warnings, places),
    ...preflightFacts(report.estimates),
  ];
}

function remarks(label, look, found, places) {
  if (!found.length) return null;
  return el('ul', { class: 'gs-remarks', 'aria-label': label }, found.map(({ field, message, remedy }) =>
    el('li', { class: look }, field ? fieldName(field, places) : null,
      el('span', {}, message), remedy ? el('b', {}, remedy) : null)));
}
