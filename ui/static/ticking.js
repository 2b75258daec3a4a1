/** How long something has been computed, as the server counts it, and from then on as time passes here. */

import { isLive } from './run_state.js';

/** A function that says for how many seconds {state, elapsed} has been computed: no clock is compared with another. */
export function ticking({ state, elapsed }) {
  const told = performance.now();
  return () => elapsed + (isLive(state) ? (performance.now() - told) / 1000 : 0);
}
