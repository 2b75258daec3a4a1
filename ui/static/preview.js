/**
 * What training would make of a data set: which columns, how much, and examples as the model sees them.
 * `data` is a DatasetPreview.
 */

import { component, el } from './dom.js';
import { Popover } from './popover.js';
import { integer, percent } from './scale.js';
import { tailWarning } from './tail_warning.js';
import { TokenStrip } from './token_strip.js';

export function mount(host, { data }) {
  return component(host, 'preview', data, (preview, signal) => (preview ? draw(preview, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose a task or drop a file, and its examples appear here as the model will see them.');
}

function draw(preview, signal) {
  const popover = new Popover(signal);
  return [
    mapping(preview), counts(preview), warning(preview), key(),
    el('div', { class: 'gs-panes gs-long' }, preview.examples.map((row) => example(row, popover, signal))),
    popover.root,
  ].filter(Boolean);
}

/** The columns of the file, with the two that are used named. */
function mapping({ columns, prompt_column: prompt, response_column: response }) {
  const use = (column) => [column === prompt && 'prompt', column === response && 'response'].filter(Boolean).join(' and ');
  if (columns.every((column) => column === use(column))) return null;
  return el('ul', { class: 'gs-columns', 'aria-label': 'Columns' }, columns.map((column) =>
    el('li', { class: use(column) && 'gs-used' }, el('code', {}, column), el('span', {}, use(column) || 'not used'))));
}

function counts({ rows, tokens, longest, overlong, tail_share: tail }) {
  const facts = [
    ['Examples', integer(rows)], ['Tokens', integer(tokens)], ['Longest example', `${integer(longest)} tokens`],
    ['End-of-text tail', `${percent(tail)} of the response`],
    ...(overlong ? [['Too long', `${integer(overlong)} (${percent(overlong / rows)})`]] : []),
  ];
  return el('dl', { class: 'gs-facts' }, facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

function warning({ tail_share: tail }) {
  const text = tailWarning(tail, 'of what the model learns from is the end-of-text tail, not the answers');
  return text ? el('p', { class: 'gs-warning', role: 'alert' }, text) : null;
}

function key() {
  const looks = [
    ['prompt', 'prompt: read, not learned'], ['learned', 'response: learned'], ['tail', 'end-of-text tail: learned'],
  ];
  return el('ul', { class: 'gs-states' }, looks.map(([state, label]) =>
    el('li', {},
      el('span', { class: 'gs-cell', 'data-state': state, 'aria-hidden': true }, el('span', {}, 'a')), label)));
}

function example({ row, prompt, response, tail }, popover, signal) {
  const learned = response.length - tail;
  return el('section', { class: 'gs-pane' },
    el('header', {}, el('h3', {}, `Row ${row}`), el('span', { class: 'gs-note' },
      `${integer(prompt.length)} prompt, ${integer(learned)} response, ${integer(tail)} tail tokens`)),
    el('div', { class: 'gs-pair' },
      strip(`Row ${row}: prompt`, prompt, () => 'prompt', popover, signal),
      strip(`Row ${row}: response`, response, (i) => (i < learned ? 'learned' : 'tail'), popover, signal)));
}

function strip(label, tokens, stateOf, popover, signal) {
  const spoken = { prompt: 'not learned', learned: 'learned', tail: 'end-of-text tail, learned' };
  const made = new TokenStrip(tokens, { label, popover, signal, describe: (i) => spoken[stateOf(i)] });
  made.update({ states: tokens.map((_, i) => stateOf(i)) });
  return made.root;
}
