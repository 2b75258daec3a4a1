/** The key to the looks of tokens in the player: those that the traces have. */

import { el } from './dom.js';

const stood = (...kinds) => (replay) => replay.start?.standing.some(({ kind }) => kinds.includes(kind));
const STATES = [
  ['waiting', 'not yet in its block', ({ start, length }) => start && length > start.sampling.block_length],
  ['masked', 'masked'],
  ['revealed', 'revealed by this step'],
  ['committed', 'committed'],
  ['given', 'given or edited', stood('given', 'edited')],
  ['after', 'after the end of turn'],
  ['uncomputed', 'after the end, not computed', ({ stoppedEarly }) => stoppedEarly],
];

/** Items of the key. */
export function statesThatOccur(replays) {
  return STATES.filter(([, , occurs]) => !occurs || replays.some(occurs)).map(([state, label]) =>
    el('li', {},
      el('span', { class: 'gs-cell', 'data-state': state, 'aria-hidden': true }, el('span', {}, '7')), label));
}
