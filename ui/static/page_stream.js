/** What all parts of the page watch, over the stream that the tabs of a browser share. */

import { get } from './requests.js';
import { openStream } from './shared_stream.js';

const LOOK_MILLISECONDS = 3000;

// A module is loaded once in a page, however many components import it.
const streams = new Map();

/**
 * Watches topics of `GET /events` of the API until `signal` aborts. `listeners`: `run`, `job`, `metrics`, `queue`, `part` and
 * `ended` get the data of every such event, also of topics of others on this page or in other tabs; of a trace also how many
 * events of it that makes. `unknown` gets {topics} that there are not, `status` 'connected' or 'reconnecting'; `look` is called when
 * the stream has begun to tell of the queue, which it does from then on only, and again and again while there is no stream.
 * A page that nobody looks at is told nothing after a while, and then what it missed, unless one of its parts `staysAwake()`.
 */
export function watch(api, topics, listeners, signal, staysAwake = () => false) {
  if (!streams.has(api)) streams.set(api, new PageStream(api));
  streams.get(api).add({ topics, listeners, staysAwake }, signal);
}

class PageStream {
  #watchers = new Set();
  #stream = null;
  #opened;
  #begun = false;
  #isAway = false;
  #leaving = null;
  #looking = null;
  #unknown = new Set();

  constructor(api) {
    this.#opened = this.#open(api);
    document.addEventListener('visibilitychange', () => this.#comeOrGo());
    this.#comeOrGo();
  }

  async #open(api) {
    const tell = (event, data, number) => this.#take(event, data, number);
    this.#stream = await openStream(api, await visitorOf(api), tell);
  }

  async add(watcher, signal) {
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => {
      this.#watchers.delete(watcher);
      // A part that is drawn anew goes and comes in one.
      setTimeout(() => this.#want([]));
    });
    this.#looking ??= setInterval(() => this.#begun || document.hidden || this.#tell('look'), LOOK_MILLISECONDS);
    watcher.topics.forEach((topic) => this.#unknown.delete(topic));
    // Whoever comes is told all there is about its topics, and looks once more when the queue is told of.
    this.#begun = false;
    await this.#opened;
    this.#want(watcher.topics);
  }

  #want(anew) {
    const topics = [...new Set([...this.#watchers].flatMap((watcher) => watcher.topics))];
    if (!topics.length) {
      clearInterval(this.#looking);
      this.#looking = null;
    }
    this.#stream?.want(this.#isAway ? [] : topics.filter((topic) => !this.#unknown.has(topic)), anew);
  }

  #comeOrGo() {
    clearTimeout(this.#leaving);
    if (!document.hidden) this.#setAway(false);
    else this.#opened.then(() => { this.#leaving = setTimeout(() => this.#goAway(), this.#stream.patience); });
  }

  #goAway() {
    if (document.hidden && ![...this.#watchers].some(({ staysAwake }) => staysAwake())) this.#setAway(true);
  }

  #setAway(away) {
    if (away === this.#isAway) return;
    this.#isAway = away;
    // What was missed is told, and looked at.
    this.#begun = false;
    this.#want([]);
  }

  #take(event, data, number) {
    if (event === 'status' && data === 'reconnecting') this.#begun = false;
    if (event === 'unknown') this.#forget(data.topics);
    this.#tell(event, data, number);
    if (event === 'status' && data === 'reconnecting') this.#tell('look');
    // It begins with how the queue is: what happens later is told.
    if (event === 'queue' && !this.#begun) {
      this.#begun = true;
      this.#tell('look');
    }
  }

  #forget(topics) {
    topics.forEach((topic) => this.#unknown.add(topic));
    this.#want([]);
  }

  #tell(what, data, number) {
    [...this.#watchers].forEach(({ listeners }) => listeners[what]?.(data, number));
  }
}

/** Which account looks at this page; tabs of different ones share nothing, nor does one of which it is not known. */
function visitorOf(api) {
  return get(`${api}/session`).then(({ account }) => account, () => Math.random());
}
