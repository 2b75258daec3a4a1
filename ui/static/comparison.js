/** What two finished traces have in common: a `TraceComparison` in words, and where it comes from. */

import { el } from './dom.js';
import { problemBox } from './problems.js';

/** The comparison of the trace `first` with `second`, from the backend; problems in its place where there is none. */
export async function fetchComparison(api, first, second) {
  const query = new URLSearchParams({ first, second });
  const answer = await fetch(`${api}/comparisons?${query}`).catch(() => null);
  if (!answer) return { problems: [{ field: '', message: 'The backend does not answer.', remedy: 'Reload the page.' }] };
  return answer.json();
}

/** A panel about `traces[0]` and `traces[against]`; `onAgainst` gets another choice of the second, `onStep` a step to go to. */
export function comparisonPanel(traces, against, comparison, { onAgainst, onStep }) {
  return el('section', { class: 'gs-compare', 'aria-label': 'Comparison' },
    el('h3', {}, el('span', {}, `${traces[0].label} against`), otherChoice(traces, against, onAgainst)),
    comparison.problems ? problemBox('These cannot be compared', comparison.problems) : summary(comparison, onStep));
}

function otherChoice(traces, against, onAgainst) {
  if (traces.length === 2) return el('span', {}, traces[against].label);
  return el('select', { 'aria-label': 'Compare the first with', onchange: (event) => onAgainst(Number(event.target.value)) },
    traces.slice(1).map(({ label }, i) => el('option', { value: i + 1, selected: i + 1 === against }, label)));
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
