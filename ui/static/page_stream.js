/** The live stream of the page: one EventSource for all that its parts watch, which reconnects. */

const RETRY_MILLISECONDS = 3000;
// Parts of a page come one after the other: together they need one connection.
const GATHER_MILLISECONDS = 50;
const EVENTS = ['run', 'job', 'metrics', 'queue'];

// A module is loaded once in a page, however many components import it.
const streams = new Map();

/**
 * Watches topics of `GET /events` of the API until `signal` aborts. `listeners`: `run`, `job`, `metrics` and `queue` get the data
 * of every such event, also of topics of others on the page; `status` gets 'connected' or 'reconnecting'; `look` is called when
 * the stream has begun to tell of the queue, which it does from then on only, and again and again while there is no stream.
 */
export function watch(api, topics, listeners, signal) {
  if (!streams.has(api)) streams.set(api, new PageStream(api));
  streams.get(api).add({ topics, listeners }, signal);
}

class PageStream {
  #api;
  #watchers = new Set();
  #source = null;
  #begun = false;
  #connecting = null;
  #looking = null;

  constructor(api) {
    this.#api = api;
  }

  add(watcher, signal) {
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => {
      this.#watchers.delete(watcher);
      if (!this.#watchers.size) this.#close();
    });
    // Anew: whoever comes is told all there is about its topics.
    this.#connectIn(GATHER_MILLISECONDS);
    this.#looking ??= setInterval(() => this.#begun || document.hidden || this.#tell('look'), RETRY_MILLISECONDS);
  }

  #connectIn(milliseconds) {
    clearTimeout(this.#connecting);
    this.#connecting = setTimeout(() => this.#connect(), milliseconds);
  }

  #connect() {
    this.#source?.close();
    this.#begun = false;
    const topics = new Set([...this.#watchers].flatMap((watcher) => watcher.topics));
    const query = new URLSearchParams([...topics].map((topic) => ['topic', topic]));
    const source = new EventSource(`${this.#api}/events?${query}`);
    this.#source = source;
    EVENTS.forEach((name) => source.addEventListener(name, (event) => this.#tell(name, JSON.parse(event.data))));
    // It begins with how the queue is: what happens later is told.
    source.addEventListener('queue', () => this.#begin());
    source.addEventListener('open', () => this.#tell('status', 'connected'));
    source.addEventListener('error', () => {
      this.#begun = false;
      this.#tell('status', 'reconnecting');
      this.#tell('look');
      // The browser retries a dropped connection, but gives up on one that was refused, as a restarting proxy does.
      if (source.readyState === EventSource.CLOSED) this.#connectIn(RETRY_MILLISECONDS);
    });
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    this.#tell('look');
  }

  #tell(what, data) {
    [...this.#watchers].forEach(({ listeners }) => listeners[what]?.(data));
  }

  #close() {
    clearTimeout(this.#connecting);
    clearInterval(this.#looking);
    this.#looking = null;
    this.#source?.close();
    this.#source = null;
  }
}
