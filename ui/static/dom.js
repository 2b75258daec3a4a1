/** Helpers over the DOM. Text only ever becomes text nodes: a token such as `</script>` is just a token. */

await stylesheet('studio.css');

/** Waits for a stylesheet beside this file so that nothing is drawn unstyled and then jumps; an offline page has its own. */
export function stylesheet(name) {
  if (document.querySelector('style.gs-styles')) return null;
  const { href } = new URL(`./${name}`, import.meta.url);
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return null;
  return new Promise((done) => {
    document.head.append(el('link', { rel: 'stylesheet', href, onload: done, onerror: done }));
  });
}

/** An HTML element. Attributes that are functions (`onclick`) become listeners; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; see `el`. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * The frame of every component: one root in `host`, drawn anew by `draw(data, signal)`, which returns its children.
 * `signal` aborts when that drawing is over: at the next update, at destroy, or when the host leaves the document.
 */
export function component(host, name, data, draw) {
  const root = el('div', { class: `gs gs-${name}` });
  host.replaceChildren(root);
  let drawing = new AbortController();
  const update = (next) => {
    drawing.abort();
    drawing = new AbortController();
    root.replaceChildren(...draw(next, drawing.signal));
  };
  const observer = new MutationObserver(() => root.isConnected || destroy());
  const destroy = () => {
    observer.disconnect();
    drawing.abort();
    root.remove();
  };
  update(data);
  observer.observe(document, { childList: true, subtree: true });
  return { update, destroy };
}

/** What stands where something will be, until it is known what: nothing is said to be empty before. */
export function loading(what) {
  return el('p', { class: 'gs-empty gs-loading', role: 'status' }, `Loading ${what}…`);
}

/** Puts `children` into `parent` in their order. Those that are in place are not touched, and the focus stays where it is. */
export function arrange(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  [...parent.children].filter((child) => !children.includes(child)).forEach((child) => child.remove());
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

export function isDark() {
  return document.body.classList.contains('dark');
}

/** Calls `listener` whenever the page turns light or dark, until `signal` aborts. */
export function onThemeChange(listener, signal) {
  let dark = isDark();
  const observer = new MutationObserver(() => {
    if (dark === isDark()) return;
    dark = isDark();
    listener();
  });
  observer.observe(document.body, { attributeFilter: ['class'] });
  signal.addEventListener('abort', () => observer.disconnect());
}

/** A row of radio buttons drawn as one switch. `options` is [[value, label], ...]. */
export function segmented(legend, options, selected, onChange) {
  const name = uniqueId();
  return el('fieldset', { class: 'gs-segmented' }, el('legend', { class: 'gs-hidden' }, legend),
    options.map(([value, label]) => el('label', {},
      el('input', {
        type: 'radio', name, value, checked: value === selected,
        onchange: (event) => onChange(event.target.value),
      }),
      el('span', {}, label))));
}

/** A labelled range input that shows its value; `format` turns the number into text. */
export function slider(label, { min, max, step, value, format }, onInput) {
  const output = el('output', {}, format(value));
  const input = el('input', {
    type: 'range', min, max, step, value, 'aria-valuetext': format(value),
    oninput: () => {
      output.textContent = format(input.valueAsNumber);
      input.setAttribute('aria-valuetext', output.textContent);
      onInput(input.valueAsNumber);
    },
  });
  return el('label', { class: 'gs-slider' }, el('span', {}, label), input, output);
}

export function uniqueId() {
  return `gs-${Math.random().toString(36).slice(2, 10)}`;
}

/** Copies text; false when the browser does not allow it. */
export async function copyText(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  // Pages served over plain http from another host have no clipboard object.
  const area = el('textarea', { class: 'gs-hidden' }, text);
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  return copied;
}
