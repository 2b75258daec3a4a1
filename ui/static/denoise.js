/** Checkpoints filling the same prompt, step by step and side by side. `data` is {traces: Trace[]}. */

import { component, el } from './dom.js';
import { FITTED, rangeSwitch, scaleOver } from './entropy_range.js';
import { legend } from './legend.js';
import { Popover } from './popover.js';
import { axisEnd, decimal, duration, integer, percent, seriesStyle } from './scale.js';
import { stepChart } from './step_chart.js';
import { TokenStrip } from './token_strip.js';
import { Replay, firstDivergence } from './trace.js';
import { Transport } from './transport.js';

const STATES = [
  ['waiting', 'not yet in its block'], ['masked', 'masked, coloured by entropy'], ['revealed', 'revealed by this step'],
  ['committed', 'committed'], ['after', 'after the end of turn'],
];

export function mount(host, { data }) {
  const view = { range: FITTED };
  return component(host, 'denoise', data, (next, signal) =>
    (next?.traces?.length ? draw(next.traces, view, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and a prompt, and watch each of them fill in its response here.');
}

function draw(traces, view, signal) {
  const popover = new Popover(signal);
  const replays = traces.map((trace) => new Replay(trace));
  const steps = Math.max(...replays.map((replay) => replay.steps));
  const entropies = replays.flatMap((replay) => replay.largestEntropies());
  const vocabularySize = Math.max(...traces.map((trace) => trace.vocabulary_size));
  const means = replays.map((replay) => replay.meanEntropies());
  const key = el('div', { class: 'gs-key' });
  const panes = replays.map((replay, index) => pane(replay, index, { popover, signal, onHover: hover }));
  const charts = [
    stepChart('Masked positions', replays.map((replay) => replay.maskedCounts()),
      Math.max(...traces.map((trace) => trace.length)), steps, integer),
    stepChart('Mean entropy where masked, nats', means, axisEnd(Math.max(...means.flat())), steps, decimal),
  ];
  const followers = [...panes, ...charts];
  const transport = new Transport(steps, (cursor) => followers.forEach((each) => each.seek(cursor)), signal);

  function hover(position) {
    panes.forEach((each) => each.highlight(position));
  }

  function chooseRange(range) {
    view.range = range;
    const scale = scaleOver(range, entropies, vocabularySize);
    key.replaceChildren(legend(scale));
    panes.forEach((each) => each.colour(scale));
  }

  chooseRange(view.range);
  transport.seek(0);
  return [
    el('section', {
      class: 'gs-player', tabindex: 0, role: 'group',
      'aria-label': 'Denoising: Space plays, arrow keys step, Home and End jump',
      onkeydown: (event) => transport.key(event),
    },
    el('div', { class: 'gs-toolbar' }, transport.root, traces.length > 1 ? divergenceButton(traces, transport) : null),
    el('div', { class: 'gs-context' },
      el('div', { class: 'gs-about' },
        stateKey(), el('div', { class: 'gs-legends' }, key, rangeSwitch(view.range, chooseRange))),
      promptBlock(traces[0].prompt, popover, signal)),
    el('div', { class: 'gs-panes' }, panes.map((each) => each.root)),
    el('div', { class: 'gs-charts' }, charts.map((chart) => chart.root))),
    popover.root,
  ];
}

function stateKey() {
  return el('ul', { class: 'gs-states' }, STATES.map(([state, label]) =>
    el('li', {},
      el('span', { class: 'gs-cell', 'data-state': state, 'aria-hidden': true }, el('span', {}, '7')), label)));
}

function divergenceButton([a, b], transport) {
  const step = firstDivergence(a, b);
  const label = step === null ? 'Identical at every step' : 'First divergence';
  const title = `The first step at which ${a.label} and ${b.label} commit different tokens`;
  return el('button', { type: 'button', title, disabled: step === null, onclick: () => transport.seek(step) }, label);
}

function promptBlock(tokens, popover, signal) {
  const strip = new TokenStrip(tokens, { label: 'Prompt', popover, signal, describe: () => 'prompt' });
  strip.update({ states: tokens.map(() => 'prompt') });
  return el('section', { class: 'gs-pane gs-prompt' }, el('header', {}, el('h3', {}, 'Prompt')), strip.root);
}

/** One checkpoint's response as it fills. */
function pane(replay, index, { popover, signal, onHover }) {
  const { trace } = replay;
  let [cursor, scale] = [0, null];
  const strip = new TokenStrip(trace.response, {
    label: `${trace.label}: response`, popover, signal, onHover,
    hidden: (i) => replay.isMasked(i, cursor),
    describe: (i) => describe(replay, i, cursor),
    details: (i) => details(replay, i, cursor),
    candidates: (i) => (replay.isMasked(i, cursor) ? [] : replay.commits.get(i).top),
  });

  function paint() {
    const values = trace.response.map((_, i) => replay.entropy(i, cursor));
    strip.update({ values, scale, states: replay.states(cursor) });
  }

  return {
    root: el('section', { class: 'gs-pane' },
      el('header', {},
        el('h3', {}, el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), trace.label),
        trace.verdict ? el('span', { class: 'gs-verdict' }, trace.verdict) : null,
        el('span', { class: 'gs-note' },
          `${integer(replay.steps)} steps, ${integer(trace.forward_passes)} forward passes, ${duration(trace.seconds)}`)),
      strip.root),
    seek: (next) => {
      cursor = next;
      paint();
    },
    colour: (next) => {
      scale = next;
      paint();
    },
    highlight: (position) => strip.highlight(position),
  };
}

function describe(replay, i, cursor) {
  if (replay.isMasked(i, cursor)) return `entropy ${decimal(replay.entropy(i, cursor))} nats`;
  return `committed at step ${replay.committedAt(i)}`;
}

function details(replay, i, cursor) {
  if (replay.isMasked(i, cursor)) {
    return [
      ['Entropy now', `${decimal(replay.entropy(i, cursor))} nats`],
      ['Best candidate now', percent(replay.confidence(i, cursor))],
    ];
  }
  return [
    ['Committed at step', `${replay.committedAt(i)} of ${replay.steps}`],
    ['Confidence then', decimal(replay.commits.get(i).confidence, 3)],
  ];
}
