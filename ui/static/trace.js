/** A trace as states of positions, apart from how it is drawn. A cursor s means: after s of its own frames. */

// The end of a trace, which `docs/trace.md` describes with its other parts.
const STOPPED = 'stopped early';
// Keeps a place about as wide as most tokens.
const UNKNOWN = { id: null, text: '   ', special: false };

/** What is known of one trace so far. Parts come in their order: the start, frames, the end. */
export class Replay {
  start = null;
  end = null;
  frames = [];
  #tokens = new Map();
  #committedAt = [];
  #commits = new Map();
  #kinds = new Map();
  #entropy = [];
  #best = [];
  #masked = [];
  #means = [];
  #largest = 0;

  static of({ start, frames, end }) {
    const replay = new Replay();
    [start, ...frames, end].forEach((part) => replay.take(part));
    return replay;
  }

  take(part) {
    if ('prompt_text' in part) this.#begin(part);
    else if ('positions' in part) this.#add(part);
    else this.end = part;
  }

  #begin(start) {
    this.start = start;
    this.#know(start.new_tokens);
    this.#committedAt = Array(this.length).fill(Infinity);
    for (const { position, token, kind } of start.standing) {
      this.#committedAt[position] = 0;
      this.#kinds.set(position, kind);
      this.#commits.set(position, { token, confidence: null, entropy: null, top: [] });
    }
    this.#masked.push(this.length - start.standing.length);
  }

  #add(frame) {
    const number = this.frames.push(frame);
    this.#know(frame.new_tokens);
    const entropy = unpack(frame.entropy);
    this.#entropy.push(entropy);
    this.#best.push(unpack(frame.best));
    this.#measure(entropy);
    frame.positions.forEach((position, i) => {
      this.#committedAt[position] = number;
      const top = frame.top[i].map((id, k) => ({ id, probability: frame.top_probability[i][k] }));
      this.#commits.set(position, {
        token: frame.tokens[i], confidence: frame.confidence[i], entropy: this.#nats(entropy[position]), top,
      });
    });
    this.#masked.push(this.#masked.at(-1) - frame.positions.length);
  }

  #measure(entropy) {
    let [sum, count] = [0, 0];
    this.#committedAt.forEach((step, position) => {
      if (step !== Infinity) return;
      sum += entropy[position];
      count += 1;
      this.#largest = Math.max(this.#largest, entropy[position]);
    });
    this.#means.push(count ? this.#nats(sum / count) : null);
  }

  #know(tokens) {
    tokens.forEach((token) => this.#tokens.set(token.id, token));
  }

  #nats(byte) {
    return (byte / 255) * Math.log(this.start.vocabulary_size);
  }

  get length() {
    return this.start?.sampling.length ?? 0;
  }

  /** How many frames there are. */
  get steps() {
    return this.frames.length;
  }

  /** How many steps of other traces a branch goes on from. */
  get offset() {
    return this.start?.played ?? 0;
  }

  /** What this trace is called beside its parent. */
  get label() {
    return this.start.branch ? `${this.start.label}, from step ${this.offset}` : this.start.label;
  }

  /** One forward pass a frame; guidance takes another without the prompt. */
  get forwardPasses() {
    return this.steps * (this.start.sampling.cfg_scale ? 2 : 1);
  }

  get stoppedEarly() {
    return this.end?.outcome === STOPPED;
  }

  /** [length] tokens as the strip draws them: with whole glyphs once the response is known, one by one before. */
  tokens() {
    if (this.end) return this.end.response;
    return Array.from({ length: this.length }, (_, position) => {
      const id = this.#commits.get(position)?.token;
      return { ...(id === undefined ? UNKNOWN : this.token(id)), glyph: position };
    });
  }

  token(id) {
    return this.#tokens.get(id) ?? this.start.mask;
  }

  /** The frame, from 1, that fixed a position; 0 if it stood before, Infinity if none did. */
  committedAt(position) {
    return this.#committedAt[position];
  }

  /** {token, confidence, entropy, top} of a position that holds a token; entropy in nats just before. */
  commit(position) {
    return this.#commits.get(position);
  }

  /** 'given', 'placed' or 'edited' where a token stood before the first step. */
  kind(position) {
    return this.#kinds.get(position) ?? null;
  }

  isMasked(position, cursor) {
    return this.#committedAt[position] > cursor;
  }

  /**
   * [length] of given (by a person), waiting (its block has not begun), masked, revealed (by the last step), committed,
   * after (the end of turn) and uncomputed (left out, since the text ended before). `stepped` is false where the trace
   * waits for others, and no step has just been taken.
   */
  states(cursor, stepped = true) {
    const at = Math.min(cursor, this.steps);
    const next = this.#committedAt.findIndex((step) => step > at);
    const { block_length: blockLength } = this.start.sampling;
    const begun = next < 0 ? this.length : (Math.floor(next / blockLength) + 1) * blockLength;
    const end = this.#endAt(at);
    const over = this.stoppedEarly && at === this.steps;
    return this.#committedAt.map((step, position) => {
      if (step > at) {
        if (over) return 'uncomputed';
        return position < begun ? 'masked' : 'waiting';
      }
      if (step === 0) return this.#kinds.get(position) === 'placed' ? this.#settled(position, end) : 'given';
      return stepped && step === at ? 'revealed' : this.#settled(position, end);
    });
  }

  #settled(position, end) {
    return position > end ? 'after' : 'committed';
  }

  /** Position of the first end of turn that stands at a cursor; Infinity if none does. */
  #endAt(cursor) {
    const isEnd = (position) => {
      const token = this.token(this.#commits.get(position)?.token);
      return token.special && token.id !== this.start.mask.id;
    };
    const first = this.#committedAt.findIndex((_, position) => isEnd(position));
    return first >= 0 && this.#committedAt[first] <= cursor ? first : Infinity;
  }

  /** Entropy before the next step in nats; null where nothing is masked any more. */
  entropy(position, cursor) {
    const row = this.#row(this.#entropy, cursor);
    return row && this.isMasked(position, cursor) ? this.#nats(row[position]) : null;
  }

  /** Probability of the most probable token before the next step; null where nothing is masked any more. */
  confidence(position, cursor) {
    const row = this.#row(this.#best, cursor);
    return row && this.isMasked(position, cursor) ? row[position] / 255 : null;
  }

  /** What the last step saw is all that is known after it. */
  #row(rows, cursor) {
    return rows[Math.min(cursor, this.steps - 1)];
  }

  get largestEntropy() {
    return this.start ? this.#nats(this.#largest) : 0;
  }

  /** Masked positions at every cursor, [steps + 1]. */
  maskedCounts() {
    return this.#masked;
  }

  /** Mean entropy over masked positions before every step in nats, [steps]; null where none is masked. */
  meanEntropies() {
    return this.#means;
  }
}

function unpack(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
