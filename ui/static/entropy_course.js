/** The mean entropy of a training over its response tokens, which falls to next to nothing where it collapses. */

// What the studio tells its webhooks by default: see docs/operations.md.
const REPORTS = 3;
const SHARE = 0.1;

export class EntropyCourse {
  #first = [];
  #recent = [];
  #begun = null;
  #isLow = false;

  /** Takes metric points; {step, from, to} in nats where it has collapsed with one of them, or null. */
  take(points) {
    return points.map((point) => this.#one(point)).findLast(Boolean) ?? null;
  }

  #one({ step, values: { mean_entropy: entropy } }) {
    if (!Number.isFinite(entropy)) return null;
    this.#begin(step);
    if (this.#first.length < REPORTS) this.#first.push(entropy);
    this.#recent = [...this.#recent, entropy].slice(-REPORTS);
    const from = this.#first.reduce((sum, each) => sum + each, 0) / this.#first.length;
    const wasLow = this.#isLow;
    this.#isLow = this.#recent.length === REPORTS && Math.max(...this.#recent) < SHARE * from;
    return this.#isLow && !wasLow ? { step, from, to: entropy } : null;
  }

  /** A training that was begun anew has another start. */
  #begin(step) {
    if (this.#begun !== null && step > this.#begun) return;
    this.#begun = step;
    this.#first = [];
    this.#recent = [];
    this.#isLow = false;
  }
}
