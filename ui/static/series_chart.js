/** A metric over steps: one line a run, or the median in a translucent band where its percentiles are reported. */

import { partsOf } from './metrics.js';
import { byteUnit, decimal } from './scale.js';

const WIDTH = 2;
// Bands that lie over each other share this, so that the lines stay readable whatever their number.
const BAND_OPACITY = 0.3;

/** `runs` are {label, colour, dash, steps, values}. Gives a title, Plotly's traces and what is particular in its layout. */
export function seriesChart(metric, runs, { scale, smoothing }) {
  const parts = partsOf(metric);
  const unit = metric.bytes ? byteUnit(largest(runs, parts[0])) : { name: '', size: 1 };
  const weight = metric.exact ? 0 : smoothing;
  return {
    title: metric.band ? 'Lines are medians over the tokens; bands go from the 10th to the 90th percentile.' : '',
    traces: metric.band ? bands(runs, parts, weight) : runs.flatMap((run) => lines(metric, run, weight, unit)),
    layout: {
      hovermode: 'x unified',
      xaxis: { title: 'Optimiser step', rangemode: 'tozero', unifiedhovertitle: { text: 'step %{x}' } },
      yaxis: {
        title: unit.name ? `${metric.label}, ${unit.name}` : metric.label,
        type: scale, tickformat: metric.share ? '.2~%' : null, rangemode: metric.bytes ? 'tozero' : 'normal',
      },
    },
    // Another unit is another range.
    range: unit.name,
  };
}

function largest(runs, part) {
  return runs.reduce((most, run) => (run.values[part] ?? []).reduce((a, b) => Math.max(a, b), most), 0);
}

function lines(metric, run, weight, unit) {
  const y = (run.values[metric.name] ?? []).map((value) => value / unit.size);
  // A single point is no line: a run that failed after its first report would show nothing.
  const trace = common(run, metric.name, metric.dots || y.length === 1 ? 'lines+markers' : 'lines');
  const strong = {
    ...trace, y: smoothed(y, weight), line: { color: run.colour, dash: run.dash, width: WIDTH },
    hovertemplate: metric.share ? '%{y:.2%}' : `%{y:.4~g} ${unit.name}`,
  };
  const faint = { ...trace, y, line: { color: run.colour, width: 1 }, opacity: 0.28, showlegend: false, hoverinfo: 'skip' };
  return weight ? [faint, strong] : [strong];
}

/** All bands first: no median lies below another run's band. */
function bands(runs, parts, weight) {
  const measured = runs.filter((run) => run.steps[parts[0]]);
  const drawn = measured.map((run) => band(run, parts, weight, BAND_OPACITY / measured.length));
  return [...drawn.flatMap(({ edges }) => edges), ...drawn.map(({ median }) => median)];
}

function band(run, parts, weight, opacity) {
  const [low, median, high] = parts.map((part) => smoothed(run.values[part], weight));
  const trace = common(run, parts[0], 'lines');
  const edge = {
    ...trace, line: { color: translucent(run.colour, 0.5), dash: run.dash, width: 1 }, showlegend: false, hoverinfo: 'skip',
  };
  return {
    edges: [{ ...edge, y: low }, { ...edge, y: high, fill: 'tonexty', fillcolor: translucent(run.colour, opacity) }],
    median: {
      ...trace, y: median, line: { color: run.colour, dash: run.dash, width: WIDTH },
      customdata: low.map((least, i) => `${decimal(least)} to ${decimal(high[i])}`), hovertemplate: '%{y:.2f} (%{customdata})',
    },
  };
}

function common(run, part, mode) {
  return { type: 'scatter', mode, x: run.steps[part] ?? [], name: run.label, legendgroup: run.label };
}

function translucent(hex, opacity) {
  const [r, g, b] = [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${opacity})`;
}

/** Exponential moving average, corrected for its start as Adam's moments are; what does not change comes out unchanged. */
function smoothed(values, weight) {
  let average = 0;
  let mass = 0;
  return values.map((value) => {
    mass = weight * mass + (1 - weight);
    average += ((1 - weight) / mass) * (value - average);
    return average;
  });
}
