/** Where the loss falls: for each run's latest step, its share on each tenth of the tokens, the surest tenth first. */

import { isMeasured, partsOf } from './metrics.js';
import { integer } from './scale.js';

/** `runs` are {label, colour, pattern, steps, values}. Gives a title, Plotly's traces and what is particular in its layout. */
export function decileChart(metric, runs) {
  const parts = partsOf(metric);
  const measured = runs.filter((run) => isMeasured(run, metric));
  const even = 1 / parts.length;
  return {
    title: measured.length ? `${when(measured, parts[0])}: what share of the loss falls on each tenth of the tokens, from those `
      + 'the model is surest of (1) to those it is least sure of (10).' : '',
    traces: measured.map((run) => ({
      type: 'bar', name: run.label, x: parts.map((_, i) => i + 1), y: parts.map((part) => run.values[part].at(-1)),
      marker: { color: run.colour, pattern: { shape: run.pattern, fillmode: 'overlay', size: 5 } },
      hovertemplate: '%{y:.1%}',
    })),
    layout: {
      barmode: 'group', bargap: 0.22, hovermode: 'x unified',
      xaxis: { title: 'Tenth of the tokens, surest first', dtick: 1, showgrid: false, unifiedhovertitle: { text: 'tenth %{x}' } },
      yaxis: { title: 'Share of the loss', tickformat: '.0%', rangemode: 'tozero' },
      shapes: [{
        type: 'line', xref: 'paper', x0: 0, x1: 1, y0: even, y1: even, line: { color: 'rgba(128, 128, 128, 0.9)', width: 1.5, dash: 'dash' },
        label: { text: 'an even share', textposition: 'start', yanchor: 'bottom', font: { size: 11 } },
      }],
    },
    range: '',
  };
}

function when(runs, part) {
  const steps = runs.map((run) => run.steps[part].at(-1));
  if (new Set(steps).size === 1) return `Step ${integer(steps[0])}`;
  return `Each run’s latest step (${runs.map(({ label }, i) => `${label} ${integer(steps[i])}`).join(', ')})`;
}
