/** The numbers behind an inspection: a row for each response token, the columns once for each checkpoint. */

import { shown } from './glyphs.js';
import { maskingOf } from './masking.js';
import { decimal } from './scale.js';
import { dataTable } from './table.js';

/** `when` is {t, weighting}, t null for the mean over t. */
export function numbers(inspection, when) {
  const at = when.t === null ? 'over all t' : `at t = ${decimal(when.t)}`;
  return dataTable(`Every response token, ${at}, weighting ${when.weighting}`, ...tabulate(inspection, when));
}

/** Column groups and rows of the table. */
export function tabulate(inspection, when) {
  const measures = measuresOf(inspection.masked.length > 0, when);
  const token = { label: '', columns: [{ label: 'position' }, { label: 'token' }, { label: 'id' }] };
  const groups = [token, ...inspection.checkpoints.map(({ label }) => ({ label, columns: measures }))];
  const rows = inspection.response.map(({ text, id }, i) => [
    i, shown(text), id,
    ...inspection.checkpoints.flatMap((checkpoint) => measures.map((measure) => measure.value(checkpoint, i) ?? '')),
  ]);
  return [groups, rows];
}

function measuresOf(looked, when) {
  const three = (x) => decimal(x, 3);
  const at = when.t === null ? ' mean' : '';
  return [
    { label: 'H, nats', format: three, value: (c, i) => c.entropy[i] },
    { label: 'β', format: three, value: (c, i) => c.masking_rate[i] },
    { label: 'r', format: three, value: (c, i) => c.relative_rate[i] },
    { label: `tᵢ${at}`, format: three, value: (c, i) => maskingOf(c, i, when).frequency },
    { label: `w ${when.weighting}`, format: decimal, value: (c, i) => maskingOf(c, i, when).weight },
    { label: 'tᵢ × w', format: three, value: (c, i) => maskingOf(c, i, when).product },
    { label: 'p', format: three, value: (c, i) => c.probability[i] },
    { label: 'rank', value: (c, i) => c.rank[i] + 1 },
    ...(looked ? [
      { label: 'H here', format: three, value: (c, i) => c.partial.entropy[i] },
      { label: 'p here', format: three, value: (c, i) => c.partial.probability[i] },
    ] : []),
  ];
}
