/** What can be charted of a run, by the names under which it is reported, in the groups of the menu. */

// A run that reports `beside` and not the metric never will: `absent` says why.
const OF_THE_PROBE = { beside: 'mask_ratio', absent: 'without a probe of the entropy there is nothing to show.' };

/**
 * `own`: each method weighs it in its own way. `exact`: drawn as it is, never smoothed. `dots`: measured now and then.
 * `band`: reported as three percentiles. `deciles`: reported for ten parts of the tokens. `share` and `bytes` say how its
 * numbers are written.
 */
export const GROUPS = [
  ['Loss', [
    { name: 'loss', label: 'Training loss', own: true },
    { name: 'eval_loss', label: 'Held-out loss', exact: true, dots: true },
    {
      name: 'eval_objective', label: 'The method’s own held-out loss', exact: true, dots: true, own: true,
      beside: 'eval_loss', absent: 'its own is the held-out loss.',
    },
    { name: 'tail_loss_share', label: 'Loss on the end-of-text tail', share: true },
    { name: 'loss_share_decile', label: 'Share of the loss by entropy decile', share: true, deciles: true, ...OF_THE_PROBE },
  ]],
  ['Tokens', [
    { name: 'mask_ratio', label: 'Share of the response masked', share: true },
    { name: 'masking_probability', label: 'Masking probability tᵢ', band: true },
    { name: 'masking_rate', label: 'Masking rate βᵢ = Hᵢ ** power', band: true, ...OF_THE_PROBE },
    { name: 'relative_rate', label: 'Relative rate rᵢ', band: true, ...OF_THE_PROBE },
    { name: 'entropy', label: 'Entropy, nats', band: true, ...OF_THE_PROBE },
    { name: 'mean_entropy', label: 'Mean entropy, nats', ...OF_THE_PROBE },
  ]],
  ['Optimiser', [
    { name: 'grad_norm', label: 'Gradient norm' },
    { name: 'learning_rate', label: 'Learning rate' },
  ]],
  ['Machine', [
    { name: 'tokens_per_second', label: 'Tokens per second' },
    { name: 'peak_memory_bytes', label: 'Peak memory', bytes: true, exact: true },
  ]],
];
const METRICS = new Map(GROUPS.flatMap(([, metrics]) => metrics).map((metric) => [metric.name, metric]));

export function metricOf(name) {
  return METRICS.get(name);
}

/** Under which names a metric is reported. */
export function partsOf({ name, band, deciles }) {
  if (band) return ['p10', 'p50', 'p90'].map((percentile) => `${name}_${percentile}`);
  if (deciles) return Array.from({ length: 10 }, (_, i) => `${name}_${i + 1}`);
  return [name];
}

/** Whether a run has points of the metric; `steps` are its steps by reported name. */
export function isMeasured({ steps }, metric) {
  return Boolean(steps[partsOf(metric)[0]]?.length);
}

/** Whether a run will never have any. */
export function isAbsent(run, metric) {
  return Boolean(run.steps[metric.beside]?.length) && !isMeasured(run, metric);
}
