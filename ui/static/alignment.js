/** Which cursors of several traces are shown together: the rule of `TraceComparison.alignments`, for any number. */

export const ALIGNMENTS = [['step', 'By step'], ['fraction', 'By progress'], ['mask_ratio', 'By masked share']];

/** Rows of one cursor for each replay, from first to last. */
export function align(replays, alignment) {
  if (alignment === 'step') return bySteps(replays);
  const progress = alignment === 'fraction' ? shares : committed;
  const lead = replays.reduce((most, replay) => (replay.steps > most.steps ? replay : most));
  const guide = progress(lead);
  const columns = replays.map((replay) => (replay === lead ? guide.map((_, cursor) => cursor) : nearest(guide, progress(replay))));
  return guide.map((_, row) => columns.map((column) => column[row]));
}

/** The step that a row of `bySteps` stands for. */
export function firstStep(replays) {
  return Math.min(...replays.map(({ offset }) => offset));
}

/** Whoever begins later or ends earlier waits there. */
function bySteps(replays) {
  const first = firstStep(replays);
  const last = Math.max(...replays.map(({ offset, steps }) => offset + steps));
  return Array.from({ length: last - first + 1 }, (_, row) =>
    replays.map(({ offset, steps }) => Math.min(Math.max(first + row - offset, 0), steps)));
}

/** At every cursor, the share of the trace's own frames that were played. */
function shares({ steps }) {
  return Array.from({ length: steps + 1 }, (_, cursor) => (cursor === steps ? 1 : cursor * (1 / steps)));
}

/** At every cursor, how many positions hold a token. */
function committed(replay) {
  return replay.maskedCounts().map((masked) => replay.length - masked);
}

/** For every value of `guide`, the cursor whose progress is nearest; it never goes back and ends at the end. */
function nearest(guide, own) {
  let reached = 0;
  return guide.map((value, row) => {
    let best = 0;
    own.forEach((each, cursor) => { if (Math.abs(each - value) < Math.abs(own[best] - value)) best = cursor; });
    reached = Math.max(reached, row === guide.length - 1 ? own.length - 1 : best);
    return reached;
  });
}
