/**
 * Where a field of the spec is on the page. `places` maps dotted fields to [element's id, id of the section that it is in
 * or ""]; a field without a place of its own has that of the first field below it, or of the nearest above.
 */

import { el } from './dom.js';

// Gradio mounts a section's fields when it is first opened, and shows them a little after that.
const MOST_FRAMES = 120;

/** What a field is called, which leads to its place where it has one. */
export function fieldName(field, places = {}) {
  const name = el('code', {}, field);
  if (!placeOf(field, places)) return name;
  const onclick = () => showField(field, places);
  return el('button', { type: 'button', class: 'gs-inline', title: 'Go to this field', onclick }, name);
}

/** The place of `field`, or undefined. */
function placeOf(field, places) {
  if (!field) return undefined;
  const below = Object.keys(places).find((path) => path === field || path.startsWith(`${field}.`));
  if (below) return places[below];
  // `row 3`, and `seeds.1`.
  return places[field.split(/[ .]\d/)[0]];
}

/** Opens the section of `field` if need be, and brings its input into view and focus. */
function showField(field, places) {
  const [id, section] = placeOf(field, places);
  const header = document.querySelector(`#${CSS.escape(section || id)} > button`);
  if (section && header && !header.classList.contains('open')) header.click();
  focusWhenThere(id, MOST_FRAMES);
}

function focusWhenThere(id, frames) {
  const found = document.getElementById(id);
  if (!found?.checkVisibility()) {
    if (frames) requestAnimationFrame(() => focusWhenThere(id, frames - 1));
    return;
  }
  found.scrollIntoView({ block: 'center' });
  found.querySelector('input, textarea, select, button')?.focus({ preventScroll: true });
}
