/**
 * One stream for all tabs of a browser: it allows six connections to a host, which three tabs with streams of their own use up.
 * The tab that has the lock leads: it holds the connection, and passes on to the others what it hears. Each tab says what it wants
 * to hear. A tab that nobody looks at leaves, and so the lock goes to another one when the leader is closed or hidden.
 */

import { EventStream } from './event_stream.js';

/** The stream for this tab: shared where the browser has what that needs, which a page over plain http from another host has not. */
export async function openStream(api, visitor, tell) {
  if (!navigator.locks || !('BroadcastChannel' in window)) return new OwnStream(api, tell);
  // Whoever signs in as somebody else hears nothing from the tabs of before.
  const name = `gift-studio ${new URL(api, document.baseURI)} ${visitor}`;
  const id = crypto.randomUUID();
  // Held before anything is said, and as long as the tab is there: the one that leads waits for it.
  await new Promise((held) => {
    navigator.locks.request(lockOf(name, id), () => {
      held();
      return new Promise(() => {});
    });
  });
  return new SharedStream(api, tell, name, id);
}

function lockOf(name, tab) {
  return `${name} ${tab}`;
}

/** The same for a tab by itself. */
class OwnStream {
  // The tabs that are looked at need the connection.
  patience = 0;
  #stream;

  constructor(api, tell) {
    this.#stream = new EventStream(api, tell);
  }

  want(topics, anew) {
    this.#stream.want(topics, anew);
  }
}

class SharedStream {
  patience = 30_000;
  #tell;
  // Kept while others lead: it knows where it was.
  #stream;
  #name;
  #id;
  #channel;
  #topics = [];
  // What it has not had from the beginning.
  #lacking = new Set();
  #leadership = null;
  #leading = null;

  constructor(api, tell, name, id) {
    [this.#tell, this.#name, this.#id] = [tell, name, id];
    this.#stream = new EventStream(api, (event, data, number) => this.#leading?.tell(event, data, number));
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.addEventListener('message', ({ data }) => this.#hear(data));
  }

  /** Hears of these topics; none: leaves. Of `anew` everything comes, also what came before. */
  want(topics, anew) {
    const isBack = !this.#topics.length;
    this.#topics = topics;
    anew.forEach((topic) => this.#lacking.add(topic));
    if (this.#leading) this.#askLeader(this.#leading);
    else this.#channel.postMessage({ want: topics, anew: isBack ? topics : anew, from: this.#id });
    if (topics.length) this.#compete();
    else this.#leave();
  }

  #askLeader(leader) {
    leader.want(this.#id, this.#topics, [...this.#lacking]);
    this.#lacking.clear();
  }

  #compete() {
    if (this.#leadership) return;
    const leaving = this.#leadership = new AbortController();
    navigator.locks.request(this.#name, { signal: leaving.signal }, () => this.#lead(leaving.signal)).catch(() => {});
  }

  #leave() {
    this.#leadership?.abort();
    this.#leadership = null;
  }

  /** Leads until it leaves: the lock is held as long as the promise is open. */
  #lead(leaving) {
    if (leaving.aborted) return null;
    const gone = (tab, forget) => navigator.locks.request(lockOf(this.#name, tab), { signal: leaving }, forget).catch(() => {});
    this.#leading = new Leader(this.#stream, (message) => {
      this.#channel.postMessage(message);
      this.#hear(message);
    }, gone);
    this.#askLeader(this.#leading);
    // The others say what they want.
    this.#channel.postMessage({ leader: this.#id });
    return new Promise((resign) => {
      leaving.addEventListener('abort', () => {
        this.#stream.close();
        this.#leading = null;
        resign();
      });
    });
  }

  #hear({ event, data, number, want, anew, from, leader }) {
    if (event && this.#topics.length) this.#tell(event, data, number);
    else if (want) this.#leading?.want(from, want, anew);
    else if (leader && this.#topics.length) this.#channel.postMessage({ want: this.#topics, anew: this.#topics, from: this.#id });
  }
}

/** What the tab that leads does for all. `pass(message)` reaches every tab; `gone(tab, forget)` calls `forget` when a tab is closed. */
class Leader {
  #stream;
  #pass;
  #gone;
  #wants = new Map();
  #watched = new Set();
  #status = null;
  #queue = null;

  constructor(stream, pass, gone) {
    [this.#stream, this.#pass, this.#gone] = [stream, pass, gone];
  }

  want(tab, topics, anew) {
    if (!this.#watched.has(tab)) {
      this.#watched.add(tab);
      this.#gone(tab, () => this.want(tab, [], []));
    }
    this.#wants.delete(tab);
    if (topics.length) this.#wants.set(tab, topics);
    // The newest first: there may be more than the stream can carry.
    const wanted = [...new Set([...this.#wants.values()].reverse().flat())];
    // How the queue is, is known here: it is no reason to ask for everything.
    this.#stream.want(wanted, anew.filter((topic) => topic !== 'queue'));
    if (this.#status) this.#pass({ event: 'status', data: this.#status });
    if (anew.includes('queue') && this.#queue) this.#pass({ event: 'queue', data: this.#queue });
  }

  tell(event, data, number) {
    if (event === 'status') this.#status = data;
    if (event === 'queue') this.#queue = data;
    // What has changed meanwhile is not known.
    if (data === 'reconnecting') this.#queue = null;
    this.#pass({ event, data, number });
  }
}
