/** How often training masks a token and what that counts, and the layers in which a token view shows it. */

import { DIFFERENCE, PRODUCT, PROBABILITY, TRUTH, WEIGHT, rateScale } from './scale.js';

// What SFT masks over all t: the mean of t, uniform on (0.001, 1).
const SFT_OVER_TIME = 0.5005;

export const WEIGHTINGS = {
  inverse: 'Inverse, 1/tᵢ, is the paper’s Algorithm. It cancels the frequency: on average every token counts 1, as under SFT, '
    + 'and what GIFT changes is in which contexts a token is learned.',
  elbo: 'ELBO, rᵢ(1−t)^(rᵢ−1)/tᵢ, has the factor that the Algorithm leaves out, so that the loss is a bound on −log p(x): unsure '
    + 'tokens count more at a small t and less at a large one, and over all t as much as any.',
};

/**
 * {frequency, weight, product} at diffusion time t in (0, 1), as `masking_at` of masking_frequency.py computes them.
 * SFT is r_i = 1. A token with r_i = 0 is never masked: its weight is infinite, and its product 0.
 */
export function maskingAt(relativeRate, t, weighting) {
  if (relativeRate === 0) return { frequency: 0, weight: Infinity, product: 0 };
  const logRest = Math.log1p(-t);
  // In the form that keeps small rates exact.
  const frequency = -Math.expm1(relativeRate * logRest);
  const product = weighting === 'inverse' ? 1 : relativeRate * Math.exp((relativeRate - 1) * logRest);
  return { frequency, weight: product / frequency, product };
}

/** A token's masking under `when` = {t, weighting}; the mean over t, where t is null, comes from the document. */
export function maskingOf(checkpoint, i, { t, weighting }) {
  if (t !== null) return maskingAt(checkpoint.relative_rate[i], t, weighting);
  const { frequency, weighted } = checkpoint.masking.find((each) => each.t === null);
  const { weight, product } = weighted.find((each) => each.weighting === weighting);
  return { frequency: frequency[i], weight: weight[i] ?? Infinity, product: product[i] };
}

/** The probability with which SFT masks every token at t, or over all t. */
export function sftFrequency(t) {
  return t ?? SFT_OVER_TIME;
}

/** How the expected masked tokens are spread: the share of all, and what of it falls on the quarter of highest entropy. */
export function maskedShares(checkpoint, when) {
  const frequencies = checkpoint.relative_rate.map((_, i) => maskingOf(checkpoint, i, when).frequency);
  const order = frequencies.map((_, i) => i).sort((a, b) => checkpoint.entropy[b] - checkpoint.entropy[a]);
  const quarter = order.slice(0, Math.ceil(order.length / 4));
  const sum = (places) => places.reduce((total, i) => total + frequencies[i], 0);
  return {
    masked: sum(order) / order.length,
    unsure: sum(order) ? sum(quarter) / sum(order) : 0,
    even: quarter.length / order.length,
  };
}

/**
 * [{key, label, scale, help, value(checkpoint, position, when), weighted, here}, ...]. `weighted`: depends on the weighting.
 * `here(partial, position)` is the same measure where only a part of the response is masked.
 */
export function layersOf(entropyScale, rates) {
  return [
    {
      key: 'entropy', label: 'Entropy', scale: entropyScale,
      help: 'How unsure a checkpoint is about each token: 0 is certain, ln V a blind guess among all V tokens. '
        + 'GIFT hides unsure tokens more often, as the second strip shows.',
      value: (checkpoint, i) => checkpoint.entropy[i],
      here: (partial, i) => partial.entropy[i],
    },
    {
      key: 'truth', label: 'Probability', scale: TRUTH,
      help: 'How probable a checkpoint finds the token that stands there. It can be sure of another one: then this is low, and so '
        + 'is the entropy.',
      value: (checkpoint, i) => checkpoint.probability[i],
      here: (partial, i) => partial.probability[i],
    },
    {
      key: 'rate', label: 'Rate β', scale: rateScale(rates),
      help: 'The entropy to the chosen power. Only its ratio to the mean, β_ref, matters: a token above β_ref is hidden more often than '
        + 'SFT would, one below it less often.',
      value: (checkpoint, i) => checkpoint.masking_rate[i],
    },
    {
      key: 'probability', label: 'Masked tᵢ', scale: PROBABILITY,
      help: 'How often GIFT hides each token in training, at one diffusion time t or over all of them. SFT hides every token equally often.',
      value: (checkpoint, i, when) => maskingOf(checkpoint, i, when).frequency,
    },
    {
      key: 'difference', label: 'tᵢ − t', scale: DIFFERENCE,
      help: 'Where GIFT departs from SFT: orange tokens are hidden more often than SFT would, blue ones less often. '
        + 'A dashed line also marks “less”.',
      value: (checkpoint, i, when) => maskingOf(checkpoint, i, when).frequency - sftFrequency(when.t),
    },
    {
      key: 'weight', label: 'Weight', scale: WEIGHT, weighted: true,
      help: 'What the error on a token is multiplied by whenever that token is hidden.',
      value: (checkpoint, i, when) => maskingOf(checkpoint, i, when).weight,
    },
    {
      key: 'product', label: 'tᵢ × weight', scale: PRODUCT, weighted: true,
      help: 'What a token counts in the loss on average: how often it is hidden, times its weight when it is. Under SFT all count 1.',
      value: (checkpoint, i, when) => maskingOf(checkpoint, i, when).product,
    },
  ];
}
