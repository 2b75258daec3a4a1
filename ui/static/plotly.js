/** Plotly, from beside this file; fetched when the first chart is drawn. */

import { el } from './dom.js';

// The share button would upload the chart to another host.
export const CONFIG = {
  displaylogo: false, responsive: true, plotlyServerURL: '', showSendToCloud: false,
  modeBarButtonsToRemove: ['sendChartToCloud', 'select2d', 'lasso2d'],
};

export function loadPlotly() {
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
