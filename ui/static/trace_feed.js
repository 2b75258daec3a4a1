/** Traces while they are being made, and what is known of each. */

import { watch } from './page_stream.js';
import { Replay } from './trace.js';

const PAINT_MILLISECONDS = 200;
const ENDED = ['finished', 'cancelled', 'failed'];

/** What is known of one trace. `state` is queued, running, finished, cancelled, failed or lost. */
export class Watched {
  state = 'queued';
  problems = [];
  // What a user has changed and not gone on from yet, text or null by position: it outlives each drawing.
  edits = new Map();
  replay = new Replay();
  #had = 0;

  constructor({ id, label, state = 'queued', edits: names = [], document = null }) {
    Object.assign(this, { id, title: label, state, names });
    if (!document) return;
    this.replay = Replay.of(document);
    this.state = 'finished';
    this.#had = Infinity;
  }

  get label() {
    return this.replay.start ? this.replay.label : this.title;
  }

  /** What it is doing, in a word: one that has ended elsewhere is loading until all of it is here. */
  get doing() {
    return ENDED.includes(this.state) && !this.settled ? 'loading' : this.state;
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
export function follow(api, traces, listener, signal) {
  const over = new AbortController();
  let [paint, last] = [null, 0];

  function changed() {
    paint ??= setTimeout(() => {
      paint = null;
      last = performance.now();
      listener.onChange();
    }, Math.max(0, PAINT_MILLISECONDS - (performance.now() - last)));
    if (traces.every((trace) => trace.settled)) over.abort();
  }

  const taking = (type) => (data, number) => {
    const taken = traces.filter(({ id }) => id === data.trace).map((trace) => trace.take(type, number, data));
    if (taken.some(Boolean)) changed();
  };

  async function lose({ topics }) {
    const gone = traces.filter((trace) => topics.includes(topicOf(trace)) && !trace.settled);
    await Promise.all(gone.map((trace) => ask(api, trace)));
    if (gone.length && !signal.aborted) changed();
  }

  watch(api, [...new Set(traces.map(topicOf))], {
    part: taking('part'), ended: taking('ended'), unknown: lose, status: (state) => listener.onStatus(state),
  }, AbortSignal.any([signal, over.signal]));
  signal.addEventListener('abort', () => clearTimeout(paint));
}

function topicOf({ id }) {
  return `trace:${id}`;
}

/** A trace that the backend does not know any more, in its words. */
async function ask(api, trace) {
  const answer = await fetch(`${api}/traces/${encodeURIComponent(trace.id)}`).catch(() => null);
  trace.state = 'lost';
  trace.problems = answer?.status === 404 ? (await answer.json()).problems : [];
}
