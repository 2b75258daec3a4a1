/**
 * What checkpoints are unsure of over a data set. `data` is {inspection, api}: a DatasetInspectionView as it was when it began, and
 * the root of the API, where it is asked for until it has ended. Cancelling calls onAction('cancel', {id}).
 */

import { component, el, loading } from './dom.js';
import { datasetResult } from './dataset_result.js';
import { expectAnswer } from './press.js';
import { problemPanel } from './problems.js';
import { integer } from './scale.js';

const MILLISECONDS = 400;

export function mount(host, { data, onAction }) {
  return component(host, 'dataset', data, (next, signal) =>
    (next === null ? [loading('the data set')] : next.inspection ? draw(next, onAction, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and data and press Look at the data set: the tokens that they are most and least sure of appear here.');
}

function draw({ inspection, api }, onAction, signal) {
  const root = el('div', { class: 'gs-dataset' });
  const progress = new Progress(() => onAction('cancel', { id: inspection.id }));

  function show(view) {
    if (isOpen(view)) progress.update(view);
    const wanted = isOpen(view) ? progress.root : ended(view);
    if (root.firstChild !== wanted) root.replaceChildren(wanted);
    return isOpen(view);
  }

  if (show(inspection)) follow(`${api}/dataset-inspections/${encodeURIComponent(inspection.id)}`, { show, progress }, signal);
  return [root];
}

function isOpen({ state }) {
  return state === 'queued' || state === 'running' || state === 'stopping';
}

function ended({ state, result, problems }) {
  if (state === 'stopped') return el('p', { class: 'gs-empty' }, 'Cancelled. Nothing of it was kept; look again to begin anew.');
  if (state === 'failed' || state === 'interrupted') return problemPanel({ title: 'This data cannot be looked at', problems });
  return datasetResult(result);
}

/** Asks again and again, through an outage too, until it has ended or the page shows something else. */
async function follow(address, { show, progress }, signal) {
  let open = true;
  while (open) {
    await new Promise((done) => { setTimeout(done, MILLISECONDS); });
    if (signal.aborted) return;
    const answer = await ask(address, signal);
    if (signal.aborted) return;
    if (answer === null) progress.lost();
    else open = show(answer);
  }
}

/** A view; null where nobody answers. One that the backend no longer knows has failed. */
async function ask(address, signal) {
  try {
    const response = await fetch(address, { signal });
    const body = await response.json();
    if (response.ok) return body;
    return response.status === 404 ? { state: 'failed', problems: body.problems } : null;
  } catch {
    return null;
  }
}

class Progress {
  #text = el('span');
  #bar = el('div');
  #track = el('div', { class: 'gs-progress', role: 'progressbar', 'aria-label': 'Probes', 'aria-valuemin': 0 }, this.#bar);

  constructor(onCancel) {
    const cancel = el('button', {
      type: 'button',
      onclick: () => {
        cancel.disabled = true;
        cancel.textContent = 'Cancelling…';
        expectAnswer(() => {
          cancel.disabled = false;
          cancel.textContent = 'Cancel';
        });
        onCancel();
      },
    }, 'Cancel');
    this.root = el('section', { class: 'gs-pane', 'aria-label': 'Progress' },
      el('div', { class: 'gs-progress-text' }, this.#text, cancel), this.#track);
  }

  update({ state, done, total }) {
    this.#text.textContent = state === 'queued' ? 'Waiting for its turn…'
      : total === null ? 'Reading the data…' : `Probing: ${integer(done)} of ${integer(total)} responses`;
    this.#bar.style.width = `${total ? (100 * done) / total : 0}%`;
    this.#track.setAttribute('aria-valuenow', done);
    this.#track.setAttribute('aria-valuemax', total ?? 1);
  }

  lost() {
    this.#text.textContent = 'The backend does not answer; asking again…';
  }
}
