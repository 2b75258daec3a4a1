/** One trace in the player: how far it is, its response as it fills, and what it offers to download or to change. */

import { editor } from './edits.js';
import { el } from './dom.js';
import { problemBox } from './problems.js';
import { decimal, duration, integer, seriesStyle } from './scale.js';
import { candidates, describe, details } from './token_facts.js';
import { TokenStrip } from './token_strip.js';

const FAILED = { failed: 'It could not be denoised', lost: 'This trace is not there any more' };

/**
 * `onHover` gets a position or null, `onBranch` a cursor and edits (left out: nothing can be changed), `onClose` is called
 * when the pane is to go. `api` is where the trace can be downloaded.
 */
export function pane(trace, index, { popover, signal, api, onHover, onBranch, onClose }) {
  const { replay } = trace;
  let [cursor, stepped, strip, drawnTo, final, waits, gone] = [0, true, null, 0, false, false, false];
  let paint = { layer: null, marks: null };
  const edits = onBranch ? editor(trace.edits, { onBranch: (list) => onBranch(cursor, list), onHover: (at) => strip.highlight(at), popover }) : null;
  const title = el('span', { class: 'gs-name' });
  const chip = el('span', { class: 'gs-chip' });
  const verdict = el('span', { class: 'gs-verdict', hidden: true });
  const facts = el('span', { class: 'gs-note' });
  const links = el('span', { class: 'gs-links' });
  const waiting = el('p', { class: 'gs-note' });
  const body = el('div', { class: 'gs-pane-body' }, waiting);
  const closer = onClose ? el('button', { type: 'button', class: 'gs-close', onclick: onClose }, '×') : null;
  const root = el('section', { class: 'gs-pane' },
    el('header', {},
      el('h3', {}, el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), title), closer,
      el('p', { class: 'gs-outcomes' }, chip, verdict), facts),
    body);

  function open() {
    strip = new TokenStrip(replay.tokens(), {
      label: `${replay.label}: response`, popover, signal, onHover,
      hidden: (i) => replay.isMasked(i, cursor),
      describe: (i) => describe(replay, i, cursor),
      details: (i) => details(replay, i, cursor),
      candidates: (i) => candidates(replay, i, cursor),
      actions: (i) => (edits && trace.complete ? edits.form(i) : null),
    });
    body.replaceChildren(...[strip.root, edits?.root, links].filter(Boolean));
  }

  function tell() {
    if (replay.steps === drawnTo && Boolean(replay.end) === final) return;
    [drawnTo, final] = [replay.steps, Boolean(replay.end)];
    strip.retell(replay.tokens());
  }

  /** Once, however much is changed at a time. */
  function draw() {
    if (!waits) queueMicrotask(drawNow);
    waits = true;
  }

  function drawNow() {
    waits = false;
    if (!strip) return;
    const { layer, marks } = paint;
    const values = layer && Array.from({ length: replay.length }, (_, i) => layer.value(replay, i, cursor));
    strip.root.dataset.layer = layer?.id ?? 'none';
    strip.update({
      values: values ?? Array(replay.length).fill(null), scale: layer?.scale, states: replay.states(cursor, stepped),
      marks: Array.from({ length: replay.length }, (_, i) => Boolean(marks?.[i]) && !replay.isMasked(i, cursor)),
    });
    edits?.refresh(replay.offset + cursor, trace.complete);
  }

  return {
    root,
    /** Shows what has become known since. */
    refresh: () => {
      title.textContent = trace.label;
      closer?.setAttribute('aria-label', `Close ${trace.label}`);
      root.dataset.state = trace.doing;
      chip.textContent = progress(trace);
      verdict.textContent = replay.end?.verdict ?? '';
      verdict.hidden = !verdict.textContent;
      waiting.textContent = waitingFor(trace);
      facts.textContent = replay.start ? summary(replay) : '';
      if (trace.complete && api && !links.childElementCount) links.append(download(trace, api));
      if (replay.start && !strip) open();
      if (strip) tell();
      if (trace.problems.length && !gone) {
        body.replaceChildren(problemBox(FAILED[trace.state] ?? 'It went wrong', trace.problems, trace.names));
        gone = true;
      }
    },
    /** `fresh` says whether this trace took a step to get here, or waits for others. */
    seek: (next, fresh) => {
      [cursor, stepped] = [next, fresh];
      draw();
    },
    /** `layer` colours the response, `marks` [length] point out tokens. */
    colour: (layer, marks) => {
      paint = { layer, marks };
      draw();
    },
    highlight: (position) => strip?.highlight(position),
  };
}

function waitingFor({ settled, doing }) {
  if (settled) return 'It ended before the first step.';
  return doing === 'loading' ? 'Loading the steps…' : 'Waiting for its turn, or for the model to load…';
}

function progress({ doing, replay }) {
  if (doing === 'running') return `step ${integer(replay.offset + replay.steps)}`;
  return doing === 'finished' ? replay.end?.outcome ?? doing : doing;
}

function summary(replay) {
  const { frames, steps, start, end } = replay;
  const tokens = frames.reduce((sum, { positions }) => sum + positions.length, 0);
  const passes = `${integer(replay.forwardPasses)} forward ${replay.forwardPasses === 1 ? 'pass' : 'passes'}`;
  return [
    `${integer(steps)} of ${integer(start.sampling.steps)} steps`, passes,
    steps ? `${decimal(tokens / steps, 1)} tokens a step` : null, end ? duration(end.seconds) : null,
  ].filter(Boolean).join(', ');
}

function download({ id, label }, api) {
  return el('a', { href: `${api}/traces/${encodeURIComponent(id)}`, download: `${id}.json`, 'aria-label': `${label} as JSON` }, 'Trace as JSON');
}
