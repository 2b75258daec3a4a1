/** What two finished traces have in common: a `TraceComparison` in words, and where it comes from. */

import { el } from './dom.js';
import { problemBox } from './problems.js';

// Nothing is compared with itself: the one that is chosen on the other side cannot be chosen.
const OTHER = ['compared second', 'compared first'];

/** The comparison of the trace `first` with `second`, from the backend; problems in its place where there is none. */
export async function fetchComparison(api, first, second) {
  const query = new URLSearchParams({ first, second });
  const answer = await fetch(`${api}/comparisons?${query}`).catch(() => null);
  if (!answer) return { problems: [{ field: '', message: 'The backend does not answer.', remedy: 'Reload the page.' }] };
  return answer.json();
}

/**
 * A panel about two of `traces`, `pair` being their indices; `onPair` gets another choice, `onStep` a step to go to.
 */
export function comparisonPanel(traces, pair, comparison, { onPair, onStep }) {
  const choose = (side, index) => onPair(side === 0 ? [index, pair[1]] : [pair[0], index]);
  const name = (side, label) => (traces.length === 2 ? el('span', {}, traces[pair[side]].label)
    : el('select', { 'aria-label': label, onchange: (event) => choose(side, Number(event.target.value)) },
      traces.map((trace, index) => el('option', {
        value: index, selected: index === pair[side], disabled: index === pair[1 - side],
        title: index === pair[1 - side] ? 'It is the other one of the two.' : null,
      }, index === pair[1 - side] ? `${trace.label} (${OTHER[side]})` : trace.label))));
  return el('section', { class: 'gs-compare', 'aria-label': 'Comparison' },
    el('h3', {}, name(0, 'Compared first'), el('span', {}, 'against'), name(1, 'Compared second')),
    comparison.problems ? problemBox('These cannot be compared', comparison.problems) : summary(comparison, onStep));
}

function summary({ same_tokens: same, length, divergence, settings }, onStep) {
  return el('ul', { class: 'gs-findings' },
    el('li', {}, el('b', {}, `${same} of ${length}`), ' tokens the same'),
    el('li', {}, divergence ? ['first divergence at ', stepButton(divergence, onStep)] : 'identical at every step'),
    settings.length ? el('li', { class: 'gs-badge' }, `settings differ: ${settings.map(settingName).join(', ')}`) : null);
}

function stepButton({ step, positions }, onStep) {
  const where = positions.length > 6 ? `${positions.length} positions` : `position${positions.length > 1 ? 's' : ''} ${positions.join(', ')}`;
  return el('button', { type: 'button', class: 'gs-inline', onclick: () => onStep(step) }, `step ${step}, ${where}`);
}

function settingName(name) {
  return name === 'given' ? 'given text' : name.replace(/^sampling\./, '');
}
