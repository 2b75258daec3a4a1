/** Every run's metrics over steps, as one Plotly chart that keeps its zoom while points arrive. */

import { decileChart } from './decile_chart.js';
import { el, isDark, onThemeChange, segmented, slider } from './dom.js';
import { GROUPS, isAbsent, isMeasured, metricOf } from './metrics.js';
import { CONFIG, loadPlotly } from './plotly.js';
import { decimal, seriesColour, seriesDash, seriesPattern } from './scale.js';
import { seriesChart } from './series_chart.js';

const FONT_SIZE = 12;
const REPAINT_MILLISECONDS = 250;
const SMOOTHING = { min: 0, max: 0.98, step: 0.01, value: 0.6, format: decimal };

export class Curves {
  #runs = new Map();
  #view = { metric: 'loss', scale: 'linear', smoothing: SMOOTHING.value };
  #title = el('p', { class: 'gs-chart-title' });
  #plot = el('div', { class: 'gs-chart' });
  #note = el('p', { class: 'gs-chart-note', role: 'status' });
  #metric;
  #scale;
  #smoothing;
  #caution;
  #absent = el('p', { class: 'gs-note' });
  #signal;
  #timer = null;
  #painting = null;
  #revision = 0;

  constructor(signal) {
    this.#signal = signal;
    const change = (name) => (value) => {
      this.#view[name] = value;
      this.#schedule();
    };
    this.#metric = el('select', { 'aria-label': 'Metric', onchange: (event) => change('metric')(event.target.value) },
      GROUPS.map(([label, metrics]) => el('optgroup', { label }, metrics.map((metric) =>
        el('option', { value: metric.name }, metric.label)))));
    this.#scale = segmented('Vertical axis', [['linear', 'Linear'], ['log', 'Log']], this.#view.scale, change('scale'));
    this.#smoothing = slider('Smoothing', SMOOTHING, change('smoothing'));
    this.#caution = el('p', { class: 'gs-note' },
      'Each method weighs the errors of this loss in its own way. To compare methods, look at the ',
      el('button', { type: 'button', class: 'gs-inline', onclick: () => this.#show('eval_loss') }, 'held-out loss'),
      ', which is the same for all.');
    this.root = el('section', { class: 'gs-curves' },
      el('div', { class: 'gs-toolbar' }, this.#metric, this.#scale, this.#smoothing),
      el('div', { class: 'gs-chart-frame' }, this.#title, this.#plot, this.#note), this.#caution, this.#absent);
    onThemeChange(() => this.#schedule(), signal);
    signal.addEventListener('abort', () => {
      clearTimeout(this.#timer);
      window.Plotly?.purge(this.#plot);
    });
    this.#schedule();
  }

  /** Names a run and gives it the colour of its place in the experiment. */
  setRun({ id, label, position, first_attempt: first }) {
    const run = this.#run(id);
    if (run.first !== undefined && run.first !== first) {
      // It begins at step 0 again, or is again what it was before that.
      Object.assign(run, { steps: {}, values: {} });
      this.#schedule();
    }
    run.first = first;
    if (run.label === label && run.position === position) return;
    Object.assign(run, { label, position });
    this.#schedule();
  }

  append(id, points) {
    const { steps, values } = this.#run(id);
    for (const { step, values: measured } of points) {
      // A run that is resumed reports again what came after its checkpoint.
      Object.keys(measured).filter((metric) => steps[metric]?.at(-1) > step).forEach((metric) => {
        const kept = steps[metric].findIndex((each) => each >= step);
        steps[metric].length = values[metric].length = kept;
      });
      for (const [metric, value] of Object.entries(measured)) {
        (steps[metric] ??= []).push(step);
        (values[metric] ??= []).push(value);
      }
    }
    this.#schedule();
  }

  #show(metric) {
    this.#metric.value = metric;
    this.#metric.dispatchEvent(new Event('change'));
    this.#metric.focus();
  }

  #run(id) {
    if (!this.#runs.has(id)) this.#runs.set(id, { label: id, position: this.#runs.size, steps: {}, values: {} });
    return this.#runs.get(id);
  }

  /** Repaints soon, and never more often than every REPAINT_MILLISECONDS. */
  #schedule() {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(async () => {
      await this.#painting;
      this.#timer = null;
      this.#painting = this.#paint();
    }, REPAINT_MILLISECONDS);
  }

  async #paint() {
    const metric = metricOf(this.#view.metric);
    const runs = [...this.#runs.values()].sort((a, b) => a.position - b.position);
    this.#explain(metric, runs);
    try {
      const plotly = await loadPlotly();
      if (this.#signal.aborted) return;
      const chart = (metric.deciles ? decileChart : seriesChart)(metric, runs.map(styled), this.#view);
      this.#title.textContent = chart.title;
      this.#revision += 1;
      await plotly.react(this.#plot, chart.traces, this.#layout(chart), CONFIG);
    } catch (error) {
      this.#note.textContent = `The chart cannot be drawn: ${error.message} Reload the page.`;
    }
  }

  /** Says what is missing, and leaves only the controls that change something. */
  #explain(metric, runs) {
    const empty = !runs.some((run) => isMeasured(run, metric));
    const absent = runs.filter((run) => isAbsent(run, metric));
    this.#plot.classList.toggle('gs-chart-empty', empty);
    this.#note.textContent = !empty ? ''
      : runs.length && absent.length === runs.length ? 'None of these runs has this metric.'
        : 'No points of this metric yet. The curve appears with the first one.';
    this.#absent.textContent = absent.length
      ? `No values for ${absent.map(({ label }) => label).join(', ')}: ${metric.absent}` : '';
    this.#absent.hidden = !absent.length;
    this.#caution.hidden = !metric.own;
    this.#scale.hidden = Boolean(metric.deciles);
    this.#smoothing.hidden = Boolean(metric.deciles || metric.exact);
  }

  #layout({ layout, range }) {
    const { metric, scale } = this.#view;
    const { color, fontFamily } = getComputedStyle(this.#plot);
    const axis = { gridcolor: 'rgba(128, 128, 128, 0.18)', linecolor: 'rgba(128, 128, 128, 0.4)', zeroline: false, automargin: true };
    return {
      ...layout,
      datarevision: this.#revision,
      // Zoom is kept while these stay the same: another metric or axis has another range.
      uirevision: `${metric} ${scale} ${range}`,
      margin: { l: 8, r: 12, t: 8, b: 8 },
      paper_bgcolor: 'transparent', plot_bgcolor: 'transparent',
      font: { color, family: fontFamily, size: FONT_SIZE },
      hoverlabel: { bgcolor: isDark() ? '#1b1f27' : '#ffffff', font: { color } },
      legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom' },
      showlegend: true,
      xaxis: { ...axis, ...layout.xaxis, title: titled(layout.xaxis.title) },
      yaxis: { ...axis, ...layout.yaxis, title: titled(layout.yaxis.title) },
    };
  }
}

function titled(text) {
  return { text, font: { size: FONT_SIZE } };
}

/** A run with the look of its place in the experiment. */
function styled(run) {
  const { position } = run;
  return { ...run, colour: seriesColour(position, isDark()), dash: seriesDash(position), pattern: seriesPattern(position) };
}
