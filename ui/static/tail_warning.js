/** What is said when the end-of-text tail takes over what a model learns. */

import { percent } from './scale.js';

const MOST_TAIL = 0.5;

/** `clause` goes on after the percentage. Empty while the share is no larger than it should be. */
export function tailWarning(share, clause) {
  if (!(share > MOST_TAIL)) return '';
  return `${percent(share)} ${clause}. Choose the tail “one”, or a shorter sampling block.`;
}
