/** How a run's state is written. */

import { el } from './dom.js';

// Each state has its own shape, so it does not depend on colour.
const SHAPES = {
  queued: '○', running: '◐', stopping: '◌', finished: '✓', stopped: '■', failed: '✕', interrupted: '!',
};

export function stateShape(state) {
  return el('span', { class: 'gs-shape', 'aria-hidden': true }, SHAPES[state] ?? '?');
}

/** Whether a run has a process. */
export function isLive(state) {
  return state === 'running' || state === 'stopping';
}

/** Whether a state may still change. */
export function isOpen(state) {
  return state === 'queued' || isLive(state);
}

/** Whether there are weights to look at, and to go on from. */
export function hasWeights({ actions }) {
  return actions.includes('continue');
}
