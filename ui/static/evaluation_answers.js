/** Every item with the verdict on each evaluation's answer, filtered and page by page; a row opens to the texts. */

import { FILTERS, loadAnswers } from './answer_store.js';
import { answerFiles } from './answer_files.js';
import { AnswerTable } from './answer_table.js';
import { el } from './dom.js';
import { answeredConditions } from './evaluation_numbers.js';
import { isOpen } from './run_state.js';
import { integer } from './scale.js';

const LABELS = { all: 'All', disagree: 'They disagree', nobody: 'Nobody solved', everybody: 'All solved' };
const ALONE = { all: 'All', nobody: 'Not solved', everybody: 'Solved' };

export class Answers {
  #api;
  #view;
  #signal;
  #evaluations = [];
  #rows = [];
  #shown;
  #asking;
  #condition = el('select', { onchange: (event) => this.#choose(event.target.value) });
  #choice = el('label', { class: 'gs-choice' }, 'Length and seed', this.#condition);
  #place = { page: 0, open: new Set() };
  #filter = el('select', { 'aria-label': 'Which items', onchange: (event) => this.#narrow(event.target.value) });
  #note = el('p', { class: 'gs-note', role: 'status' });
  #load = el('button', { type: 'button', hidden: true, onclick: () => this.#read() }, 'Show the answers so far');
  #table = el('div');
  #tools;

  constructor(api, evaluations, view, signal) {
    [this.#api, this.#view, this.#signal] = [api, view, signal];
    this.#tools = el('div', { class: 'gs-toolbar', hidden: true }, this.#filter, this.#choice,
      el('div', { class: 'gs-buttons' }, answerFiles(() => ({ rows: this.#rows, evaluations: this.#same(), ...this.#chosen() }))));
    this.root = el('section', { class: 'gs-section', hidden: true },
      el('header', {}, el('h3', {}, 'Answers'), this.#load), this.#tools, this.#note, this.#table);
  }

  /** Reads the answers when all have ended; those there are so far only when somebody asks. */
  update(evaluations) {
    this.#evaluations = evaluations;
    const conditions = answeredConditions(evaluations);
    this.root.hidden = !conditions.length;
    if (!conditions.length) return;
    const active = evaluations.some(({ state }) => isOpen(state));
    this.#load.hidden = !active;
    const keys = conditions.map(keyOf);
    if (!keys.includes(this.#view.condition)) [this.#view.condition] = keys;
    this.#choice.hidden = keys.length < 2;
    if (this.#condition.length !== keys.length) {
      this.#condition.replaceChildren(...conditions.map((each) =>
        el('option', { value: keyOf(each), selected: keyOf(each) === this.#view.condition }, `${each.length} tokens, seed ${each.seed}`)));
    }
    const state = evaluations.map(({ id, missing }) => `${id} ${missing}`).join();
    if (active || state === this.#shown) return;
    this.#shown = state;
    this.#read();
  }

  #choose(condition) {
    this.#view.condition = condition;
    this.#place.page = 0;
    this.#read();
  }

  #narrow(filter) {
    this.#view.filter = filter;
    this.#place.page = 0;
    this.#show();
  }

  #chosen() {
    const [length, seed] = this.#view.condition.split(' ').map(Number);
    return { length, seed };
  }

  /** Those that were asked the items of the first; a table has one list. */
  #same() {
    const answered = this.#evaluations.filter(({ conditions }) => conditions?.length);
    return answered.filter((each) => each.items_fingerprint === answered[0].items_fingerprint);
  }

  async #read() {
    this.#asking?.abort();
    const asking = this.#asking = new AbortController();
    const signal = AbortSignal.any([asking.signal, this.#signal]);
    const evaluations = this.#same();
    const total = evaluations.reduce((sum, { items }) => sum + items, 0);
    try {
      const rows = await loadAnswers(this.#api, evaluations, this.#chosen(), (read) => {
        this.#note.textContent = `Reading the answers: ${integer(read)} of ${integer(total)}`;
      }, signal);
      if (signal.aborted) return;
      this.#rows = rows;
      this.#offer(evaluations.length > 1 ? LABELS : ALONE);
      this.#show();
    } catch (error) {
      if (!signal.aborted) this.#note.textContent = `The answers cannot be shown: ${error.message}`;
    }
  }

  #offer(labels) {
    if (!(this.#view.filter in labels)) this.#view.filter = 'all';
    this.#filter.replaceChildren(...Object.entries(labels).map(([value, label]) => {
      const count = this.#rows.filter(({ answers }) => FILTERS[value](answers)).length;
      return el('option', { value, selected: value === this.#view.filter }, `${label} (${integer(count)})`);
    }));
    this.#tools.hidden = false;
  }

  #show() {
    const rows = this.#rows.filter(({ answers }) => FILTERS[this.#view.filter](answers));
    const same = this.#same();
    const others = this.#evaluations.filter((each) => each.conditions?.length && !same.includes(each)).map(({ name }) => name);
    this.#note.textContent = others.length ? `${others.join(', ')}: other items, which stand in no row of this table.` : '';
    this.#table.replaceChildren(new AnswerTable(rows, same, this.#chosen(), this.#place).root);
  }
}

function keyOf({ length, seed }) {
  return `${length} ${seed}`;
}
