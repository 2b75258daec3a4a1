/** One EventSource over everything that is wanted. It goes on where it was when that changes, or when the connection is lost. */

const RETRY_MILLISECONDS = 3000;
// A server that refuses is asked less and less often.
const LONGEST_RETRY_MILLISECONDS = 30000;
// Parts of a page, and tabs, come one after the other: together they need one connection.
const GATHER_MILLISECONDS = 50;
const EVENTS = ['run', 'job', 'metrics', 'queue', 'part', 'ended'];
// As many as the API takes.
const MOST_TOPICS = 100;
// One that it does not take would be refused with all others.
const TOPIC = /^[\w.:-]{1,111}$/;
const TRACE = 'trace:';

export class EventStream {
  #api;
  #tell;
  #source = null;
  #connecting = null;
  #retry = RETRY_MILLISECONDS;
  #wanted = [];
  #watched = [];
  // Topics of which not all that came before the place has come.
  #lacking = new Set();
  #place = null;
  #numbers = new Map();

  /** `tell(name, data, number)` gets every event, 'unknown' with {topics}, and 'status' with 'connected' or 'reconnecting'. */
  constructor(api, tell) {
    this.#api = api;
    this.#tell = tell;
  }

  /** Watches these topics and no others. Of `anew`, and of those that were not watched before, everything comes. */
  want(topics, anew = []) {
    this.#wanted = topics.filter((topic) => TOPIC.test(topic)).slice(0, MOST_TOPICS);
    const fresh = this.#wanted.filter((topic) => anew.includes(topic) || !this.#watched.includes(topic));
    fresh.forEach((topic) => (topic.startsWith(TRACE) ? this.#numbers.delete(topic) : this.#lacking.add(topic)));
    if (!this.#wanted.length) this.close();
    else if (!this.#source || fresh.length || this.#wanted.length < this.#watched.length) this.#connectIn(GATHER_MILLISECONDS);
  }

  close() {
    clearTimeout(this.#connecting);
    this.#source?.close();
    this.#source = null;
  }

  #connectIn(milliseconds) {
    clearTimeout(this.#connecting);
    this.#connecting = setTimeout(() => this.#connect(), milliseconds);
  }

  #connect() {
    this.#source?.close();
    const source = new EventSource(this.#address());
    this.#source = source;
    EVENTS.forEach((name) => source.addEventListener(name, (event) => this.#take(name, event)));
    source.addEventListener('complete', (event) => JSON.parse(event.data).topics.forEach((topic) => this.#lacking.delete(topic)));
    source.addEventListener('unknown', (event) => this.#leaveOut(JSON.parse(event.data)));
    source.addEventListener('open', () => {
      this.#retry = RETRY_MILLISECONDS;
      this.#tell('status', 'connected');
    });
    source.addEventListener('error', () => {
      this.#tell('status', 'reconnecting');
      // The browser retries a dropped connection, but gives up on one that was refused, as a restarting proxy does.
      if (source.readyState !== EventSource.CLOSED) return;
      this.#connectIn(this.#retry);
      this.#retry = Math.min(2 * this.#retry, LONGEST_RETRY_MILLISECONDS);
    });
  }

  #address() {
    this.#watched = this.#wanted;
    const query = new URLSearchParams(this.#watched.map((topic) => ['topic', topic]));
    query.append('known_only', 'true');
    if (this.#place) {
      query.append('after', [this.#place, ...this.#positions()].join('~'));
      this.#watched.filter((topic) => this.#lacking.has(topic)).forEach((topic) => query.append('anew', topic));
      // Of the queue nothing is told that was before.
      this.#lacking.delete('queue');
    } else {
      // Without a place to go on from, everything comes, and the place says how much of it.
      this.#lacking.clear();
    }
    return `${this.#api}/events?${query}`;
  }

  #traces() {
    return this.#watched.filter((topic) => topic.startsWith(TRACE));
  }

  /** How many events of each trace have come, as the API writes it. */
  #positions() {
    const traces = this.#traces();
    return traces.length ? [traces.map((topic) => this.#numbers.get(topic) ?? 0).join('.')] : [];
  }

  #take(name, event) {
    const data = JSON.parse(event.data);
    const [store, positions] = event.lastEventId.split('~');
    // Nothing of the store has been told yet: there is no place in it to go on from.
    if (store && store !== '0.0') this.#place = store;
    if (data.trace === undefined) {
      this.#tell(name, data);
      return;
    }
    const topic = `${TRACE}${data.trace}`;
    const number = Number(positions?.split('.')[this.#traces().indexOf(topic)]);
    this.#numbers.set(topic, number);
    this.#tell(name, data, number);
  }

  #leaveOut({ topics }) {
    this.#watched = this.#watched.filter((topic) => !topics.includes(topic));
    this.#tell('unknown', { topics });
  }
}
