/**
 * What training would make of a data set: which columns, how much, and examples as the model sees them.
 * `data` is a DatasetPreview.
 */

import { component, el, loading } from './dom.js';
import { Popover } from './popover.js';
import { integer, percent } from './scale.js';
import { tailWarning } from './tail_warning.js';
import { TokenStrip } from './token_strip.js';

const NAMES_LISTED = 20;

export function mount(host, { data }) {
  return component(host, 'preview', data, (preview, signal) =>
    (preview === null ? [loading('the examples')] : preview.examples ? draw(preview, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose a task or a data set, or drop a file, and its examples appear here as the model will see them.');
}

function draw(preview, signal) {
  const popover = new Popover(signal);
  return [
    mapping(preview), rule(preview), counts(preview), duplicates(preview), warning(preview),
    key(preview.examples.some(({ cut }) => cut)),
    el('div', { class: 'gs-panes gs-long' }, preview.examples.map((row) => example(row, popover, signal))),
    popover.root,
  ].filter(Boolean);
}

/** What the columns were recognised as, what those that are read are used for, and those that are not read. */
function mapping(preview) {
  const { recognised, used_columns: used, unused_columns: unused } = preview;
  if (!unused.length && !recognised && used.every((column) => column === useOf(preview, column))) return null;
  return el('div', { class: 'gs-mapping' },
    recognised ? el('p', { class: 'gs-note' }, 'Recognised as ', el('strong', {}, recognised)) : null,
    el('ul', { class: 'gs-columns', 'aria-label': 'Columns that are used' }, used.map((column) =>
      el('li', { class: 'gs-used' }, el('code', {}, column), el('span', {}, useOf(preview, column))))),
    unused.length ? el('p', { class: 'gs-note gs-unused' }, `Not used: ${listed(unused)}`) : null);
}

function listed(names) {
  const more = names.length - NAMES_LISTED;
  return names.slice(0, NAMES_LISTED).join(', ') + (more > 0 ? ` and ${integer(more)} more` : '');
}

/** What a column is used for, in words. */
function useOf(preview, column) {
  const conversation = preview.prompt_column === preview.response_column;
  const uses = [
    ['system_column', 'system prompt'], ['history_column', 'turns before the prompt'],
    ['prompt_column', conversation ? 'conversation' : 'prompt'], ['context_column', 'continues the prompt'],
    ['reasoning_column', 'reasoning'], ...(conversation ? [] : [['response_column', 'response']]),
  ];
  return uses.filter(([field]) => preview[field] === column).map(([, use]) => use).join(' and ');
}

function counts({ rows, tokens, longest, overlong, truncated, dropped, tail_share: tail, tokens_of_a_row: size }) {
  const fates = [truncated && `${integer(truncated)} cut`, dropped && `${integer(dropped)} left out`].filter(Boolean);
  const fate = fates.length ? `: ${fates.join(', ')}` : '';
  const facts = [
    ['Examples', integer(rows)], ['Tokens', integer(tokens)], ['Longest example', `${integer(longest)} tokens`],
    ['End-of-text tail', `${percent(tail)} of the response`],
    ...(size ? [['Half of them up to', `${integer(size.median)} tokens, 99 % up to ${integer(size.p99)}`]] : []),
    ...(overlong ? [['Too long', `${integer(overlong)} (${percent(overlong / rows)})${fate}`]] : []),
  ];
  return el('dl', { class: 'gs-facts' }, facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

function warning({ tail_share: tail }) {
  const text = tailWarning(tail, 'of what the model learns from is the end-of-text tail, not the answers');
  return text ? el('p', { class: 'gs-warning', role: 'alert' }, text) : null;
}

/** Rows that say the same, by their numbers. */
function duplicates({ duplicates: found }) {
  if (!found?.repeated_rows && !found?.conflicting_prompts) return null;
  const groups = (rows) => rows.slice(0, 5).map((group) => group.map(integer).join(' = ')).join('; ');
  return el('ul', { class: 'gs-notes', 'aria-label': 'Rows that say the same' },
    found.repeated_rows ? el('li', {}, `Rows that repeat an earlier one: ${integer(found.repeated_rows)} (${groups(found.repeated)})`) : null,
    found.conflicting_prompts ? el('li', {},
      `Prompts with different responses: ${integer(found.conflicting_prompts)} (rows ${groups(found.conflicting)})`) : null);
}

/** What is learned of a conversation is not seen from its columns. */
function rule({ prompt_column: prompt, response_column: response }) {
  if (prompt !== response) return null;
  return el('p', { class: 'gs-note' },
    'Of each conversation the last message of the assistant is learned; messages before it are read, those after it left out.');
}

function key(cut) {
  const looks = [
    ['prompt', 'prompt: read, not learned'], ['learned', 'response: learned'], ['tail', 'end-of-text tail: learned'],
    ...(cut ? [['cut', 'over the limit']] : []),
  ];
  return el('ul', { class: 'gs-states' }, looks.map(([state, label]) =>
    el('li', {},
      el('span', { class: 'gs-cell', 'data-state': state, 'aria-hidden': true }, el('span', {}, 'a')), label)));
}

function example({ row, prompt, response, tail, cut = 0 }, popover, signal) {
  const learned = response.length - tail;
  const kept = prompt.length + response.length - cut;
  const state = (i) => (prompt.length + i >= kept ? 'cut' : i < learned ? 'learned' : 'tail');
  return el('section', { class: 'gs-pane' },
    el('header', {}, el('h3', {}, `Row ${row}`), el('span', { class: 'gs-note' },
      `${integer(prompt.length)} prompt, ${integer(learned)} response, ${integer(tail)} tail tokens`
        + (cut ? `, ${integer(cut)} of them over the limit` : ''))),
    el('div', { class: 'gs-pair' },
      strip(`Row ${row}: prompt`, prompt, (i) => (i >= kept ? 'cut' : 'prompt'), popover, signal),
      strip(`Row ${row}: response`, response, state, popover, signal)));
}

function strip(label, tokens, stateOf, popover, signal) {
  const spoken = { prompt: 'not learned', learned: 'learned', tail: 'end-of-text tail, learned', cut: 'over the limit' };
  const made = new TokenStrip(tokens, { label, popover, signal, describe: (i) => spoken[stateOf(i)] });
  made.update({ states: tokens.map((_, i) => stateOf(i)) });
  return made.root;
}
