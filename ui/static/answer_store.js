/** All answers of some evaluations to one length and seed, joined by item. */

import { get } from './requests.js';

const PAGE = 200;

/** The verdicts between which a table can choose, by the name of the choice. `answers` holds undefined where there is none. */
export const FILTERS = {
  all: () => true,
  disagree: (answers) => solvedBy(answers) > 0 && solvedBy(answers) < given(answers),
  nobody: (answers) => solvedBy(answers) === 0,
  everybody: (answers) => solvedBy(answers) === given(answers),
};

function given(answers) {
  return answers.filter(Boolean).length;
}

function solvedBy(answers) {
  return answers.filter((each) => each?.solved).length;
}

/**
 * Rows of {item, number, prompt, expected, answers}, an answer or undefined for each of the evaluations. They are read page by page;
 * `onProgress` hears of the items read so far.
 */
export async function loadAnswers(api, evaluations, { length, seed }, onProgress, signal) {
  const rows = new Map();
  let read = 0;
  await Promise.all(evaluations.map(async (evaluation, place) => {
    const condition = evaluation.asked.findIndex((each) => each.length === length && each.seed === seed);
    if (condition < 0) return;
    for (let start = 0; start < evaluation.items; start += PAGE) {
      const query = new URLSearchParams({ condition, start, limit: PAGE });
      for (const { item, prompt, expected, ...answer } of await get(`${api}/evaluations/${encodeURIComponent(evaluation.id)}/answers?${query}`, signal)) {
        if (!rows.has(item)) rows.set(item, { item, number: position(item), prompt, expected, answers: evaluations.map(() => undefined) });
        rows.get(item).answers[place] = answer;
      }
      read += Math.min(PAGE, evaluation.items - start);
      onProgress(read);
    }
  }));
  return [...rows.values()].sort((a, b) => a.number - b.number);
}

/** An id ends in the item's position in its list. */
function position(item) {
  return Number(item.slice(item.lastIndexOf('/') + 1));
}
