/** How the numbers of an evaluation are written. No share stands without its counts or its interval. */

import { decimal, integer, percent } from './scale.js';

/** "152 of 256 solved, 59.4 % [53.3, 65.2]" of a Share. */
export function scoreOf(share) {
  return `${integer(share.correct)} of ${integer(share.n)} solved, ${percent(share.share, 1)} ${bracket(share, 100)}`;
}

/** An interval in brackets, its bounds times `factor`; "" where there is none. */
export function bracket({ low, high }, factor = 1) {
  if (low === null || high === null) return '';
  return `[${decimal(factor * low, 1)}, ${decimal(factor * high, 1)}]`;
}

/** Points with their sign. */
export function signed(points) {
  return `${points > 0 ? '+' : ''}${decimal(points, 1)}`;
}

export function probability(p) {
  if (p < 0.001) return '< 0.001';
  return p > 0.995 ? '1' : p.toPrecision(2);
}

/** The condition that was answered last, which is the one in work; undefined before the first answer. */
export function latest({ conditions }) {
  return conditions?.at(-1);
}

/** The result of a length and seed, if it has answers. */
export function conditionOf({ conditions }, length, seed) {
  return conditions?.find((each) => each.sampling.length === length && each.seed === seed);
}

/** Lengths and seeds that any of the evaluations has answers to, as {length, seed}, in their order. */
export function answeredConditions(evaluations) {
  const all = evaluations.flatMap(({ conditions }) => conditions ?? []);
  const keys = new Map(all.map(({ sampling: { length }, seed }) => [`${length} ${seed}`, { length, seed }]));
  return [...keys.values()].sort((a, b) => a.length - b.length || a.seed - b.seed);
}
