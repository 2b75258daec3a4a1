/** The answers as files: a line or a row for each item and checkpoint. */

import { downloadButton } from './download.js';
import { csv } from './table.js';

const COLUMNS = ['item', 'checkpoint', 'length', 'seed', 'solved', 'verdict', 'expected', 'response', 'tokens', 'ended', 'prompt'];

/** Buttons for {rows, evaluations, length, seed} as `current()` gives them. */
export function answerFiles(current) {
  return [
    downloadButton('JSONL', 'answers.jsonl', 'application/jsonl', () => flat(current()).map((row) => `${JSON.stringify(row)}\n`).join('')),
    downloadButton('CSV', 'answers.csv', 'text/csv', () => asCsv(flat(current()))),
  ];
}

function flat({ rows, evaluations, length, seed }) {
  return rows.flatMap(({ item, prompt, expected, answers }) => answers.flatMap((answer, place) => (answer ? [{
    item, checkpoint: evaluations[place].name, length, seed, solved: answer.solved, verdict: answer.text, expected,
    response: answer.response, tokens: answer.tokens, ended: answer.ended, prompt,
  }] : [])));
}

function asCsv(rows) {
  const groups = [{ label: '', columns: COLUMNS.map((label) => ({ label })) }];
  const cell = (value) => (typeof value === 'number' ? value : String(value));
  return csv(groups, rows.map((row) => COLUMNS.map((name) => cell(row[name]))));
}
