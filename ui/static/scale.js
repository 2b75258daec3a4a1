/** Colour scales and number formats. Every scale is monotone in luminance, so it also reads in greyscale. */

// Blue to yellow, as cividis: the one hue axis that common colour blindness leaves intact. Low values fade into the page.
const STOPS = {
  sequential: {
    light: [[250, 247, 235], [244, 231, 168], [216, 195, 104], [157, 150, 112], [98, 108, 120], [40, 68, 112], [0, 34, 78]],
    dark: [[29, 36, 50], [27, 54, 100], [66, 82, 112], [112, 114, 117], [164, 153, 106], [214, 197, 84], [255, 236, 110]],
  },
  diverging: {
    light: [[18, 84, 152], [96, 150, 200], [186, 211, 231], [247, 246, 243], [240, 204, 158], [215, 142, 62], [150, 78, 8]],
    dark: [[134, 190, 240], [74, 134, 190], [44, 78, 116], [34, 37, 44], [110, 72, 32], [184, 118, 42], [250, 184, 98]],
  },
};
const LEVELS = 256;
const NO_BREAK = '\u00a0';
const TABLES = Object.fromEntries(Object.entries(STOPS).map(
  ([ramp, modes]) => [ramp, Object.fromEntries(Object.entries(modes).map(([mode, stops]) => [mode, table(stops)]))],
));

function table(stops) {
  return Array.from({ length: LEVELS }, (_, level) => {
    const at = (level / (LEVELS - 1)) * (stops.length - 1);
    const left = Math.min(Math.floor(at), stops.length - 2);
    const rgb = stops[left].map((low, i) => Math.round(low + (stops[left + 1][i] - low) * (at - left)));
    return { fill: `rgb(${rgb})`, ink: luminance(rgb) > 0.179 ? '#000' : '#fff' };
  });
}

/** Relative luminance of WCAG, 0 to 1; black text and white text contrast equally at 0.179. */
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => (c <= 10.3 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Background and text colour for a position in [0, 1] on a ramp. */
export function colourAt(ramp, position, dark) {
  return TABLES[ramp][dark ? 'dark' : 'light'][Math.round(clamp(position) * (LEVELS - 1))];
}

/** The ramp as a CSS gradient from left to right. */
export function gradient(ramp, dark) {
  const stops = Array.from({ length: 17 }, (_, i) => colourAt(ramp, i / 16, dark).fill);
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

function clamp(x) {
  return Math.min(1, Math.max(0, x));
}

const LEAST_END = 0.1;
const ROUND = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10];

/** The round number at which an axis for values up to `largest` ends. */
export function axisEnd(largest) {
  const wanted = Math.max(LEAST_END, largest);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * ROUND.find((step) => step * power >= wanted);
}

/**
 * A scale maps values to positions in [0, 1] and names itself: {title, ramp, position, ticks}; `ticks` are labels, evenly spaced.
 * One holds for all panes, whatever the sliders say, so that they can be compared by eye.
 */
export function entropyScale(most, end = decimal(most)) {
  return {
    title: 'Entropy, nats', ramp: 'sequential', position: (nats) => clamp(nats / most),
    ticks: ['0', decimal(most / 2), end],
  };
}

export const PROBABILITY = {
  title: 'Masking probability tᵢ', ramp: 'sequential', position: clamp,
  ticks: ['0', '0.5', '1'],
};

export const TRUTH = {
  title: 'Probability of the token that stands there', ramp: 'sequential', position: clamp,
  ticks: ['0', '0.5', '1'],
};

/** For masking rates up to the largest of `rates`. */
export function rateScale(rates) {
  const most = axisEnd(rates.reduce((largest, rate) => Math.max(largest, rate), 0));
  return {
    title: 'Masking rate β', ramp: 'sequential', position: (rate) => clamp(rate / most),
    ticks: ['0', decimal(most / 2), decimal(most)],
  };
}

// Logarithmic: 1 / t_i has no upper end, and the bound's weight no lower one.
export const WEIGHT = {
  title: 'Weight when masked, logarithmic', ramp: 'sequential', position: (weight) => clamp((Math.log10(weight) + 1) / 3),
  ticks: ['≤ 0.1', '1', '10', '≥ 100'],
};

export const PRODUCT = {
  title: 'tᵢ × weight, logarithmic', ramp: 'diverging', position: (product) => clamp(0.5 + Math.log2(product) / 4),
  ticks: ['≤ ¼', '1', '≥ 4'],
};

export const DIFFERENCE = {
  title: 'tᵢ − t', ramp: 'diverging', position: (difference) => clamp(0.5 + difference),
  ticks: ['≤ −0.5', '0', '≥ 0.5'],
};

// Searched for: the largest differences that remain under each kind of colour blindness, at a contrast of 3 with the page.
const SERIES = {
  light: ['#0072b2', '#d55e00', '#009e73', '#8c1515', '#332288', '#555555'],
  dark: ['#56b4e9', '#ff9a4d', '#8ff0b8', '#d65a9a', '#7a6aee', '#f4f6fa'],
};
const COLOURS = SERIES.light.length;
// When the colours begin again, lines and bars change their texture.
const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
const PATTERNS = ['', '/', '.', 'x'];

export function seriesColour(index, dark) {
  return SERIES[dark ? 'dark' : 'light'][index % COLOURS];
}

/** A series' line, as Plotly calls it. */
export function seriesDash(index) {
  return DASHES[Math.floor(index / COLOURS) % DASHES.length];
}

/** The texture of a series' bars, as Plotly calls it. */
export function seriesPattern(index) {
  return PATTERNS[Math.floor(index / COLOURS) % PATTERNS.length];
}

/** A series' colour as custom properties, for elements of class gs-themed. */
export function seriesStyle(index) {
  return `--light: ${seriesColour(index, false)}; --dark: ${seriesColour(index, true)}`;
}

export function decimal(x, digits = 2) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '−∞';
  return x.toFixed(digits).replace('-', '−');
}

export function percent(share, digits = 0) {
  return `${decimal(100 * share, digits)}${NO_BREAK}%`;
}

export function integer(x) {
  return x === null || x === undefined ? '–' : Math.round(x).toLocaleString('en-US');
}

/** Seconds as "4.2 s", "1 min 05 s" or "2 h 03 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 10) return `${seconds.toFixed(1)}${NO_BREAK}s`;
  const whole = Math.round(seconds);
  const pad = (n) => String(n).padStart(2, '0');
  const parts = whole < 60 ? [whole, 's']
    : whole < 3600 ? [Math.floor(whole / 60), 'min', pad(whole % 60), 's']
      : [Math.floor(whole / 3600), 'h', pad(Math.floor((whole % 3600) / 60)), 'min'];
  return parts.join(NO_BREAK);
}

/** The unit in which `largest` bytes are read best, as {name, size}. */
export function byteUnit(largest) {
  return largest >= 2 ** 30 ? { name: 'GiB', size: 2 ** 30 } : { name: 'MiB', size: 2 ** 20 };
}
