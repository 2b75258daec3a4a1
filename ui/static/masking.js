/** GIFT's masking at diffusion time t, as the trainer computes it, and the layers in which a token view shows it. */

import { DIFFERENCE, PROBABILITY, WEIGHT } from './scale.js';

/** t_i = 1 - (1 - t) ** r_i, in the form that keeps small rates exact. SFT is r_i = 1. */
export function maskingProbability(relativeRate, t) {
  return -Math.expm1(relativeRate * Math.log1p(-t));
}

/** [{key, label, scale, help, value(checkpoint, position, t)}, ...] with entropies on the given scale. */
export function layersOf(entropyScale) {
  const probability = (checkpoint, i, t) => maskingProbability(checkpoint.relative_rate[i], t);
  return [
    {
      key: 'entropy', label: 'Entropy', scale: entropyScale,
      help: 'How unsure a checkpoint is about each token when the whole response is hidden: 0 is certain, ln V a blind guess '
        + 'among all V tokens. GIFT hides unsure tokens more often, as the second strip shows.',
      value: (checkpoint, i) => checkpoint.entropy[i],
    },
    {
      key: 'probability', label: 'Masking probability tᵢ', scale: PROBABILITY,
      help: 'How often GIFT hides each token in training at diffusion time t. SFT hides every token equally often, '
        + 'with probability t.',
      value: probability,
    },
    {
      key: 'weight', label: 'Weight when masked', scale: WEIGHT,
      help: 'What the error on a token is multiplied by whenever that token is hidden, 1/tᵢ: rarely hidden tokens count '
        + 'more when they are. SFT uses 1/t for all.',
      value: (checkpoint, i, t) => 1 / probability(checkpoint, i, t),
    },
    {
      key: 'difference', label: 'tᵢ − t', scale: DIFFERENCE,
      help: 'Where GIFT departs from SFT: orange tokens are hidden more often than SFT would, blue ones less often. '
        + 'A dashed line also marks “less”.',
      value: (checkpoint, i, t) => probability(checkpoint, i, t) - t,
    },
  ];
}
