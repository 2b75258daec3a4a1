/** Changes to a finished trace: collected as chips, and then gone on with from the step that is shown. */

import { el } from './dom.js';

// How the strip draws a line break, and how it can be typed into a field of one line.
const BREAK = '⏎';
const HINT = 'Click a token to edit.';

/**
 * `edits` are those so far, text or null for the mask by position, and are changed in place. `onBranch` gets them as
 * [{position, text}], `onHover` a position or null.
 */
export function editor(edits, { onBranch, onHover, popover }) {
  const hint = el('span', { class: 'gs-note' }, HINT);
  const chips = el('ul', { class: 'gs-edit-chips', 'aria-label': 'Edits' });
  const branch = el('button', {
    type: 'button', disabled: true, onclick: () => onBranch([...edits].map(([position, text]) => ({ position, text }))),
  }, 'Branch');
  const root = el('div', { class: 'gs-edits', hidden: true }, hint, chips, branch);

  function set(position, text) {
    edits.set(position, text);
    popover.unpin();
    show();
  }

  function remove(position) {
    edits.delete(position);
    onHover(null);
    show();
  }

  function show() {
    hint.hidden = edits.size > 0;
    branch.disabled = !edits.size;
    chips.replaceChildren(...[...edits].sort(([a], [b]) => a - b).map(([position, text]) => chip(position, text)));
  }

  function chip(position, text) {
    const what = text === null ? 'masked again' : `“${text.replaceAll('\n', BREAK)}”`;
    return el('li', { onpointerenter: () => onHover(position), onpointerleave: () => onHover(null) },
      el('span', {}, `${position}: ${what}`),
      el('button', { type: 'button', 'aria-label': `Undo the edit at position ${position}`, onclick: () => remove(position) }, '×'));
  }

  show();
  return {
    root,
    /** What a card offers for the token at `position`. */
    form: (position) => editForm((text) => set(position, text)),
    /** A branch would begin at `step`, as soon as the trace is `complete`. */
    refresh: (step, complete) => {
      root.hidden = !complete;
      branch.textContent = `Branch from step ${step}`;
    },
  };
}

function editForm(onEdit) {
  const text = el('input', {
    type: 'text', maxlength: 2000, required: true, autocomplete: 'off', 'aria-label': `Text from here on; ${BREAK} is a line break`,
    placeholder: `text; ${BREAK} is a line break`,
  });
  const put = (event) => {
    event.preventDefault();
    if (text.value) onEdit(text.value.replaceAll(BREAK, '\n'));
  };
  return el('form', { class: 'gs-edit', onsubmit: put },
    text, el('button', { type: 'submit' }, 'Put text here'),
    el('button', { type: 'button', onclick: () => onEdit(null) }, 'Mask again'));
}
