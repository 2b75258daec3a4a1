/** A Trace as states of positions over steps, apart from how it is drawn. A cursor s means: after s steps. */

/** Positions' states and measures at every cursor of one trace. */
export class Replay {
  #committedAt;
  #entropy;
  #confidence;
  #most;
  #end;

  constructor(trace) {
    this.trace = trace;
    this.commits = new Map(trace.steps.flat().map((commit) => [commit.position, commit]));
    this.#committedAt = Array(trace.length).fill(Infinity);
    trace.steps.forEach((commits, step) => commits.forEach(({ position }) => { this.#committedAt[position] = step + 1; }));
    this.#entropy = unpack(trace.entropy);
    this.#confidence = unpack(trace.confidence);
    this.#most = Math.log(trace.vocabulary_size);
    this.#end = trace.response.findIndex((token) => token.special);
  }

  get steps() {
    return this.trace.steps.length;
  }

  /** The step, from 1, that fixed a position. */
  committedAt(position) {
    return this.#committedAt[position];
  }

  isMasked(position, cursor) {
    return this.#committedAt[position] > cursor;
  }

  /** [length] of waiting (its block has not begun), masked, revealed (by the last step), committed, after (the end of turn). */
  states(cursor) {
    const { length, block_length: blockLength } = this.trace;
    const at = Math.min(cursor, this.steps);
    const next = this.#committedAt.findIndex((step) => step > at);
    const begun = next < 0 ? length : (Math.floor(next / blockLength) + 1) * blockLength;
    const ended = this.#end >= 0 && this.#committedAt[this.#end] <= at;
    return this.#committedAt.map((step, position) => {
      if (step > at) return position < begun ? 'masked' : 'waiting';
      if (step === cursor) return 'revealed';
      return ended && position > this.#end ? 'after' : 'committed';
    });
  }

  /** Entropy before the next step in nats; null where nothing is masked any more. */
  entropy(position, cursor) {
    return this.isMasked(position, cursor) ? this.#most * this.#at(this.#entropy, position, cursor) : null;
  }

  /** Every step's largest entropy in nats, [steps]. */
  largestEntropies() {
    const { length } = this.trace;
    return this.trace.steps.map((_, step) =>
      this.#most * (Math.max(...this.#entropy.subarray(step * length, (step + 1) * length)) / 255));
  }

  /** Probability of the most probable token before the next step; null where nothing is masked any more. */
  confidence(position, cursor) {
    return this.isMasked(position, cursor) ? this.#at(this.#confidence, position, cursor) : null;
  }

  #at(bytes, position, cursor) {
    const row = Math.min(cursor, this.steps - 1);
    return bytes[row * this.trace.length + position] / 255;
  }

  /** Masked positions at every cursor, [steps + 1]. */
  maskedCounts() {
    let left = this.trace.length;
    return [left, ...this.trace.steps.map((commits) => { left -= commits.length; return left; })];
  }

  /** Mean entropy over masked positions at every cursor in nats, [steps + 1]; null where none is masked. */
  meanEntropies() {
    return Array.from({ length: this.steps + 1 }, (_, cursor) => {
      const values = this.#committedAt.flatMap((_, position) => this.entropy(position, cursor) ?? []);
      return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
    });
  }
}

function unpack(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** The first step, from 1, at which two traces commit different tokens or positions; null if none. */
export function firstDivergence(a, b) {
  const steps = Math.max(a.steps.length, b.steps.length);
  const index = Array.from({ length: steps }, (_, step) => step).find((step) => commitKey(a, step) !== commitKey(b, step));
  return index === undefined ? null : index + 1;
}

function commitKey(trace, step) {
  return (trace.steps[step] ?? []).map(({ position, token }) => `${position}:${token.id}`).sort().join();
}
