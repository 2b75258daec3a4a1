/**
 * What the studio computes: the devices, what runs on them, what waits and in which order, and what has ended. `data` is {api}.
 * Asked for anew while the page is looked at. onAction gets pause, go_on, first or later {job}, and
 * what `JobActions` says with {job}.
 */

import { component, el, stylesheet } from './dom.js';
import { get, inWords } from './requests.js';
import { JobActions } from './job_actions.js';
import { isLive, stateShape } from './run_state.js';
import { duration, integer } from './scale.js';

await stylesheet('queue.css');

const ENDED_SHOWN = 20;
// Who everybody is where there are no accounts.
const LOCAL = 'local';
const RETRY_MILLISECONDS = 3000;
// A run that is under way tells of itself several times a second.
const CALM_MILLISECONDS = 500;
const KINDS = {
  train: 'Training', evaluate: 'Evaluation', denoise: 'Batch of prompts', inspect: 'Look at a data set', export: 'Export', push: 'Upload',
};

export function mount(host, { data, onAction }) {
  return component(host, 'queue', data, (next, signal) => (next ? draw(next, onAction, signal) : []));
}

function draw({ api }, onAction, signal) {
  const status = el('p', { class: 'gs-status', role: 'status' }, 'connecting…');
  const devices = el('ul', { class: 'gs-devices', 'aria-label': 'Devices' });
  const pause = el('button', { type: 'button', onclick: () => { pause.disabled = true; onAction(pause.dataset.action, {}); } });
  const names = new ExperimentNames(api);
  const running = new JobList('Running', 'Nothing is running.', { names, onAction });
  const waiting = new JobList('Waiting', 'Nothing waits.', { names, onAction, ordered: true });
  const ended = new JobList('Ended', 'Nothing has ended yet.', { names, onAction });

  const refresh = calmly(async () => {
    try {
      const [queue, workers, last] = await Promise.all([
        get(`${api}/queue`, signal), get(`${api}/devices`, signal), get(`${api}/jobs?ended=true&limit=${ENDED_SHOWN}`, signal),
      ]);
      await names.learn([...queue.running, ...queue.waiting, ...last.items], signal);
      running.show(queue.running);
      waiting.show(queue.waiting);
      ended.show(last.items);
      devices.replaceChildren(...workers.flatMap((worker) => worker.devices.map((device) => deviceEntry(worker, device, queue.running))));
      pause.dataset.action = queue.paused ? 'go_on' : 'pause';
      pause.textContent = queue.paused ? 'Let the queue go on' : 'Pause the queue';
      pause.title = queue.paused ? 'Nothing is taken from the queue.' : 'What runs goes on; nothing else is taken.';
      pause.disabled = false;
      status.textContent = queue.paused ? 'paused: what runs goes on, nothing else is taken' : 'live';
      status.dataset.state = queue.paused ? 'paused' : 'connected';
    } catch (error) {
      if (!signal.aborted) status.textContent = `${error.message} What you see may be out of date.`;
    }
  });

  follow(`${api}/events?topic=queue`, refresh, signal);
  const clock = setInterval(() => running.tick(), 1000);
  signal.addEventListener('abort', () => clearInterval(clock));
  return [el('header', { class: 'gs-title' }, el('h2', {}, 'Queue'), status, pause), devices, running.root, waiting.root, ended.root];
}

/** Calls `onNews` now, and whenever something about a job has changed, through outages too. */
function follow(address, onNews, signal) {
  let retry = null;
  let source = null;
  const connect = () => {
    source = new EventSource(address);
    ['open', 'job', 'queue', 'error'].forEach((name) => source.addEventListener(name, onNews));
    source.addEventListener('error', () => {
      // The browser retries a dropped connection, but gives up on one that was refused, as a restarting proxy does.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MILLISECONDS);
    });
  };
  onNews();
  connect();
  signal.addEventListener('abort', () => {
    clearTimeout(retry);
    source.close();
  });
}

/** Calls `work` at once, and once more after it has ended if it was asked for meanwhile. */
function calmly(work) {
  let busy = false;
  let again = false;
  return async function run() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await work();
      await new Promise((done) => { setTimeout(done, CALM_MILLISECONDS); });
    }
    busy = false;
  };
}

function deviceEntry({ host }, { name, title }, jobs) {
  const job = jobs.find((each) => each.host === host && each.placed_on.split(',').includes(name));
  return el('li', { 'data-busy': String(Boolean(job)) },
    el('b', {}, name), el('span', { class: 'gs-note' }, `${title} · ${host}`), el('span', {}, job ? job.label : 'free'));
}

/** What the experiments of runs are called; each is asked for once. */
class ExperimentNames {
  #known = new Map();
  #api;

  constructor(api) {
    this.#api = api;
  }

  async learn(jobs, signal) {
    const wanted = new Set(jobs.map((job) => job.experiment_id).filter((id) => id && !this.#known.has(id)));
    await Promise.all([...wanted].map(async (id) => {
      this.#known.set(id, (await get(`${this.#api}/experiments/${encodeURIComponent(id)}`, signal)).name);
    }));
  }

  of({ experiment_id: id }) {
    return this.#known.get(id);
  }
}

/** Rows of jobs, updated in place so that a question that is open stays open. */
class JobList {
  #rows = new Map();
  #list = el('ul', { class: 'gs-jobs' });
  #empty;
  #options;

  constructor(title, empty, options) {
    this.#options = options;
    this.#empty = el('p', { class: 'gs-note' }, empty);
    this.root = el('section', { 'aria-label': title }, el('h3', {}, title), this.#empty, this.#list);
  }

  show(jobs) {
    const rows = new Map(jobs.map((job) => [job.id, this.#rows.get(job.id) ?? new JobRow(this.#options)]));
    jobs.forEach((job, index) => rows.get(job.id).update(job, index));
    this.#rows = rows;
    const wanted = [...rows.values()].map(({ root }) => root);
    if (wanted.some((root, index) => this.#list.children[index] !== root) || wanted.length !== this.#list.children.length) {
      this.#list.replaceChildren(...wanted);
    }
    this.#empty.hidden = jobs.length > 0;
  }

  tick() {
    this.#rows.forEach((row) => row.tick());
  }
}

class JobRow {
  #job;
  #parts = {
    state: el('span', { class: 'gs-chip' }), name: el('b'), about: el('span', { class: 'gs-note' }), doing: el('span', { class: 'gs-note' }),
    failure: el('p', { class: 'gs-failure', hidden: true }), links: el('nav', { class: 'gs-links', 'aria-label': 'Open' }),
  };
  #names;
  #actions;
  #first;
  #later;

  constructor({ names, onAction, ordered = false }) {
    this.#names = names;
    const { state, name, about, doing, failure, links } = this.#parts;
    this.#actions = new JobActions((action) => onAction(action, { job: this.#job.id }));
    this.#first = el('button', { type: 'button', title: 'Before all others', onclick: () => onAction('first', { job: this.#job.id }) }, 'Next');
    this.#later = el('button', { type: 'button', title: 'After all others', onclick: () => onAction('later', { job: this.#job.id }) }, 'Last');
    this.root = el('li', {},
      el('div', { class: 'gs-job-text' }, el('div', {}, state, name, doing), about, failure),
      el('footer', {}, links, ordered ? [this.#first, this.#later] : null, this.#actions.root));
  }

  update(job, index) {
    this.#job = job;
    const { state, name, about, failure, links } = this.#parts;
    this.root.dataset.state = job.state;
    state.replaceChildren(stateShape(job.state), job.state);
    name.textContent = job.label;
    about.textContent = [KINDS[job.kind] ?? job.kind, this.#names.of(job), job.created_by === LOCAL ? null : job.created_by,
      isLive(job.state) ? job.placed_on : null, job.attempt > 1 ? `attempt ${job.attempt}` : null,
      job.priority ? `priority ${job.priority}` : null].filter(Boolean).join(' · ');
    failure.hidden = !job.failure;
    failure.textContent = job.failure ? inWords(job.failure) : '';
    links.replaceChildren(...opened(job));
    this.#first.disabled = index === 0;
    this.#actions.update(job.state);
    this.tick();
  }

  tick() {
    const { state, phase, step, total_steps: total, eta_seconds: left, started, ended } = this.#job;
    const took = started ? duration(Math.max(0, (ended ?? Date.now() / 1000) - started)) : '';
    this.#parts.doing.textContent = isLive(state)
      ? [phase, total ? `${integer(step)} of ${integer(total)}` : null, took, left ? `${duration(left)} left` : null].filter(Boolean).join(' · ')
      : took && state !== 'queued' ? `took ${took}` : '';
  }
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
