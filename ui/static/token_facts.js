/** What the player says of one position of a trace at a cursor. */

import { decimal, percent } from './scale.js';

const STOOD = {
  given: 'given before the first step', edited: 'edited where the trace was left', placed: 'from the trace that this one goes on',
};

/** The end of a token's spoken label. */
export function describe(replay, i, cursor) {
  if (replay.isMasked(i, cursor)) return unfilled(replay, i, cursor);
  return replay.committedAt(i) ? `committed at step ${replay.offset + replay.committedAt(i)}` : STOOD[replay.kind(i)];
}

function unfilled(replay, i, cursor) {
  if (isLeftOut(replay, cursor)) return 'after the end, not computed';
  const entropy = replay.entropy(i, cursor);
  return entropy === null ? '' : `entropy ${decimal(entropy)} nats`;
}

/** Whether what is masked stays so, since the text ended before. */
function isLeftOut(replay, cursor) {
  return replay.stoppedEarly && cursor >= replay.steps;
}

/** The rows of a token's card. */
export function details(replay, i, cursor) {
  if (replay.isMasked(i, cursor)) {
    if (!replay.steps || isLeftOut(replay, cursor)) return [];
    return [
      ['Entropy now', `${decimal(replay.entropy(i, cursor))} nats`],
      ['Best candidate now', percent(replay.confidence(i, cursor))],
    ];
  }
  const { confidence, entropy } = replay.commit(i);
  if (!replay.committedAt(i)) return [['Stood there', STOOD[replay.kind(i)]]];
  return [
    ['Committed at step', `${replay.offset + replay.committedAt(i)} of ${replay.offset + replay.steps}`],
    ['Confidence then', decimal(confidence, 3)],
    ['Entropy before', `${decimal(entropy)} nats`],
  ];
}

/** What a step chose a token from: [{token, probability}]. */
export function candidates(replay, i, cursor) {
  if (replay.isMasked(i, cursor)) return [];
  return replay.commit(i).top.map(({ id, probability }) => ({ token: replay.token(id), probability }));
}
