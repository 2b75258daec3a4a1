/** What all traces' steps came to, as two small charts over the rows of the player. */

import { axisEnd, decimal, integer } from './scale.js';
import { stepChart } from './step_chart.js';

/** Returns {roots, update, seek}. */
export function stepCharts() {
  const masked = stepChart('Masked positions', integer);
  const entropy = stepChart('Mean entropy where masked, nats', decimal);
  const over = (rows, series) => series.map((values, i) => rows.map((cursors) => values[cursors[i]] ?? null));
  return {
    roots: [masked.root, entropy.root],
    /** `rows` are cursors of the replays, `ends` the names of the first and last. */
    update: (replays, rows, ends) => {
      const means = replays.map((replay) => replay.meanEntropies());
      const most = Math.max(1, ...replays.map(({ start, length }) => (start ? length : 0)));
      masked.update(over(rows, replays.map((replay) => replay.maskedCounts())), most, ends);
      entropy.update(over(rows, means), axisEnd(means.flat().reduce((a, b) => Math.max(a, b), 0)), ends);
    },
    seek: (row) => [masked, entropy].forEach((chart) => chart.seek(row)),
  };
}
