/**
 * What the studio computes: the devices, what runs on them, what waits and in which order, and what has ended. `data` is {api}.
 * onAction gets pause, go_on, first or later {job}, and what `JobActions` says with {job}.
 */

import { component, el, stylesheet } from './dom.js';
import { JobList } from './job_list.js';
import { watch } from './page_stream.js';
import { expectAnswer } from './press.js';
import { calmly, get } from './requests.js';
import { isLive } from './run_state.js';

await stylesheet('queue.css');

const ENDED_SHOWN = 20;
// A queue that changes does so several times in a row.
const CALM_MILLISECONDS = 500;
const RETRY_MILLISECONDS = 3000;
const DEVICES_MILLISECONDS = 30_000;
const HELD_UP_MILLISECONDS = 5000;

export function mount(host, { data, onAction }) {
  return component(host, 'queue', data, (next, signal) => (next ? draw(next, onAction, signal) : []));
}

function draw({ api }, onAction, signal) {
  const board = new Board(new ExperimentNames(api), onAction);
  // What was told while an answer was under way, which may have been made before.
  const told = new Map();
  let line = null;

  const refresh = calmly(async () => {
    told.clear();
    line = null;
    try {
      const [queue, workers, ended] = await Promise.all([
        get(`${api}/queue`, signal), get(`${api}/devices`, signal), get(`${api}/jobs?ended=true&limit=${ENDED_SHOWN}`, signal),
      ]);
      await board.show(queue, workers, ended.items, signal);
      [...told.values()].forEach(take);
      if (line && !board.isInOrder(line)) refresh();
    } catch (error) {
      if (signal.aborted) return;
      board.say(`${error.message} What you see may be out of date.`, 'reconnecting');
      setTimeout(() => signal.aborted || refresh(), RETRY_MILLISECONDS);
    }
  }, () => CALM_MILLISECONDS);

  function take(job) {
    told.set(job.id, job);
    if (board.isShown && !board.update(job)) refresh();
  }

  watch(api, ['queue'], {
    job: take,
    queue: (now) => {
      line = now;
      if (board.isShown && !board.isInOrder(line)) refresh();
    },
    look: refresh,
  }, signal);
  // Nothing tells of a worker that comes or goes.
  const clocks = [
    setInterval(() => board.tick(), 1000),
    setInterval(() => document.hidden || refresh(), DEVICES_MILLISECONDS),
    // Nor of the end of what holds it up.
    setInterval(() => document.hidden || !board.isHeldUp || refresh(), HELD_UP_MILLISECONDS),
  ];
  signal.addEventListener('abort', () => clocks.forEach(clearInterval));
  return board.parts;
}

/** Everything that is shown. */
class Board {
  isShown = false;
  isHeldUp = false;
  #status = el('p', { class: 'gs-status', role: 'status' }, 'connecting…');
  #devices = el('ul', { class: 'gs-devices', 'aria-label': 'Devices' });
  #pause;
  #names;
  #running;
  #waiting;
  #ended;

  constructor(names, onAction) {
    this.#names = names;
    this.#pause = new PauseButton(onAction);
    this.#running = new JobList('Running', 'Nothing is running.', { names, onAction });
    this.#waiting = new JobList('Waiting', 'Nothing waits.', { names, onAction, ordered: true });
    this.#ended = new JobList('Ended', 'Nothing has ended yet.', { names, onAction });
    this.parts = [
      el('header', { class: 'gs-title' }, el('h2', {}, 'Queue'), this.#status, this.#pause.root), this.#devices,
      this.#running.root, this.#waiting.root, this.#ended.root,
    ];
  }

  async show({ paused, held_up: heldUp, running, waiting }, workers, ended, signal) {
    await this.#names.learn([...running, ...waiting, ...ended], signal);
    this.#running.show(running);
    this.#waiting.show(waiting);
    this.#ended.show(ended);
    this.#devices.replaceChildren(
      ...workers.flatMap((worker) => worker.devices.map((device) => deviceEntry(worker, device, running))));
    this.#pause.show(paused);
    this.isShown = true;
    this.isHeldUp = Boolean(heldUp);
    if (heldUp) this.say(`Nothing is taken: ${heldUp}`, 'held-up');
    else if (paused) this.say('paused: what runs goes on, nothing else is taken', 'paused');
    else this.say('live', 'connected');
  }

  /** What a job is like now; false where it stands in another list than before, or in none. */
  update(job) {
    const list = isLive(job.state) ? this.#running : job.state === 'queued' ? this.#waiting : this.#ended;
    return list.update(job);
  }

  /** Whether the queue is shown as it is. */
  isInOrder({ paused, waiting }) {
    return this.#pause.isFor(paused) && this.#waiting.isOf(waiting);
  }

  say(text, state) {
    this.#status.textContent = text;
    this.#status.dataset.state = state;
  }

  tick() {
    this.#running.tick();
  }
}

class PauseButton {
  root = el('button', { type: 'button', hidden: true, onclick: () => this.#press() });
  #paused;
  #onAction;
  #answered = () => {};

  constructor(onAction) {
    this.#onAction = onAction;
  }

  isFor(paused) {
    return paused === this.#paused;
  }

  show(paused) {
    if (this.isFor(paused)) return;
    this.#answered();
    this.#paused = paused;
    this.root.hidden = this.root.disabled = false;
    this.root.textContent = paused ? 'Let the queue go on' : 'Pause the queue';
    this.root.title = paused ? 'Nothing is taken from the queue.' : 'What runs goes on; nothing else is taken.';
  }

  #press() {
    this.root.disabled = true;
    this.#answered = expectAnswer(() => { this.root.disabled = false; });
    this.#onAction(this.#paused ? 'go_on' : 'pause', {});
  }
}

function deviceEntry({ host }, { name, title, job, held_up: heldUp }, running) {
  const label = running.find(({ id }) => id === job)?.label ?? job;
  return el('li', { 'data-busy': String(Boolean(job)) },
    el('b', {}, name), el('span', { class: 'gs-note' }, `${title} · ${host}`), el('span', { title: heldUp || null }, label ?? (heldUp ? 'takes nothing' : 'free')));
}

/** What the experiments of runs are called; each is asked for once, and again where that failed. */
class ExperimentNames {
  #known = new Map();
  #api;

  constructor(api) {
    this.#api = api;
  }

  async learn(jobs, signal) {
    const wanted = new Set(jobs.map((job) => job.experiment_id).filter((id) => id && !this.#known.has(id)));
    await Promise.all([...wanted].map((id) => this.#ask(id, signal)));
  }

  of({ experiment_id: id }) {
    return this.#known.get(id);
  }

  async #ask(id, signal) {
    try {
      this.#known.set(id, (await get(`${this.#api}/experiments/${encodeURIComponent(id)}`, signal)).name);
    } catch {
      // Its runs are shown without it: a name is not worth the page.
    }
  }
}
