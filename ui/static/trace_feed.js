/** Traces while they are being made: one EventSource that goes on where it was, and what is known of each. */

import { Replay } from './trace.js';

const RETRY_MILLISECONDS = 3000;
const PAINT_MILLISECONDS = 200;
const ENDED = ['finished', 'cancelled', 'failed'];

/** What is known of one trace. `state` is queued, running, finished, cancelled, failed or lost. */
export class Watched {
  state = 'queued';
  problems = [];
  replay = new Replay();
  #had = 0;

  constructor({ id, label, state = 'queued', edits = [], document = null }) {
    Object.assign(this, { id, title: label, state, edits });
    if (!document) return;
    this.replay = Replay.of(document);
    this.state = 'finished';
    this.#had = Infinity;
  }

  get label() {
    return this.replay.start ? this.replay.label : this.title;
  }

  /** Whether nothing more will come. */
  get settled() {
    return this.state === 'lost' || (ENDED.includes(this.state) && this.#had === Infinity);
  }

  /** Whether every step of it is here. */
  get complete() {
    return this.replay.end !== null && this.#had === Infinity;
  }

  /** One event; `number` counts the trace's events from 1, so that none is taken twice. */
  take(type, number, { state, part, problems }) {
    if (number <= this.#had) return false;
    this.#had = type === 'ended' ? Infinity : number;
    this.state = state === 'finished' && type !== 'ended' ? 'running' : state;
    this.problems = problems;
    if (part) this.replay.take(part);
    return true;
  }
}

/**
 * Fills `traces` with what the backend at `api` says of them. `listener` has `onChange`, called a few times a second at
 * most, and `onStatus`, which gets 'connected' or 'reconnecting'.
 */
export function watch(api, traces, listener, signal) {
  const ids = [...new Set(traces.map(({ id }) => id))];
  const url = `${api}/traces/events?${ids.map((id) => `trace=${encodeURIComponent(id)}`).join('&')}`;
  let [source, retry, paint, last] = [null, null, null, 0];

  function changed() {
    paint ??= setTimeout(() => {
      paint = null;
      last = performance.now();
      listener.onChange();
    }, Math.max(0, PAINT_MILLISECONDS - (performance.now() - last)));
  }

  function onEvent(event) {
    const data = JSON.parse(event.data);
    const number = Number(event.lastEventId.split('.')[ids.indexOf(data.trace)]);
    const taken = traces.filter(({ id }) => id === data.trace).map((trace) => trace.take(event.type, number, data));
    if (taken.some(Boolean)) changed();
    if (traces.every((trace) => trace.settled)) source.close();
  }

  async function onError() {
    listener.onStatus('reconnecting');
    if (source.readyState !== EventSource.CLOSED) return;
    // The browser retries a dropped connection, but gives up on one that was refused: the backend restarts, or does
    // not know a trace any more.
    await Promise.all(traces.filter((trace) => !trace.settled).map((trace) => ask(api, trace)));
    if (signal.aborted) return;
    changed();
    const left = traces.filter((trace) => !trace.settled);
    if (left.length === traces.length) retry = setTimeout(connect, RETRY_MILLISECONDS);
    else if (left.length) watch(api, left, listener, signal);
    else listener.onStatus('connected');
  }

  function connect() {
    source = new EventSource(url);
    ['part', 'ended'].forEach((type) => source.addEventListener(type, onEvent));
    source.addEventListener('open', () => listener.onStatus('connected'));
    source.addEventListener('error', onError);
  }

  connect();
  signal.addEventListener('abort', () => {
    [retry, paint].forEach(clearTimeout);
    source.close();
  });
}

/** Whether the backend still knows a trace. */
async function ask(api, trace) {
  const answer = await fetch(`${api}/traces/${encodeURIComponent(trace.id)}`).catch(() => null);
  if (answer?.status !== 404) return;
  trace.state = 'lost';
  trace.problems = (await answer.json()).problems;
}
