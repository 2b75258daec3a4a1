/** What checkpoints think of every response token, and how often GIFT would mask it. `data` is an Inspection. */

import { component, copyText, el, segmented, slider } from './dom.js';
import { FITTED, rangeSwitch, scaleOver } from './entropy_range.js';
import { shown } from './glyphs.js';
import { legend } from './legend.js';
import { layersOf, maskingProbability } from './masking.js';
import { Popover } from './popover.js';
import { PROBABILITY, decimal, percent } from './scale.js';
import { csv, dataTable } from './table.js';
import { TokenStrip } from './token_strip.js';

const T = { min: 0.01, max: 0.99, step: 0.01, value: 0.5, format: decimal };
// Tokens from which a response is easier to compare line below line than side by side.
const LONG = 64;

export function mount(host, { data }) {
  // Kept over updates, so that the next text is seen the way the last one was left.
  const view = { layer: 'entropy', range: FITTED, t: T.value, table: false };
  return component(host, 'inspection', data, (inspection, signal) =>
    (inspection?.response.length ? draw(inspection, view, signal) : [empty()]));
}

function empty() {
  return el('p', { class: 'gs-empty' }, 'Choose checkpoints and a text, and every response token appears here with its entropy.');
}

function draw(inspection, view, signal) {
  const popover = new Popover(signal);
  const panes = inspection.checkpoints.map((checkpoint) => pane(checkpoint, inspection, view, popover, signal, hover));
  const entropies = inspection.checkpoints.flatMap((checkpoint) => checkpoint.entropy);
  const layers = () => layersOf(scaleOver(view.range, entropies, inspection.vocabulary_size));
  const help = el('p', { class: 'gs-help' });
  const key = el('div', { class: 'gs-key' });
  const range = rangeSwitch(view.range, chooseRange);
  const table = el('div');
  const long = inspection.response.length > LONG;

  function hover(position) {
    panes.forEach((each) => each.highlight(position));
  }

  function chooseLayer(name) {
    view.layer = name;
    const layer = layers().find((each) => each.key === name);
    const scales = name === 'entropy' ? [layer.scale, PROBABILITY] : [layer.scale];
    help.textContent = layer.help;
    key.replaceChildren(...scales.map((scale) => legend(scale)));
    range.hidden = name !== 'entropy';
    panes.forEach((each) => each.showLayer(layer));
  }

  function chooseRange(name) {
    view.range = name;
    chooseLayer(view.layer);
  }

  function chooseTime(t) {
    view.t = t;
    panes.forEach((each) => each.showTime());
    if (view.table) table.replaceChildren(numbers(inspection, t));
  }

  function toggleTable(event) {
    view.table = !view.table;
    event.currentTarget.setAttribute('aria-pressed', String(view.table));
    table.replaceChildren(...(view.table ? [numbers(inspection, view.t)] : []));
  }

  chooseLayer(view.layer);
  chooseTime(view.t);
  return [
    el('div', { class: 'gs-toolbar' },
      segmented('Layer', layers().map((layer) => [layer.key, layer.label]), view.layer, chooseLayer),
      slider('Diffusion time t', { ...T, value: view.t }, chooseTime),
      el('div', { class: 'gs-buttons' },
        el('button', { type: 'button', 'aria-pressed': String(view.table), onclick: toggleTable }, 'Table'),
        copyButton(() => csv(...tabulate(inspection, view.t))))),
    el('div', { class: 'gs-context' },
      el('div', { class: 'gs-about' }, help, el('div', { class: 'gs-legends' }, key, range)),
      promptBlock(inspection.prompt, popover, signal)),
    el('div', { class: long ? 'gs-panes gs-long' : 'gs-panes' }, panes.map((each) => each.root)),
    table, popover.root,
  ];
}

function promptBlock(tokens, popover, signal) {
  const strip = new TokenStrip(tokens, { label: 'Prompt', popover, signal, describe: () => 'prompt, never masked' });
  strip.update({ states: tokens.map(() => 'prompt') });
  return el('section', { class: 'gs-pane gs-prompt' },
    el('header', {}, el('h3', {}, 'Prompt'), el('span', { class: 'gs-note' }, 'never masked')), strip.root);
}

/** One checkpoint: its strip in the chosen layer, t_i beside its entropy, and how much is masked in all. */
function pane(checkpoint, inspection, view, popover, signal, onHover) {
  const rates = checkpoint.relative_rate;
  const probability = (i) => maskingProbability(rates[i], view.t);
  const common = {
    popover, signal, onHover,
    describe: (i) => `entropy ${decimal(checkpoint.entropy[i])} nats, masked with probability ${decimal(probability(i))}`,
    details: (i) => details(checkpoint, i, probability(i), inspection.power),
    candidates: (i) => checkpoint.top[i],
  };
  const main = new TokenStrip(inspection.response, { label: `${checkpoint.label}: response`, ...common });
  const beside = new TokenStrip(inspection.response, { label: `${checkpoint.label}: masking probability`, ...common });
  const [title, besideTitle, share] = [el('figcaption'), el('figcaption'), el('p', { class: 'gs-note', title: 'Expected share of the response' })];
  const pair = el('div', { class: 'gs-pair' },
    el('figure', {}, title, main.root), el('figure', {}, besideTitle, beside.root));
  let layer = null;

  function showTime() {
    const masked = rates.map((_, i) => probability(i));
    const mean = masked.reduce((sum, p) => sum + p, 0) / masked.length;
    share.replaceChildren(
      'Masked: SFT ', el('b', {}, percent(view.t, 1)), ', GIFT ', el('b', {}, percent(mean, 1)));
    besideTitle.textContent = `tᵢ at t = ${decimal(view.t)}`;
    main.update({ values: rates.map((_, i) => layer.value(checkpoint, i, view.t)), scale: layer.scale });
    if (layer.key === 'entropy') beside.update({ values: masked, scale: PROBABILITY });
  }

  function showLayer(next) {
    layer = next;
    title.textContent = layer.label;
    pair.classList.toggle('gs-single', layer.key !== 'entropy');
    showTime();
  }

  return {
    root: el('section', { class: 'gs-pane' }, el('header', {}, el('h3', {}, checkpoint.label), share), pair),
    showLayer, showTime,
    highlight: (position) => [main, beside].forEach((strip) => strip.highlight(position)),
  };
}

function details(checkpoint, i, probability, power) {
  return [
    ['Entropy H', `${decimal(checkpoint.entropy[i], 3)} nats`],
    [`Masking rate β = H^${power}`, decimal(checkpoint.masking_rate[i], 3)],
    ['Relative rate r', decimal(checkpoint.relative_rate[i], 3)],
    ['Masking probability tᵢ', decimal(probability, 3)],
    ['Weight when masked, 1/tᵢ', decimal(1 / probability)],
    ['Probability of this token', percent(checkpoint.probability[i], 1)],
    ['Rank', String(checkpoint.rank[i] + 1)],
  ];
}

function copyButton(text) {
  const button = el('button', {
    type: 'button', 'aria-live': 'polite',
    onclick: async () => { button.textContent = (await copyText(text())) ? 'Copied' : 'Not allowed here'; },
    onblur: () => { button.textContent = 'Copy CSV'; },
  }, 'Copy CSV');
  return button;
}

function numbers(inspection, t) {
  return dataTable(`Every response token, at t = ${decimal(t)}`, ...tabulate(inspection, t));
}

/** Column groups and rows of the table: a row for each response token, the columns once for each checkpoint. */
function tabulate(inspection, t) {
  const three = (x) => decimal(x, 3);
  const measures = [
    { label: 'H, nats', format: three, value: (c, i) => c.entropy[i] },
    { label: 'β', format: three, value: (c, i) => c.masking_rate[i] },
    { label: 'r', format: three, value: (c, i) => c.relative_rate[i] },
    { label: 'tᵢ', format: three, value: (c, i) => maskingProbability(c.relative_rate[i], t) },
    { label: '1/tᵢ', format: decimal, value: (c, i) => 1 / maskingProbability(c.relative_rate[i], t) },
    { label: 'p', format: three, value: (c, i) => c.probability[i] },
    { label: 'rank', value: (c, i) => c.rank[i] + 1 },
  ];
  const token = { label: '', columns: [{ label: 'position' }, { label: 'token' }, { label: 'id' }] };
  const groups = [token, ...inspection.checkpoints.map(({ label }) => ({ label, columns: measures }))];
  const rows = inspection.response.map(({ text, id }, i) => [
    i, shown(text), id,
    ...inspection.checkpoints.flatMap((checkpoint) => measures.map((measure) => measure.value(checkpoint, i))),
  ]);
  return [groups, rows];
}
