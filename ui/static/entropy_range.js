/** How far the colours of entropies reach: to the largest that is shown, or to the largest that is possible. */

import { segmented } from './dom.js';
import { axisEnd, decimal, entropyScale } from './scale.js';

export const FITTED = 'fitted';
const RANGES = [[FITTED, 'Fitted'], ['full', 'Full (ln V)']];

/** One scale for all `entropies`, in nats. */
export function scaleOver(range, entropies, vocabularySize) {
  const possible = Math.log(vocabularySize);
  if (range !== FITTED) return entropyScale(possible, `${decimal(possible)} = ln ${vocabularySize}`);
  const largest = entropies.reduce((most, nats) => Math.max(most, nats), 0);
  return entropyScale(Math.min(possible, axisEnd(largest)));
}

export function rangeSwitch(selected, onChange) {
  return segmented('Scale', RANGES, selected, onChange);
}
