/** Files made in the browser, of what it already has. */

import { el } from './dom.js';

/** A button that saves what `text()` gives at that moment. */
export function downloadButton(label, name, type, text) {
  return el('button', { type: 'button', onclick: () => save(name, new Blob([text()], { type })) }, label);
}

function save(name, blob) {
  const href = URL.createObjectURL(blob);
  el('a', { href, download: name }).click();
  // The download has its own hold on the data by then.
  setTimeout(() => URL.revokeObjectURL(href), 0);
}
