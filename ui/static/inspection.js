/**
 * What checkpoints think of every response token, how often GIFT would mask it, and what they make of a partial mask.
 * `data` is an Inspection. A mask to look at is asked for with onAction('mask', {mask}), such as 3,5-9; '' is the probe alone.
 */

import { component, copyText, el, loading, segmented, slider } from './dom.js';
import { FITTED, rangeSwitch, scaleOver } from './entropy_range.js';
import { pane, promptBlock } from './inspection_pane.js';
import { numbers, tabulate } from './inspection_table.js';
import { legend } from './legend.js';
import { MaskEditor, drawnMask, sameMask, wordAt, written } from './mask.js';
import { WEIGHTINGS, layersOf } from './masking.js';
import { Popover } from './popover.js';
import { PROBABILITY, decimal, integer } from './scale.js';
import { csv } from './table.js';

const T = { min: 0.01, max: 0.99, step: 0.01, value: 0.5, format: decimal };
// Tokens from which a response is easier to compare line below line than side by side.
const LONG = 64;
const SOURCES = [['mask', 'This mask'], ['probe', 'All masked (the probe)']];

export function mount(host, { data, onAction }) {
  // Kept over updates, so that the next text is seen the way the last one was left.
  const view = {
    layer: 'entropy', range: FITTED, t: T.value, mean: false, weighting: 'inverse', source: 'probe', table: false, drawing: false,
    editor: null, text: '',
  };
  return component(host, 'inspection', data, (inspection, signal) => {
    if (inspection === null) return [loading('the tokens')];
    if (!inspection.response?.length) return [empty()];
    take(inspection, view);
    return new Drawing(inspection, view, onAction, signal).parts();
  });
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and a text and press Inspect: every response token appears here with its entropy.');
}

/** What is drawn belongs to one text: another begins with everything masked. */
function take({ response, masked }, view) {
  const text = response.map(({ id }) => id).join();
  const looked = masked.length > 0;
  if (text !== view.text || looked) view.editor = new MaskEditor(looked ? masked : response.map(() => true));
  view.source = looked ? 'mask' : 'probe';
  view.drawing = view.drawing && text === view.text;
  view.text = text;
}

/** One inspection on the page, and the switches that change how it is seen. */
class Drawing {
  #help = el('p', { class: 'gs-help' });
  #about = el('p', { class: 'gs-help' });
  #key = el('div', { class: 'gs-key' });
  #table = el('div');
  #count = el('span', { class: 'gs-note' });

  constructor(inspection, view, onAction, signal) {
    this.inspection = inspection;
    this.view = view;
    this.onAction = onAction;
    this.entropies = inspection.checkpoints.flatMap(({ entropy, partial }) =>
      [...entropy, ...(partial?.entropy ?? []).filter((nats) => nats !== null)]);
    this.rates = inspection.checkpoints.flatMap((checkpoint) => checkpoint.masking_rate);
    this.popover = new Popover(signal);
    this.range = rangeSwitch(view.range, (range) => this.#change({ range }));
    this.weighting = segmented('Weighting', [['inverse', 'inverse'], ['elbo', 'elbo']], view.weighting,
      (weighting) => this.#change({ weighting }));
    this.source = segmented('What is masked', SOURCES, view.source, (source) => this.#change({ source }));
    this.mean = el('button', { type: 'button', onclick: () => this.#change({ mean: !view.mean }) }, 'Mean over t');
    this.panes = inspection.checkpoints.map((checkpoint) => pane(checkpoint, inspection, {
      popover: this.popover, signal,
      onHover: (position) => this.panes.forEach((each) => each.highlight(position)),
      onChoose: (first, last, extend) => this.#choose(first, last, extend),
    }));
    this.prompt = promptBlock(inspection.prompt, this.popover, signal);
  }

  parts() {
    const { inspection, view } = this;
    const long = inspection.response.length > LONG;
    this.grid = el('div', { class: long ? 'gs-panes gs-long' : 'gs-panes' }, this.panes.map((each) => each.root));
    this.editor = this.#maskTools();
    const children = [
      el('div', { class: 'gs-toolbar' },
        segmented('Layer', this.#layers().map(({ key, label }) => [key, label]), view.layer, (layer) => this.#change({ layer })),
        el('div', { class: 'gs-buttons' }, this.drawButton, this.#tableButton(), this.#copyButton())),
      el('div', { class: 'gs-toolbar' },
        slider('Diffusion time t', { ...T, value: view.t }, (t) => this.#change({ t, mean: false })), this.mean,
        this.weighting, this.source),
      this.editor,
      el('div', { class: 'gs-context' },
        el('div', { class: 'gs-about' }, this.#help, this.#about, el('div', { class: 'gs-legends' }, this.#key, this.range)),
        this.prompt),
      this.grid, this.#table, this.popover.root,
    ];
    this.#show();
    return children;
  }

  #layers() {
    return layersOf(scaleOver(this.view.range, this.entropies, this.inspection.vocabulary_size), this.rates);
  }

  #change(changes) {
    Object.assign(this.view, changes);
    this.#show();
  }

  /** Whether the mask on the page is the one that the checkpoints were asked about. */
  get #looked() {
    return this.inspection.masked.length > 0 && sameMask(this.inspection.masked, this.view.editor.mask);
  }

  #show() {
    const { view } = this;
    const layer = this.#layers().find(({ key }) => key === view.layer);
    // What training does with a token depends on the probe alone.
    const here = Boolean(layer.here) && this.#looked && view.source === 'mask';
    const how = {
      layer,
      when: { t: view.mean ? null : view.t, weighting: view.weighting },
      here,
      mask: view.drawing || here ? view.editor.mask : null,
    };
    this.#explain(layer, how);
    this.range.hidden = layer.key !== 'entropy';
    this.weighting.hidden = !layer.weighted;
    this.source.hidden = !this.#looked || !layer.here;
    this.mean.setAttribute('aria-pressed', String(view.mean));
    this.panes.forEach((each) => each.show(how));
    this.#table.replaceChildren(...(view.table ? [numbers(this.inspection, how.when)] : []));
    this.#showTools();
  }

  #explain(layer, { here, when }) {
    this.#help.textContent = here
      ? 'Hatched tokens are in sight, and each checkpoint predicts the others from them. Below, the same with all of the response '
        + 'masked: where seeing the rest helps, colours fade. Rates and weights stay those of the probe.'
      : layer.help;
    this.#about.textContent = layer.weighted ? WEIGHTINGS[when.weighting] : '';
    this.#about.hidden = !layer.weighted;
    const both = layer.key === 'entropy' && !here;
    this.#key.replaceChildren(...[layer.scale, ...(both ? [PROBABILITY] : [])].map((scale) => legend(scale)));
  }

  /** Takes a click while a mask is being drawn. */
  #choose(first, last, extend) {
    if (!this.view.drawing) return false;
    this.view.editor.choose(first, last, extend);
    this.#show();
    return true;
  }

  #maskTools() {
    const { inspection, view } = this;
    const { response, checkpoints } = inspection;
    const button = (label, onclick, attributes = {}) => el('button', { type: 'button', onclick, ...attributes }, label);
    const redraw = (change) => () => {
      change(view.editor);
      this.#show();
    };
    this.drawButton = button('Draw a mask', () => this.#change({ drawing: !view.drawing }));
    this.lookButton = button('Look at this mask', () => this.onAction('mask', { mask: written(view.editor.mask) }), { class: 'gs-main' });
    this.leaveButton = button('Back to the probe', () => this.onAction('mask', { mask: '' }));
    return el('section', { class: 'gs-mask', 'aria-label': 'Mask' },
      el('p', { class: 'gs-help' }, 'Click a response token to hide it or to put it in sight; with Shift, click or drag over a range. '
        + 'Then ask the checkpoints what they make of the hidden ones.'),
      el('div', { class: 'gs-tools' },
        button('All masked', redraw((editor) => editor.set(0, response.length - 1, true))),
        button('All visible', redraw((editor) => editor.set(0, response.length - 1, false))),
        button('None of this word', redraw((editor) => editor.set(...wordAt(response, editor.position), false)),
          { title: 'Puts the whole word that you clicked last in sight.' }),
        button('A draw at t', redraw((editor) => { editor.mask = drawnMask(checkpoints[0].relative_rate, view.t); }),
          { title: `Hides each token with GIFT’s probability tᵢ, at the rates of ${checkpoints[0].label}. Every press draws anew.` }),
        this.#count, this.leaveButton, this.lookButton));
  }

  #showTools() {
    const { view, inspection } = this;
    const masked = view.editor.mask.filter(Boolean).length;
    this.editor.hidden = !view.drawing;
    this.grid.classList.toggle('gs-drawing', view.drawing);
    this.drawButton.setAttribute('aria-pressed', String(view.drawing));
    this.#count.textContent = `${integer(masked)} of ${integer(view.editor.mask.length)} masked`;
    this.lookButton.disabled = masked === 0 || this.#looked;
    this.leaveButton.hidden = inspection.masked.length === 0;
  }

  #tableButton() {
    const toggle = ({ currentTarget }) => {
      this.#change({ table: !this.view.table });
      currentTarget.setAttribute('aria-pressed', String(this.view.table));
    };
    return el('button', { type: 'button', 'aria-pressed': String(this.view.table), onclick: toggle }, 'Table');
  }

  #copyButton() {
    const { view } = this;
    const text = () => csv(...tabulate(this.inspection, { t: view.mean ? null : view.t, weighting: view.weighting }));
    const button = el('button', {
      type: 'button', 'aria-live': 'polite',
      onclick: async () => { button.textContent = (await copyText(text())) ? 'Copied' : 'Not allowed here'; },
      onblur: () => { button.textContent = 'Copy CSV'; },
    }, 'Copy CSV');
    return button;
  }
}
