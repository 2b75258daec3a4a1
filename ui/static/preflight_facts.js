/** The estimates of a preflight; what is not known is said so. */

import { el } from './dom.js';
import { byteUnit, decimal, duration, integer, percent } from './scale.js';

/** Facts, and how the time was estimated. `estimates` is that of a PreflightReport. */
export function preflightFacts(estimates) {
  const { runs, tokens, steps, memory, disk, time, time_by_run: times } = estimates;
  const facts = [
    ['Runs', runs && integer(runs)],
    ['Training time', steps && (time ? about(time) : 'not known')],
    ['Memory at its peak', memory ? room(memory.needed, memory.available) : steps && 'not known'],
    ['Disk, all runs', disk ? room(disk.experiment, disk.available) : steps && 'not known'],
    ['Steps of a run', steps && integer(steps.steps)],
    ['Checkpoint', steps && every(steps.checkpoint_every)],
    ['Tokens of an epoch', tokens && `${integer(tokens.prompt + tokens.response)}, ${integer(tokens.response)} learned`],
    ['End-of-text tail', tokens && `${percent(tokens.tail / tokens.response)} of those learned`],
  ].filter(([, value]) => value);
  return [
    el('dl', { class: 'gs-facts' }, facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
    ...notes(tokens, time, times),
  ];
}

function notes(tokens, time, times) {
  const counted = tokens && tokens.counted < tokens.examples
    ? `By the first ${integer(tokens.counted)} of ${integer(tokens.examples)} examples.` : '';
  const each = times.length > 1 ? times.map((one) => `${one.label}: ${about(one)}.`).join(' ') : '';
  const how = time && [each, time.explanation, 'Held-out losses and scoring come on top.'].filter(Boolean).join(' ');
  return [
    counted ? el('p', { class: 'gs-note' }, counted) : null,
    how ? el('details', { class: 'gs-note' }, el('summary', {}, 'How the time was estimated'), el('p', {}, how)) : null,
  ].filter(Boolean);
}

function every(steps) {
  return steps > 1 ? `every ${integer(steps)} steps` : 'every step';
}

function about({ likely, low, high, basis }) {
  const [usual, from, to] = [likely, low, high].map(roughly);
  if (basis === 'computed') return `about ${usual}, a rough guess`;
  return from === to ? `about ${usual}` : `about ${usual} (usually ${from} to ${to})`;
}

/** A duration without seconds where it has minutes: an estimate is not known that well. */
function roughly(seconds) {
  return seconds < 100 || seconds >= 3600 ? duration(seconds) : `${Math.round(seconds / 60)}\u00a0min`;
}

function room(needed, available) {
  return available === null ? bytes(needed) : `${bytes(needed)} of ${bytes(available)} free`;
}

function bytes(count) {
  const { name, size } = byteUnit(count);
  return `${decimal(count / size, size > 2 ** 20 ? 1 : 0)}\u00a0${name}`;
}
