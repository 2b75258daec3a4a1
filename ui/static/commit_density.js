/** Under the scrubber: how many positions each step commits, and where blocks begin. */

import { svg } from './dom.js';

const HEIGHT = 10;

/** Returns {root, update}. */
export function commitDensity() {
  const root = svg('svg', { class: 'gs-density', preserveAspectRatio: 'none', 'aria-hidden': true });
  return {
    root,
    /** `rows` are cursors of the replays, as of `align`. */
    update: (replays, rows) => {
      const counts = rows.slice(1).map((cursors, row) =>
        cursors.reduce((sum, cursor, i) => sum + committed(replays[i], rows[row][i], cursor), 0));
      const most = Math.max(1, ...counts);
      const bars = counts.map((count, row) => `M${row + 0.2} ${HEIGHT}v${(-HEIGHT * count) / most}h0.6V${HEIGHT}z`);
      root.setAttribute('viewBox', `0 0 ${Math.max(counts.length, 1)} ${HEIGHT}`);
      root.replaceChildren(
        svg('path', { class: 'gs-bars', d: bars.join('') }),
        svg('path', { class: 'gs-blocks', d: blockStarts(replays, rows).map((row) => `M${row} 0V${HEIGHT}`).join('') }));
    },
  };
}

function committed(replay, from, to) {
  return replay.frames.slice(from, to).reduce((sum, { positions }) => sum + positions.length, 0);
}

/** Rows after which the first trace that is there fills another block. */
function blockStarts(replays, rows) {
  const index = replays.findIndex(({ steps }) => steps);
  if (index < 0) return [];
  const { frames, start } = replays[index];
  const block = (frame) => Math.floor(frame.positions[0] / start.sampling.block_length);
  return rows.flatMap((cursors, row) => {
    const cursor = cursors[index];
    const moved = row > 0 && cursor !== rows[row - 1][index];
    return moved && cursor > 1 && block(frames[cursor - 1]) !== block(frames[cursor - 2]) ? [row - 1] : [];
  });
}
