/** A partial mask of a response: which tokens are hidden, and ways to draw it. A mask is an array of booleans, true is masked. */

import { maskingAt } from './masking.js';

/** The masked positions as they stand in a link, such as 3,5-9. */
export function written(mask) {
  const parts = [];
  mask.forEach((masked, position) => {
    if (!masked) return;
    if (position > 0 && mask[position - 1]) parts.at(-1)[1] = position;
    else parts.push([position, position]);
  });
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

export function sameMask(one, other) {
  return one.length === other.length && one.every((masked, position) => masked === other[position]);
}

/** First and last position of the word that a token belongs to; whitespace goes with the word after it. */
export function wordAt(tokens, position) {
  const begins = (i) => {
    const { text, special } = tokens[i];
    const before = tokens[i - 1];
    return special || before.special || (text !== '' && (/^\s/.test(text) || (/\s$/.test(before.text) && before.text.trim() !== '')));
  };
  let [first, last] = [position, position];
  while (first > 0 && !begins(first)) first -= 1;
  while (last + 1 < tokens.length && !begins(last + 1)) last += 1;
  return [first, last];
}

/** A mask as training might draw it at diffusion time t: each token by itself, at GIFT's rates. */
export function drawnMask(relativeRates, t) {
  return relativeRates.map((rate) => Math.random() < maskingAt(rate, t, 'inverse').frequency);
}

/** Drawing by hand: a click turns a token over, with Shift the range since the last click becomes what that token became. */
export class MaskEditor {
  #anchor = null;

  constructor(mask) {
    this.mask = [...mask];
  }

  choose(first, last, extend) {
    const range = extend && this.#anchor ? [Math.min(first, this.#anchor.first), Math.max(last, this.#anchor.last)] : [first, last];
    const masked = extend && this.#anchor ? this.#anchor.masked : !this.mask[first];
    this.set(...range, masked);
    if (!extend || !this.#anchor) this.#anchor = { first, last, masked };
  }

  set(first, last, masked) {
    this.mask.fill(masked, first, last + 1);
  }

  /** Where the last click was, or the beginning. */
  get position() {
    return this.#anchor?.first ?? 0;
  }
}
