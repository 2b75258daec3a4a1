/**
 * The draft of a form: what was entered is kept in this browser until the form is sent, and filled in again after a reload.
 *
 * `data` is one of three messages. {opened, form, defaults}: the page has filled its form; `form` names what it was filled from, and
 * each `form` has a draft of its own. {values}: what is entered now. {sent: true}: the form was sent. The action `restore` {values}
 * asks the page to fill the form.
 */

import { component, el } from './dom.js';

const KEPT_DAYS = 30;
const DAY = 24 * 60 * 60 * 1000;

export function mount(host, { data, onAction }) {
  const store = new DraftStore();
  let form = null;
  let defaults = null;
  // Whether the page has yet to fill in the draft: what it fills in first by itself does not take the draft's place.
  let isFilling = false;
  let shown = null;
  const view = component(host, 'draft', null, () => (shown ? [shown] : []));
  const show = (bar) => {
    shown = bar;
    view.update(null);
  };
  const restore = (values) => onAction('restore', { values });

  const discard = ({ values, at }) => {
    isFilling = false;
    store.remove(form);
    restore(defaults);
    show(bar('The draft was discarded.', 'Undo', () => {
      store.write(form, values, at);
      restore(values);
      show(restoredBar({ values, at }));
    }));
  };
  const restoredBar = (draft) => bar(`Your draft of ${when(draft.at)} is filled in.`, 'Discard', () => discard(draft));

  const receive = (next) => {
    if (next?.opened) {
      ({ form, defaults } = next);
      const draft = store.read(form);
      isFilling = Boolean(draft);
      if (!draft) return;
      restore(draft.values);
      show(restoredBar(draft));
    } else if (next?.values && defaults) {
      const isUntouched = isSame(next.values, defaults);
      if (isUntouched && isFilling) return;
      isFilling = false;
      if (isUntouched) store.remove(form);
      else if (!isSame(next.values, store.read(form)?.values)) store.write(form, next.values, Date.now());
    } else if (next?.sent) {
      store.remove(form);
    }
  };
  receive(data);
  return { update: receive, destroy: view.destroy };
}

function bar(text, action, onPress) {
  return el('section', { class: 'gs-origin', role: 'status' },
    el('p', {}, text, ' ', el('button', { type: 'button', class: 'gs-plain', onclick: onPress }, action)));
}

function when(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, { timeStyle: 'short', ...(today ? {} : { dateStyle: 'medium' }) });
}

/** Whether two sets of values fill a form alike: an input that is empty may be null, "" or []. */
function isSame(one, other) {
  return Boolean(one && other) && plain(one) === plain(other);
}

function plain(values) {
  const given = Object.entries(values).map(([name, value]) => [name, [value ?? ''].flat().map(String)]);
  return JSON.stringify(given.filter(([, parts]) => parts.join('')).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Drafts in the browser's storage, where it has one; old ones are removed. */
class DraftStore {
  #prefix = `gift-draft ${location.pathname} `;

  read(form) {
    return parsed(this.#use((storage) => storage.getItem(this.#prefix + form)));
  }

  write(form, values, at) {
    this.#use((storage) => {
      this.#removeOld(storage);
      storage.setItem(this.#prefix + form, JSON.stringify({ values, at }));
    });
  }

  remove(form) {
    this.#use((storage) => storage.removeItem(this.#prefix + form));
  }

  #removeOld(storage) {
    Object.keys(storage).filter((key) => key.startsWith(this.#prefix)).forEach((key) => {
      if (Date.now() - (parsed(storage.getItem(key))?.at ?? 0) > KEPT_DAYS * DAY) storage.removeItem(key);
    });
  }

  #use(work) {
    try {
      return work(localStorage);
    } catch {
      // A browser may refuse storage, or have none left: the form then works without a draft.
      return null;
    }
  }
}

function parsed(text) {
  try {
    const draft = JSON.parse(text);
    return draft?.values && Number.isFinite(draft.at) ? draft : null;
  } catch {
    return null;
  }
}
