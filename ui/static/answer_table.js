/** Items and the verdicts on their answers, a page at a time. */

import { el, uniqueId } from './dom.js';
import { conditionOf } from './evaluation_numbers.js';
import { integer, seriesStyle } from './scale.js';

const PAGE = 20;

export class AnswerTable {
  #rows;
  #evaluations;
  #condition;
  #place;
  #body = el('tbody');
  #where = el('span', { class: 'gs-note', role: 'status' });
  #before = el('button', { type: 'button', onclick: () => this.#turn(-1) }, 'Previous');
  #after = el('button', { type: 'button', onclick: () => this.#turn(1) }, 'Next');

  /**
   * `rows` as `loadAnswers` gives them; `condition` is the {length, seed} that they were asked at. `place` is {page, open}: the page
   * to begin with and the items whose texts are open, both kept up to date for the next table.
   */
  constructor(rows, evaluations, condition, place) {
    [this.#rows, this.#evaluations, this.#condition, this.#place] = [rows, evaluations, condition, place];
    place.page = Math.min(place.page, Math.max(0, Math.ceil(rows.length / PAGE) - 1));
    const names = evaluations.map(({ name, index }) => el('th', { scope: 'col' },
      el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), name));
    this.root = el('div', { class: 'gs-answers' },
      rows.length ? el('div', { class: 'gs-table', tabindex: 0, role: 'region', 'aria-label': 'Answers' },
        el('table', {},
          el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Item'), el('th', { scope: 'col' }, 'Expected'), names)), this.#body))
        : el('p', { class: 'gs-empty' }, 'No item is like that.'),
      el('nav', { class: 'gs-pages', 'aria-label': 'Pages of answers', hidden: rows.length <= PAGE }, this.#before, this.#where, this.#after));
    this.#turn(0);
  }

  #turn(by) {
    this.#place.page += by;
    const start = this.#place.page * PAGE;
    const shown = this.#rows.slice(start, start + PAGE);
    this.#body.replaceChildren(...shown.flatMap((row) => this.#item(row)));
    this.#where.textContent = `${integer(start + 1)} to ${integer(start + shown.length)} of ${integer(this.#rows.length)}`;
    this.#before.disabled = !this.#place.page;
    this.#after.disabled = start + PAGE >= this.#rows.length;
  }

  #item(row) {
    const id = uniqueId();
    const below = el('tr', { id, hidden: true }, el('td', { colspan: 2 + this.#evaluations.length, class: 'gs-texts' }));
    const { open } = this.#place;
    const show = (visible) => {
      below.hidden = !visible;
      button.setAttribute('aria-expanded', String(visible));
      if (visible) below.firstChild.replaceChildren(texts(row, this.#evaluations, this.#condition));
    };
    const button = el('button', {
      type: 'button', class: 'gs-inline', 'aria-expanded': 'false', 'aria-controls': id, title: row.item,
      onclick: () => {
        if (below.hidden) open.add(row.item);
        else open.delete(row.item);
        show(below.hidden);
      },
    }, String(row.number));
    if (open.has(row.item)) show(true);
    const verdicts = row.answers.map((answer) => el('td', {}, verdict(answer, row.expected)));
    return [el('tr', {}, el('th', { scope: 'row' }, button), el('td', { class: 'gs-answer' }, row.expected), verdicts), below];
  }
}

/** Whether it is solved, by shape and word; if not, what was answered. */
function verdict(answer, expected) {
  if (!answer) return el('span', { class: 'gs-note' }, 'not asked yet');
  if (answer.solved) return el('span', { class: 'gs-solved' }, '✓ solved');
  return el('span', { class: 'gs-unsolved' }, '✕ ', el('span', { class: 'gs-answer' }, answered(answer.text, expected)));
}

/** The verdict without the expected answer, which has a column of its own. */
function answered(text, expected) {
  const ending = `; the answer is ${expected}`;
  return text.endsWith(ending) ? text.slice(0, -ending.length) : text;
}

function texts({ item, prompt, expected, answers }, evaluations, condition) {
  const shown = evaluations.map((each, place) => [each, answers[place]]).filter(([, answer]) => answer);
  return el('div', { class: 'gs-reading' },
    el('p', { class: 'gs-note' }, item, watch(shown.map(([each]) => each), prompt, condition)),
    block('Prompt', prompt), block('Expected', expected),
    el('div', { class: 'gs-panes' }, shown.map(([{ name }, answer]) => el('section', { class: 'gs-pane' },
      el('header', {}, el('h3', {}, name), verdict(answer, expected), el('span', { class: 'gs-note' }, ending(answer))),
      el('pre', { tabindex: 0, 'aria-label': `Response of ${name}` }, answer.response)))));
}

function ending({ tokens, ended }) {
  return `${integer(tokens)} tokens, ${ended ? 'ended' : 'cut off by the length'}`;
}

function block(title, text) {
  return el('div', {}, el('h4', {}, title), el('pre', { tabindex: 0, 'aria-label': title }, text));
}

/** Links to the Denoise page, one for all that were sampled alike. */
function watch(evaluations, prompt, { length, seed }) {
  const alike = new Map();
  for (const evaluation of evaluations) {
    const { sampling } = conditionOf(evaluation, length, seed);
    const key = JSON.stringify(sampling);
    alike.set(key, { sampling, members: [...(alike.get(key)?.members ?? []), evaluation] });
  }
  return [...alike.values()].map(({ sampling, members }) => {
    const names = members.map(({ name }) => name).join(', ');
    const given = members[0].given ? ' The response begins differently there: Denoise gives nothing of it.' : '';
    return el('a', {
      href: address([...new Set(members.map(({ order }) => order.checkpoint))], prompt, sampling, seed),
      title: `Denoise this prompt with ${names}, with the same settings and noise.${given}`,
    }, alike.size > 1 ? `Watch it: ${names}` : 'Watch it');
  });
}

function address(checkpoints, prompt, sampling, seed) {
  const settings = Object.entries(sampling).filter(([, value]) => value !== null);
  return `denoise?${new URLSearchParams([['checkpoints', checkpoints.join()], ['prompt', prompt], ['seed', seed], ...settings])}`;
}
