/** One checkpoint's response in the chosen layer, and beside it what to compare that with. */

import { el } from './dom.js';
import { maskedShares, maskingOf, sftFrequency } from './masking.js';
import { PROBABILITY, decimal, percent } from './scale.js';
import { TokenStrip } from './token_strip.js';

/**
 * `show` takes {layer, when, here, mask}: the measure, {t, weighting} with t null for the mean over t, whether it is the partial
 * mask's, and the mask to draw or null.
 */
export function pane(checkpoint, inspection, { popover, signal, onHover, onChoose }) {
  let how = null;
  const { response, power } = inspection;
  const common = {
    popover, signal, onHover, onChoose,
    // A strip names its cells when it is made, before anything is shown.
    describe: (i) => (how ? spoken(checkpoint, i, how) : ''),
    details: (i) => details(checkpoint, i, how, power),
    candidates: (i) => (how.here && checkpoint.partial.top[i].length ? checkpoint.partial.top[i] : checkpoint.top[i]),
  };
  const main = new TokenStrip(response, { label: `${checkpoint.label}: response`, ...common });
  const beside = new TokenStrip(response, { label: `${checkpoint.label}: masking probability`, ...common });
  const [title, besideTitle, shares] = [el('figcaption'), el('figcaption'), el('p', { class: 'gs-note' })];
  const pair = el('div', { class: 'gs-pair' },
    el('figure', {}, title, main.root), el('figure', {}, besideTitle, beside.root));

  function show(next) {
    how = next;
    const { layer, when, here, mask } = how;
    shares.replaceChildren(...describeShares(checkpoint, when));
    title.textContent = here ? `${layer.label} at this mask` : layer.label;
    main.update({
      values: response.map((_, i) => valueAt(checkpoint, i, how)), scale: layer.scale,
      states: response.map((_, i) => stateAt(mask, i)),
    });
    const second = besideOf(checkpoint, how);
    pair.classList.toggle('gs-single', !second);
    if (!second) return;
    besideTitle.textContent = second.title;
    beside.root.setAttribute('aria-label', `${checkpoint.label}: ${second.name}`);
    beside.update({
      values: response.map((_, i) => second.value(i)), scale: second.scale, states: response.map(() => ''),
    });
  }

  return {
    root: el('section', { class: 'gs-pane' },
      el('header', {}, el('h3', {}, checkpoint.label),
        el('span', { class: 'gs-aside', title: 'The mean masking rate: tokens above it are masked more often than SFT would' },
          `β_ref ${decimal(checkpoint.reference, 3)}`), shares),
      pair),
    show,
    highlight: (position) => [main, beside].forEach((strip) => strip.highlight(position)),
  };
}

export function promptBlock(tokens, popover, signal) {
  const strip = new TokenStrip(tokens, { label: 'Prompt', popover, signal, describe: () => 'prompt, never masked' });
  strip.update({ states: tokens.map(() => 'prompt') });
  return el('section', { class: 'gs-pane gs-prompt' },
    el('header', {}, el('h3', {}, 'Prompt'), el('span', { class: 'gs-note' }, 'never masked')), strip.root);
}

/** Null, a plain cell, for a token in sight: there is nothing to predict. */
function valueAt(checkpoint, i, { layer, when, here, mask }) {
  if (mask && !mask[i]) return null;
  return here ? layer.here(checkpoint.partial, i) : layer.value(checkpoint, i, when);
}

function stateAt(mask, i) {
  if (!mask) return '';
  return mask[i] ? 'asked' : 'visible';
}

/** The second strip: the probe below a partial mask, t_i below entropies; null where there is none. */
function besideOf(checkpoint, { layer, when, here }) {
  if (here) {
    return {
      title: `${layer.label} with all masked`, name: 'all masked', scale: layer.scale,
      value: (i) => layer.value(checkpoint, i, when),
    };
  }
  if (layer.key !== 'entropy') return null;
  return {
    title: when.t === null ? 'Mean of tᵢ over t' : `tᵢ at t = ${decimal(when.t)}`, name: 'masking probability', scale: PROBABILITY,
    value: (i) => maskingOf(checkpoint, i, when).frequency,
  };
}

function describeShares(checkpoint, when) {
  const { masked, unsure, even } = maskedShares(checkpoint, when);
  return [
    when.t === null ? 'Masked over all t: SFT ' : 'Masked: SFT ', el('b', {}, percent(sftFrequency(when.t), 1)),
    ', GIFT ', el('b', {}, percent(masked, 1)),
    el('br'),
    el('span', { title: 'Share of what is masked that falls on the quarter of the tokens with the highest entropy' },
      'Most unsure quarter: SFT ', el('b', {}, percent(even)), ', GIFT ', el('b', {}, percent(unsure))),
  ];
}

function spoken(checkpoint, i, { when, here, mask }) {
  const nats = here && mask[i] ? checkpoint.partial.entropy[i] : checkpoint.entropy[i];
  const { frequency } = maskingOf(checkpoint, i, when);
  return [
    mask ? (mask[i] ? 'masked' : 'in sight') : null, `entropy ${decimal(nats)} nats`,
    `masked with ${when.t === null ? 'mean ' : ''}probability ${decimal(frequency)}`,
  ].filter(Boolean).join(', ');
}

function details(checkpoint, i, { when, here }, power) {
  const inverse = maskingOf(checkpoint, i, { ...when, weighting: 'inverse' });
  const elbo = maskingOf(checkpoint, i, { ...when, weighting: 'elbo' });
  const at = when.t === null ? 'over all t' : `at t = ${decimal(when.t)}`;
  return [
    ...(here ? hereDetails(checkpoint.partial, i) : []),
    ['Entropy H, all masked', `${decimal(checkpoint.entropy[i], 3)} nats`],
    ['Probability of this token', percent(checkpoint.probability[i], 1)],
    ['Rank', String(checkpoint.rank[i] + 1)],
    [`Masking rate β = H^${power}`, decimal(checkpoint.masking_rate[i], 3)],
    ['Relative rate r = β / β_ref', decimal(checkpoint.relative_rate[i], 3)],
    [`Masked, tᵢ ${at}`, decimal(inverse.frequency, 3)],
    ['Weight, inverse', decimal(inverse.weight)],
    ['Weight, elbo', decimal(elbo.weight)],
    ['tᵢ × weight, inverse', decimal(inverse.product)],
    ['tᵢ × weight, elbo', decimal(elbo.product)],
  ];
}

function hereDetails(partial, i) {
  if (partial.entropy[i] === null) return [['At this mask', 'in sight']];
  return [
    ['Entropy at this mask', `${decimal(partial.entropy[i], 3)} nats`],
    ['Probability at this mask', percent(partial.probability[i], 1)],
    ['Rank at this mask', String(partial.rank[i] + 1)],
  ];
}
