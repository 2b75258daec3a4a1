/** Steps from top to bottom, positions from left to right: how probable the best candidate of each masked position was. */

import { el, isDark, onThemeChange } from './dom.js';
import { colourAt, percent, seriesStyle } from './scale.js';

const LEVELS = 256;

/**
 * A canvas of one pixel for each step and position, drawn in rows as they come; at 4,096 steps of 4,096 tokens that is
 * still one image. `onSeek` gets the cursor that was clicked, `onHover` a position or null.
 */
export function confidenceMap(replay, index, { onSeek, onHover }, signal) {
  const canvas = el('canvas', { role: 'img', height: 1, width: 1 });
  const line = el('div', { class: 'gs-map-cursor' });
  const said = el('output', { class: 'gs-note' }, '');
  const label = el('span');
  const plot = el('div', { class: 'gs-map-plot', onpointermove: point, onpointerleave: leave, onclick: (event) => onSeek(at(event).row) }, canvas, line);
  const root = el('figure', { class: 'gs-map' },
    el('figcaption', {}, el('span', { class: 'gs-swatch gs-themed', style: seriesStyle(index) }), label, said), plot);
  let [drawn, height] = [0, 0];

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const share = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value * size)));
    return {
      row: share((event.clientY - box.top) / box.height, height),
      position: share((event.clientX - box.left) / box.width, replay.length),
    };
  }

  function point(event) {
    const { row, position } = at(event);
    const where = `step ${replay.offset + row + 1}, position ${position}: `;
    if (row >= replay.steps) said.textContent = '';
    else if (replay.committedAt(position) === row + 1) said.textContent = `${where}committed at ${percent(replay.commit(position).confidence)}`;
    else said.textContent = where + (replay.isMasked(position, row) ? percent(replay.confidence(position, row)) : 'filled');
    onHover(position);
  }

  function leave() {
    said.textContent = '';
    onHover(null);
  }

  function update() {
    if (!replay.start) return;
    const wanted = Math.max(1, replay.end ? replay.steps : replay.start.sampling.steps);
    if (wanted !== height) {
      [height, drawn] = [wanted, 0];
      [canvas.width, canvas.height] = [replay.length, height];
    }
    label.textContent = replay.label;
    canvas.setAttribute('aria-label', `${replay.label}: probability of the best candidate by step and position`);
    if (replay.steps > drawn) draw();
  }

  function draw() {
    const table = colours();
    const rows = replay.steps - drawn;
    const image = new ImageData(replay.length, rows);
    for (let row = 0; row < rows; row += 1) {
      for (let position = 0; position < replay.length; position += 1) {
        const cursor = drawn + row;
        if (!replay.isMasked(position, cursor)) continue;
        const committed = replay.committedAt(position) === cursor + 1;
        const colour = committed ? table.ink : table.levels[Math.round(replay.confidence(position, cursor) * (LEVELS - 1))];
        image.data.set(colour, 4 * (row * replay.length + position));
      }
    }
    canvas.getContext('2d').putImageData(image, 0, drawn);
    drawn = replay.steps;
  }

  onThemeChange(() => {
    drawn = 0;
    if (replay.steps) draw();
  }, signal);
  return {
    root,
    update,
    seek: (cursor) => line.style.setProperty('--at', height ? Math.min(1, cursor / height) : 0),
  };
}

function colours() {
  const dark = isDark();
  const levels = Array.from({ length: LEVELS }, (_, level) => rgba(colourAt('sequential', level / (LEVELS - 1), dark).fill));
  return { levels, ink: dark ? [255, 120, 90, 255] : [200, 30, 20, 255] };
}

function rgba(fill) {
  return [...fill.match(/\d+/g).map(Number), 255];
}
