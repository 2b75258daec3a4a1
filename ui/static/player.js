/** The player: several traces under one transport, and what they have in common. */

import { setParameter } from './address.js';
import { ALIGNMENTS, align, firstStep } from './alignment.js';
import { Colouring } from './colouring.js';
import { commitDensity } from './commit_density.js';
import { comparisonPanel, fetchComparison } from './comparison.js';
import { confidenceMap } from './confidence_map.js';
import { el, segmented } from './dom.js';
import { legend } from './legend.js';
import { pane } from './pane.js';
import { Popover } from './popover.js';
import { percent } from './scale.js';
import { statesThatOccur } from './state_key.js';
import { stepCharts } from './step_charts.js';
import { TokenStrip } from './token_strip.js';
import { Transport } from './transport.js';

const ADDRESS_MILLISECONDS = 300;
const BEST = { title: 'Probability of the best candidate', ramp: 'sequential', ticks: ['0', '0.5', '1'] };
const MAP_HELP = 'One row a step, one column a position. Red is where a token was committed. Click a row to go there.';

/** `options` are the data of `denoise.js` with its `onAction`, `view` (what was chosen) and `onClose(index)`. */
export class Player {
  #traces;
  #replays;
  #options;
  #view;
  #signal;
  #making;
  #wanted;
  #rows;
  #addressing = null;
  #popover;
  #panes;
  #maps;
  #compared = null;
  #charts = stepCharts();
  #density = commitDensity();
  #transport;
  #colouring;
  #status = el('span', { class: 'gs-status', role: 'status' });
  #live = el('button', { type: 'button', 'aria-pressed': 'true', onclick: () => this.#transport.follow() }, 'Follow live');
  #cancel = el('button', { type: 'button', onclick: () => this.#act('cancel', { traces: this.#running() }) }, 'Cancel');
  #divergence = el('button', { type: 'button', disabled: true }, 'First divergence');
  #alignment;
  #states = el('ul', { class: 'gs-states' });
  #comparing = el('div', { class: 'gs-slot' });
  #prompt = el('section', { class: 'gs-pane gs-prompt' }, el('header', {}, el('h3', {}, 'Prompt')));
  #below = el('div', { class: 'gs-slot' });
  #export = el('a', { download: '', hidden: true }, 'Download as an offline page');

  constructor(traces, options, signal) {
    [this.#traces, this.#options, this.#view, this.#signal] = [traces, options, options.view, signal];
    this.#replays = traces.map(({ replay }) => replay);
    this.#rows = [traces.map(() => 0)];
    this.#making = traces.filter(({ state }) => state === 'queued' || state === 'running');
    this.#wanted = options.step ?? null;
    this.#popover = new Popover(signal);
    this.#panes = traces.map((trace, index) => this.#pane(trace, index));
    this.#maps = this.#replays.map((replay, index) => confidenceMap(replay, index, {
      onHover: (position) => this.#hover(position), onSeek: (cursor) => this.#seekStep(replay.offset + cursor + 1),
    }, signal));
    this.#colouring = new Colouring(this.#panes, this.#replays, this.#view);
    this.#alignment = segmented('Align panes by', ALIGNMENTS, this.#view.alignment, (chosen) => this.#align(chosen));
    this.#transport = new Transport({
      follow: this.#making.length > 0 && this.#wanted === null, under: this.#density.root,
      onSeek: (row) => this.#show(row), name: (row, last) => this.#name(row, last),
    }, signal);
    this.#below.append(
      el('div', { class: 'gs-charts' }, this.#charts.roots),
      el('section', { class: 'gs-maps' },
        el('header', {}, el('h3', {}, 'Confidence, step by step'), el('p', { class: 'gs-help' }, MAP_HELP), legend(BEST)),
        el('div', { class: 'gs-charts' }, this.#maps.map((each) => each.root))));
    signal.addEventListener('abort', () => clearTimeout(this.#addressing));
    this.onChange();
  }

  /** Shows what has become known of the traces since. */
  onChange() {
    this.#panes.forEach((each) => each.refresh());
    this.#maps.forEach((each) => each.update());
    this.#introduce();
    this.#states.replaceChildren(...statesThatOccur(this.#replays));
    this.#lay();
    this.#control();
    this.#compare();
  }

  onStatus(state) {
    this.#status.textContent = state === 'reconnecting' ? 'reconnecting…' : '';
    this.#status.dataset.state = state;
  }

  /** The step that is shown, which another drawing can begin at; null while the newest is followed. */
  get step() {
    return this.#making.length && this.#transport.following ? null : this.#stepAt(this.#transport.cursor);
  }

  get nodes() {
    const several = this.#traces.length > 1;
    return [
      el('section', {
        class: 'gs-player', tabindex: 0, role: 'group',
        'aria-label': 'Denoising: Space plays, arrow keys step, Home and End jump',
        onkeydown: (event) => this.#transport.key(event),
      },
      el('div', { class: 'gs-toolbar' }, this.#transport.root, this.#status, this.#live, this.#cancel, several ? this.#divergence : null),
      el('div', { class: 'gs-toolbar' }, this.#colouring.choice, several ? this.#alignment : null),
      el('div', { class: 'gs-context' }, el('div', { class: 'gs-about' }, this.#states, this.#colouring.root), this.#prompt),
      this.#comparing,
      el('div', { class: 'gs-panes' }, this.#panes.map((each) => each.root)),
      el('p', { class: 'gs-links' }, this.#export),
      this.#below),
      this.#popover.root,
    ];
  }

  #pane(trace, index) {
    const { api, onAction, onClose } = this.#options;
    const branch = (cursor, edits) =>
      this.#act('branch', { trace: trace.id, cursor, edits, traces: this.#traces.map(({ id }) => id) });
    return pane(trace, index, {
      popover: this.#popover, signal: this.#signal, api, onHover: (position) => this.#hover(position),
      onBranch: api && onAction ? branch : null,
      onClose: api && this.#traces.length > 1 ? () => onClose(index) : null,
    });
  }

  #act(name, payload) {
    this.#options.onAction(name, payload);
  }

  #running() {
    return this.#traces.filter(({ state }) => state === 'queued' || state === 'running').map(({ id }) => id);
  }

  #hover(position) {
    this.#panes.forEach((each) => each.highlight(position));
  }

  /** The prompt, as soon as it is there. */
  #introduce() {
    const start = this.#replays.find((replay) => replay.start)?.start;
    if (!start || this.#prompt.childElementCount > 1) return;
    const strip = new TokenStrip(start.prompt, {
      label: 'Prompt', popover: this.#popover, signal: this.#signal, describe: () => 'prompt',
    });
    strip.update({ states: start.prompt.map(() => 'prompt') });
    this.#prompt.append(strip.root);
  }

  /** Brings all that lies over the rows up to date, and goes to the row that is wanted. */
  #lay() {
    this.#rows = align(this.#replays, this.#aligned());
    const last = this.#rows.length - 1;
    this.#density.update(this.#replays, this.#rows);
    this.#charts.update(this.#replays, this.#rows, this.#ends(last));
    this.#transport.extend(last, this.#edge(last));
    this.#colouring.paint();
    if (this.#wanted !== null && firstStep(this.#replays) + last >= this.#wanted) {
      const wanted = this.#wanted;
      this.#wanted = null;
      // A step that was named stays, also where it is the newest for now.
      this.#seekStep(wanted, false);
    }
  }

  /** Shares of a whole mean something once it is whole. */
  #aligned() {
    return this.#traces.every((trace) => trace.settled && trace.replay.start) ? this.#view.alignment : 'step';
  }

  /** The row of the newest step of what is being made. */
  #edge(last) {
    if (!this.#making.length || this.#aligned() !== 'step') return last;
    return Math.max(...this.#making.map(({ replay }) => replay.offset + replay.steps)) - firstStep(this.#replays);
  }

  #show(row) {
    this.#panes.forEach((each, i) => each.seek(this.#rows[row][i], this.#rows[row][i] !== this.#rows[row - 1]?.[i]));
    this.#maps.forEach((each, i) => each.seek(this.#rows[row][i]));
    this.#charts.seek(row);
    this.#live.setAttribute('aria-pressed', this.#transport.following);
    // What is followed is not at a step of somebody's choice.
    if (this.#options.api && !(this.#transport.following && this.#running().length)) this.#remember(row);
  }

  /** Where a row is among `last`, in short and as it is spoken. */
  #name(row, last) {
    const aligned = this.#aligned();
    if (aligned === 'fraction') return Array(2).fill(`${percent(last ? row / last : 1)} of steps`);
    if (aligned === 'mask_ratio') {
      const [replay] = this.#replays;
      return Array(2).fill(`${percent(replay.maskedCounts()[this.#rows[row][0]] / replay.length)} masked`);
    }
    const first = firstStep(this.#replays);
    return [`${first + row} / ${first + last}`, `step ${first + row} of ${first + last}`];
  }

  /** What the charts' ends are called. */
  #ends(last) {
    if (this.#aligned() !== 'step') return ['first step', 'last step'];
    const first = firstStep(this.#replays);
    return [`step ${first}`, String(first + last)];
  }

  /** The step that was taken at a row, by the trace that is furthest. */
  #stepAt(row) {
    return Math.max(...this.#rows[row].map((cursor, i) => this.#replays[i].offset + cursor));
  }

  #seekStep(step, follow = true) {
    const row = this.#rows.findIndex((_, each) => this.#stepAt(each) >= step);
    this.#transport.seek(row < 0 ? this.#rows.length - 1 : row, follow);
  }

  #align(chosen) {
    const step = this.#stepAt(this.#transport.cursor);
    this.#view.alignment = chosen;
    this.#lay();
    this.#seekStep(step);
  }

  #remember(row) {
    clearTimeout(this.#addressing);
    const step = this.#stepAt(row);
    this.#addressing = setTimeout(() => setParameter('step', step || null), ADDRESS_MILLISECONDS);
  }

  #control() {
    const { api, offline, onAction } = this.#options;
    const running = this.#running().length > 0;
    const settled = this.#traces.every((trace) => trace.settled);
    this.#live.hidden = !running;
    this.#cancel.hidden = !running || !onAction;
    this.#alignment.disabled = !settled;
    this.#below.hidden = settled && this.#replays.every(({ start }) => !start);
    this.#export.hidden = !offline || !this.#traces.every((trace) => trace.complete);
    if (api && offline) {
      this.#export.href = `${offline}?${this.#traces.map(({ id }) => `trace=${encodeURIComponent(id)}`).join('&')}`;
    }
  }

  /** Two of the traces, once both are whole. */
  async #compare() {
    const pair = this.#pair();
    const [first, second] = pair.map((index) => this.#traces[index]);
    if (!second || !first.complete || !second.complete) return;
    const comparison = await this.#comparison(...pair);
    if (!comparison || this.#signal.aborted || String(pair) !== String(this.#pair())) return;
    const shown = [comparison, ...pair, ...this.#traces.map(({ label }) => label)];
    // Drawn anew it would close a choice that is open, and other traces bring news several times a second.
    if (this.#compared?.every((part, index) => part === shown[index])) return;
    this.#compared = shown;
    this.#comparing.replaceChildren(comparisonPanel(this.#traces, pair, comparison, {
      onStep: (step) => this.#seekStep(step),
      onPair: (chosen) => {
        this.#view.pair = chosen;
        this.#compare();
      },
    }));
    const step = comparison.divergence?.step ?? null;
    this.#divergence.disabled = step === null;
    this.#divergence.textContent = step === null && !comparison.problems ? 'Identical at every step' : 'First divergence';
    this.#divergence.onclick = () => this.#seekStep(step);
    this.#colouring.compare(comparison.problems ? null : comparison, pair);
  }

  /** What is compared: as chosen, as far as it is still there. */
  #pair() {
    const { pair } = this.#view;
    return pair.every((index) => index < this.#traces.length) ? pair : [0, 1];
  }

  async #comparison(one, other) {
    const { api, view, comparisons } = this.#options;
    if (comparisons) return comparisons[`${one}-${other}`];
    const [first, second] = [one, other].map((index) => this.#traces[index].id);
    const key = `${first} ${second}`;
    if (!view.comparisons.has(key)) view.comparisons.set(key, fetchComparison(api, first, second));
    return view.comparisons.get(key);
  }
}
