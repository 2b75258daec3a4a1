/** The numbers behind a picture: as a table, and as CSV for a spreadsheet. */

import { el } from './dom.js';

/**
 * `groups` is [{label, columns: [{label, format}]}]; `rows` holds strings and numbers, a cell for each column.
 * `format` turns a number into text.
 */
export function dataTable(caption, groups, rows) {
  const columns = groups.flatMap((group) => group.columns.map((column, i) => ({ ...column, look: i === 0 && 'gs-first' })));
  return el('div', { class: 'gs-table', tabindex: 0, role: 'region', 'aria-label': caption },
    el('table', {},
      el('caption', { class: 'gs-hidden' }, caption),
      el('thead', {},
        el('tr', {}, groups.map((group) =>
          el('th', { scope: 'colgroup', class: 'gs-first', colspan: group.columns.length }, group.label))),
        el('tr', {}, columns.map((column) => el('th', { scope: 'col', class: column.look }, column.label)))),
      el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell, i) => tableCell(cell, columns[i])))))));
}

function tableCell(cell, { format = String, look }) {
  if (typeof cell === 'number') return el('td', { class: look }, format(cell));
  return el('td', { class: 'gs-token-name' }, cell);
}

/** RFC 4180 text. Numbers keep every digit; text that a spreadsheet would take for a formula is marked as text. */
export function csv(groups, rows) {
  const header = groups.flatMap(({ label, columns }) => columns.map((column) => `${label} ${column.label}`.trim()));
  return [header, ...rows].map((row) => row.map(csvCell).join(',')).join('\r\n');
}

function csvCell(cell) {
  if (typeof cell === 'number') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
