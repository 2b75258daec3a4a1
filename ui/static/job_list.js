/** Lists of jobs on the page of the queue, and what can be done with each. */

import { arrange, el } from './dom.js';
import { JobActions } from './job_actions.js';
import { inWords } from './requests.js';
import { isLive, stateShape } from './run_state.js';
import { duration, integer } from './scale.js';
import { ticking } from './ticking.js';

// Who everybody is where there are no accounts.
const LOCAL = 'local';
const KINDS = {
  train: 'Training', evaluate: 'Evaluation', denoise: 'Batch of prompts', inspect: 'Look at a data set', export: 'Export', push: 'Upload',
};

/** Rows of jobs, updated in place so that a question that is open stays open. */
export class JobList {
  #rows = new Map();
  #list = el('ul', { class: 'gs-jobs' });
  #empty;
  #options;

  constructor(title, empty, options) {
    this.#options = options;
    // Until they are known nothing is said of them.
    this.#empty = el('p', { class: 'gs-note', hidden: true }, empty);
    this.root = el('section', { 'aria-label': title }, el('h3', {}, title), this.#empty, this.#list);
  }

  show(jobs) {
    const rows = new Map(jobs.map((job) => [job.id, this.#rows.get(job.id) ?? new JobRow(this.#options)]));
    jobs.forEach((job, index) => {
      rows.get(job.id).update(job);
      rows.get(job.id).place(index);
    });
    this.#rows = rows;
    arrange(this.#list, [...rows.values()].map(({ root }) => root));
    this.#empty.hidden = jobs.length > 0;
  }

  /** What a job is like now; false where it has no row here. */
  update(job) {
    this.#rows.get(job.id)?.update(job);
    return this.#rows.has(job.id);
  }

  /** Whether these are the jobs, in this order, with these priorities. */
  isOf(jobs) {
    const known = [...this.#rows.values()].map(({ job }) => job);
    return known.length === jobs.length
      && known.every(({ id, priority }, i) => id === jobs[i].id && priority === jobs[i].priority);
  }

  tick() {
    this.#rows.forEach((row) => row.tick());
  }
}

class JobRow {
  job;
  #parts = {
    state: el('span', { class: 'gs-chip' }), name: el('b'), about: el('span', { class: 'gs-note' }), doing: el('span', { class: 'gs-note' }),
    failure: el('p', { class: 'gs-failure', hidden: true }), links: el('nav', { class: 'gs-links', 'aria-label': 'Open' }),
  };
  #names;
  #elapsed = () => 0;
  #leads;
  #actions;
  #first;
  #later;

  constructor({ names, onAction, ordered = false }) {
    this.#names = names;
    const { state, name, about, doing, failure, links } = this.#parts;
    this.#actions = new JobActions((action) => onAction(action, { job: this.job.id }));
    this.#first = el('button', { type: 'button', title: 'Before all others that you may move', onclick: () => onAction('first', { job: this.job.id }) }, 'Next');
    this.#later = el('button', { type: 'button', title: 'After all others', onclick: () => onAction('later', { job: this.job.id }) }, 'Last');
    this.root = el('li', {},
      el('div', { class: 'gs-job-text' }, el('div', {}, state, name, doing), about, failure),
      el('footer', {}, links, ordered ? [this.#first, this.#later] : null, this.#actions.root));
  }

  update(job) {
    this.job = job;
    const { state, name, about, failure, links } = this.#parts;
    this.root.dataset.state = job.state;
    state.replaceChildren(stateShape(job.state), job.state);
    name.textContent = job.label;
    about.textContent = [KINDS[job.kind] ?? job.kind, this.#names.of(job), job.created_by === LOCAL ? null : job.created_by,
      isLive(job.state) ? job.placed_on : null, job.state === 'queued' ? wanted(job) : null,
      job.attempt > 1 ? `attempt ${job.attempt}` : null].filter(Boolean).join(' · ');
    failure.hidden = !job.failure;
    failure.textContent = job.failure ? inWords(job.failure) : '';
    // A link that is drawn anew between pressing and letting go is not followed.
    const leads = JSON.stringify([job.state === 'finished', job.started]);
    if (leads !== this.#leads) links.replaceChildren(...opened(job));
    this.#leads = leads;
    this.#elapsed = ticking(job);
    this.#actions.update(job);
    this.tick();
  }

  place(index) {
    this.#first.disabled = index === 0;
  }

  tick() {
    const { state, phase, step, total_steps: total, eta_seconds: left } = this.job;
    const elapsed = this.#elapsed();
    const took = elapsed ? duration(elapsed) : '';
    this.#parts.doing.textContent = isLive(state)
      ? [phase, total ? `${integer(step)} of ${integer(total)}` : null, took, left ? `${duration(left)} left` : null].filter(Boolean).join(' · ')
      : took && state !== 'queued' ? `took ${took}` : '';
  }
}

/** What a job that waits asks for: that alone may be why it waits. */
function wanted({ devices, device, priority }) {
  return [devices > 1 ? `on ${devices} devices` : null, device ? `on ${device}` : null, priority ? `priority ${priority}` : null]
    .filter(Boolean).join(' · ');
}

/** Where a job is looked at. */
function opened({ id, kind, state, started, experiment_id: experiment }) {
  const address = {
    train: `runs?experiment=${encodeURIComponent(experiment)}`, evaluate: `evaluate?evaluations=${encodeURIComponent(id)}`,
    inspect: `tokens?dataset=${encodeURIComponent(id)}`,
  }[kind];
  const links = address ? [el('a', { href: address }, 'Open')] : [];
  if (state === 'finished' && (kind === 'export' || kind === 'denoise')) links.push(el('a', { href: `api/v1/jobs/${encodeURIComponent(id)}/archive`, download: true }, 'Download'));
  if (started) links.push(el('a', { href: `api/v1/jobs/${encodeURIComponent(id)}/log`, target: '_blank', rel: 'noopener' }, 'Log'));
  return links;
}
