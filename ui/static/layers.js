/** What the strips of the player can be coloured by. A layer is {id, label, scale, value(replay, position, cursor)}. */

import { axisEnd, decimal, integer } from './scale.js';

const clamp = (x) => Math.min(1, Math.max(0, x));
const CONFIDENCE = { title: 'Confidence at commit', ramp: 'sequential', position: clamp, ticks: ['0', '0.5', '1'] };

/** Layers of single traces; `entropy` is the scale of entropies, `last` the last step. */
export function ownLayers(entropy, last) {
  return [
    { id: 'entropy', label: 'Entropy', scale: entropy, value: (replay, position, cursor) => replay.entropy(position, cursor) },
    { id: 'commit', label: 'Commit step', scale: steps(last), value: placed((replay, position) => replay.offset + replay.committedAt(position)) },
    { id: 'confidence', label: 'Confidence', scale: CONFIDENCE, value: placed((_, __, commit) => commit.confidence) },
  ];
}

/** Layers of a trace against the first, from their `TraceComparison`. */
export function differenceLayers({ positions }) {
  const layer = (id, label, title, field, least, format) => {
    const values = positions.map((each) => each[field]);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), least);
    return {
      id, label, difference: true, scale: diverging(title, axisEnd(largest), format),
      value: (replay, position, cursor) => (replay.isMasked(position, cursor) ? null : values[position]),
    };
  };
  return [
    layer('step-difference', 'Δ step', 'Steps later than in the first', 'commit_step_difference', 1, integer),
    layer('confidence-difference', 'Δ confidence', 'Confidence at commit, minus the first’s', 'confidence_difference', 0.1, decimal),
    layer('entropy-difference', 'Δ entropy', 'Entropy before commit, minus the first’s, nats', 'entropy_difference', 0.1, decimal),
  ];
}

/** A value of what a step of this trace committed; null before that, and for what stood before. */
function placed(value) {
  return (replay, position, cursor) => {
    const fixed = replay.isMasked(position, cursor) || replay.committedAt(position) === 0;
    return fixed ? null : value(replay, position, replay.commit(position));
  };
}

function steps(last) {
  const most = Math.max(last, 1);
  return {
    title: 'Step of commit', ramp: 'sequential', position: (step) => clamp(step / most),
    ticks: ['0', integer(most / 2), integer(most)],
  };
}

function diverging(title, most, format) {
  return {
    title, ramp: 'diverging', position: (value) => clamp(0.5 + value / (2 * most)),
    ticks: [`−${format(most)}`, '0', `+${format(most)}`],
  };
}
