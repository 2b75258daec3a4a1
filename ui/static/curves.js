/** Every run's metrics over steps, as one Plotly chart that keeps its zoom while points arrive. */

import { el, isDark, onThemeChange, segmented, slider } from './dom.js';
import { decimal, seriesColour } from './scale.js';

const METRICS = [
  ['loss', 'Training loss'], ['eval_loss', 'Held-out loss'], ['mean_entropy', 'Mean entropy of the probe, nats'],
  ['mask_ratio', 'Share of the response masked'], ['grad_norm', 'Gradient norm'], ['learning_rate', 'Learning rate'],
  ['tokens_per_second', 'Tokens per second'],
];
const REPAINT_MILLISECONDS = 250;
const SMOOTHING = { min: 0, max: 0.98, step: 0.01, value: 0.6, format: decimal };
// The share button would upload the chart to another host.
const CONFIG = {
  displaylogo: false, responsive: true, plotlyServerURL: '', showSendToCloud: false,
  modeBarButtonsToRemove: ['sendChartToCloud', 'select2d', 'lasso2d'],
};

export class Curves {
  #runs = new Map();
  #view = { metric: 'loss', scale: 'linear', smoothing: SMOOTHING.value };
  #plot = el('div', { class: 'gs-chart' });
  #note = el('p', { class: 'gs-chart-note', role: 'status' });
  #metric;
  #caution;
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
      METRICS.map(([value, label]) => el('option', { value }, label)));
    this.#caution = el('p', { class: 'gs-note' },
      'Each method weighs the errors of its training loss in its own way. To compare methods, look at the ',
      el('button', { type: 'button', class: 'gs-inline', onclick: () => this.#show('eval_loss') }, 'held-out loss'),
      ', which is the same for all.');
    this.root = el('section', { class: 'gs-curves' },
      el('div', { class: 'gs-toolbar' }, this.#metric,
        segmented('Vertical axis', [['linear', 'Linear'], ['log', 'Log']], this.#view.scale, change('scale')),
        slider('Smoothing', SMOOTHING, change('smoothing'))),
      el('div', { class: 'gs-chart-frame' }, this.#plot, this.#note), this.#caution);
    onThemeChange(() => this.#schedule(), signal);
    signal.addEventListener('abort', () => {
      clearTimeout(this.#timer);
      window.Plotly?.purge(this.#plot);
    });
    this.#schedule();
  }

  /** Names a run and gives it the colour of its place in the experiment. */
  setRun({ id, label, position }) {
    const run = this.#run(id);
    if (run.label === label && run.position === position) return;
    Object.assign(run, { label, position });
    this.#schedule();
  }

  append(id, points) {
    const { steps, values } = this.#run(id);
    for (const { step, values: measured } of points) {
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
    const { metric } = this.#view;
    const runs = [...this.#runs.values()].sort((a, b) => a.position - b.position);
    const empty = !runs.some((run) => run.steps[metric]?.length);
    this.#plot.classList.toggle('gs-chart-empty', empty);
    this.#caution.hidden = metric !== 'loss';
    this.#note.textContent = empty ? 'No points of this metric yet. The curve appears with the first one.' : '';
    try {
      const plotly = await loadPlotly();
      if (this.#signal.aborted) return;
      const traces = runs.flatMap((run) => this.#traces(run, seriesColour(run.position, isDark())));
      this.#revision += 1;
      await plotly.react(this.#plot, traces, this.#layout(), CONFIG);
    } catch (error) {
      this.#note.textContent = `The chart cannot be drawn: ${error.message} Reload the page.`;
    }
  }

  #traces(run, colour) {
    const { metric, smoothing } = this.#view;
    const x = run.steps[metric] ?? [];
    const y = run.values[metric] ?? [];
    const smooth = smoothing > 0 && metric !== 'eval_loss';
    const mode = metric === 'eval_loss' ? 'lines+markers' : 'lines';
    const common = { type: 'scatter', mode, x, name: run.label, legendgroup: run.label };
    const strong = {
      ...common, y: smooth ? smoothed(y, smoothing) : y, line: { color: colour, width: 2 },
      hovertemplate: '%{y:.4~g}',
    };
    const faint = { ...common, y, line: { color: colour, width: 1 }, opacity: 0.28, showlegend: false, hoverinfo: 'skip' };
    return smooth ? [faint, strong] : [strong];
  }

  #layout() {
    const { metric, scale } = this.#view;
    const { color, fontFamily } = getComputedStyle(this.#plot);
    const axis = { gridcolor: 'rgba(128, 128, 128, 0.18)', linecolor: 'rgba(128, 128, 128, 0.4)', zeroline: false, automargin: true };
    return {
      datarevision: this.#revision,
      // Zoom is kept while these stay the same: another metric or axis has another range.
      uirevision: `${metric} ${scale}`,
      margin: { l: 8, r: 12, t: 8, b: 8 },
      paper_bgcolor: 'transparent', plot_bgcolor: 'transparent',
      font: { color, family: fontFamily, size: 12 },
      hovermode: 'x unified',
      hoverlabel: { bgcolor: isDark() ? '#1b1f27' : '#ffffff', font: { color } },
      legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom' },
      xaxis: { ...axis, title: { text: 'Optimiser step' }, rangemode: 'tozero', unifiedhovertitle: { text: 'step %{x}' } },
      yaxis: { ...axis, type: scale, title: { text: METRICS.find(([name]) => name === metric)[1] } },
    };
  }
}

/** Exponential moving average, corrected for its start as Adam's moments are. */
function smoothed(values, weight) {
  let average = 0;
  let mass = 0;
  return values.map((value) => {
    average = weight * average + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return average / mass;
  });
}

/** Plotly, from beside this file; fetched when the first chart is drawn. */
function loadPlotly() {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  const src = new URL('./plotly.min.js', import.meta.url).href;
  const script = document.querySelector(`script[src="${src}"]`) ?? document.head.appendChild(el('script', { src }));
  return new Promise((resolve, reject) => {
    script.addEventListener('load', () => resolve(window.Plotly));
    script.addEventListener('error', () => {
      script.remove();
      reject(new Error('its library could not be loaded.'));
    });
  });
}
