/**
 * Notifications of the browser about the runs on the page: that one has ended, says nothing any more, or has become certain of
 * nearly everything. Off until asked for.
 */

import { el } from './dom.js';
import { EntropyCourse } from './entropy_course.js';
import { inWords } from './requests.js';
import { isOpen } from './run_state.js';
import { decimal } from './scale.js';

const KEPT = 'gift-studio-notifications';
const STALL_MILLISECONDS = 10 * 60_000;
const LOOK_MILLISECONDS = 15_000;
const TITLES = {
  finished: 'finished', failed: 'failed', interrupted: 'interrupted', stalled: 'stalled', collapsed: 'has an entropy collapse',
};

/**
 * Give it what the stream brings: `run` each RunView, `measured` the id of a run and its new points, `connected` whether the
 * stream is there. `root` is the bell, which asks the browser for permission when it is pressed.
 */
export class Notifications {
  #runs = new Map();
  #told = new Set();
  #connected = false;
  #stall;
  #bell = el('button', { type: 'button', class: 'gs-bell', onclick: () => this.#toggle() });

  constructor(signal, stall = STALL_MILLISECONDS) {
    this.#stall = stall;
    this.root = this.#bell;
    // A page that came over plain http from another host may not notify anybody.
    this.#bell.hidden = !('Notification' in window && window.isSecureContext);
    this.#draw();
    const timer = setInterval(() => this.#lookForStalls(), Math.min(LOOK_MILLISECONDS, stall / 4));
    signal.addEventListener('abort', () => clearInterval(timer));
  }

  /** Whether they are wanted, and allowed. */
  get isOn() {
    return isOn();
  }

  run(run) {
    const known = this.#runs.get(run.id);
    const before = known?.run.state;
    // An attempt that begins while the page is open is news from its first step on.
    const isAnew = known && known.run.started !== run.started;
    // What had happened when the page was opened, up to this step, is no news.
    this.#runs.set(run.id, {
      since: run.step, course: new EntropyCourse(), ...known, ...(isAnew ? { since: 0, course: new EntropyCourse() } : {}),
      run, heard: Date.now(), stalled: false,
    });
    if (isOpen(before) && before !== run.state && run.state in TITLES) this.#tellOnce(run, run.state, said(run));
  }

  measured(id, points) {
    const known = this.#runs.get(id);
    if (!known) return;
    Object.assign(known, { heard: Date.now(), stalled: false });
    const fell = known.course.take(points);
    if (!fell || fell.step <= known.since) return;
    this.#tellOnce(known.run, 'collapsed', `Its mean entropy fell from ${decimal(fell.from, 3)} to ${decimal(fell.to, 3)} nats.`);
  }

  connected(connected) {
    // Nothing was heard of any run while the connection was gone.
    if (connected && !this.#connected) this.#runs.forEach((known) => Object.assign(known, { heard: Date.now() }));
    this.#connected = connected;
  }

  #lookForStalls() {
    if (!this.#connected) return;
    for (const known of this.#runs.values()) {
      const silent = Date.now() - known.heard;
      if (known.run.state !== 'running' || known.stalled || silent < this.#stall) continue;
      known.stalled = true;
      this.#tell(known.run, 'stalled', `Nothing has been reported for ${Math.round(silent / 60_000)} minutes.`);
    }
  }

  /** A stream that begins anew may bring what it has brought before. */
  #tellOnce(run, what, body) {
    const told = `${run.id} ${what} ${run.started}`;
    if (this.#told.has(told)) return;
    this.#told.add(told);
    this.#tell(run, what, body);
  }

  #tell(run, what, body) {
    if (!isOn()) return;
    // The same tag in another tab takes this one's place: it is told once.
    const shown = new Notification(`${run.label} ${TITLES[what]}`, { body, tag: `${run.id} ${what} ${run.started}` });
    shown.addEventListener('click', () => {
      window.focus();
      shown.close();
    });
  }

  async #toggle() {
    const wanted = !isOn();
    if (wanted && Notification.permission === 'default') await Notification.requestPermission();
    keep(wanted);
    this.#draw();
  }

  #draw() {
    if (this.#bell.hidden) return;
    const refused = Notification.permission === 'denied';
    this.#bell.disabled = refused;
    this.#bell.setAttribute('aria-pressed', isOn());
    this.#bell.textContent = refused ? 'Notifications are blocked' : 'Notify me';
    this.#bell.title = refused ? 'Allow them for this site in the settings of the browser.'
      : 'When a run of this page ends, reports nothing for ten minutes, or has an entropy collapse, while the page is open.';
  }
}

function said({ state, result, failure }) {
  if (failure) return inWords(failure);
  if (result?.score) return `${result.score.correct} of ${result.score.n} solved.`;
  return state === 'interrupted' ? 'Its process was gone before the run ended.' : '';
}

function isOn() {
  return 'Notification' in window && Notification.permission === 'granted' && kept() === 'on';
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // The browser keeps nothing for this page.
  }
}

function keep(on) {
  try {
    localStorage.setItem(KEPT, on ? 'on' : 'off');
  } catch {
    // It then stays off.
  }
}
