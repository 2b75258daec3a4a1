/** What the panes are coloured by: the switch of layers, and the key to the one that is shown. */

import { el, segmented } from './dom.js';
import { rangeSwitch, scaleOver } from './entropy_range.js';
import { differenceLayers, ownLayers } from './layers.js';
import { legend } from './legend.js';

/** `view` remembers the layer and the range of entropies. */
export class Colouring {
  #view;
  #panes;
  #replays;
  #comparison = null;
  #pair = [];
  #offered = '';
  #key = el('div', { class: 'gs-key' });
  #range;
  #help = el('p', { class: 'gs-help gs-mark-help', hidden: true },
    el('span', { class: 'gs-mark', 'aria-hidden': true }), 'another token than in the first trace');

  constructor(panes, replays, view) {
    [this.#panes, this.#replays, this.#view] = [panes, replays, view];
    this.#range = rangeSwitch(view.range, (range) => {
      view.range = range;
      this.paint();
    });
    this.choice = el('div', { class: 'gs-slot' });
    this.root = el('div', { class: 'gs-colouring' },
      el('div', { class: 'gs-legends' }, this.#key, this.#range), this.#help);
  }

  /** Offers the layers of a `TraceComparison` of two panes too, or of none. */
  compare(comparison, pair) {
    [this.#comparison, this.#pair] = [comparison, pair];
    this.paint();
  }

  paint() {
    const layers = this.#layers();
    this.#offer(layers);
    const layer = layers.find(({ id }) => id === this.#view.layer) ?? layers[0];
    const marks = layer.difference ? this.#comparison.positions.map((each) => !each.same_token) : null;
    this.#key.replaceChildren(legend(layer.scale));
    this.#range.hidden = layer.id !== 'entropy';
    this.#help.hidden = !layer.difference;
    this.#panes.forEach((pane, index) => {
      const plain = layer.difference && index !== this.#pair[1];
      pane.colour(plain ? null : layer, this.#pair.includes(index) ? marks : null);
    });
  }

  #layers() {
    const vocabulary = Math.max(2, ...this.#replays.map(({ start }) => start?.vocabulary_size ?? 0));
    const entropy = scaleOver(this.#view.range, this.#replays.map((each) => each.largestEntropy), vocabulary);
    const last = Math.max(...this.#replays.map(({ offset, steps }) => offset + steps));
    return [...ownLayers(entropy, last), ...(this.#comparison ? differenceLayers(this.#comparison) : [])];
  }

  #offer(layers) {
    const offered = layers.map(({ id }) => id).join();
    if (offered === this.#offered) return;
    this.#offered = offered;
    const chosen = layers.find(({ id }) => id === this.#view.layer) ?? layers[0];
    this.choice.replaceChildren(segmented('Colour', layers.map(({ id, label }) => [id, label]), chosen.id, (id) => {
      this.#view.layer = id;
      this.paint();
    }));
  }
}
