/** Reading from the API, and how often. */

/** The JSON at an address of the API; an error says what was wrong in the API's own words. */
export async function get(address, signal) {
  const response = await fetch(address, { signal }).catch(() => {
    throw new Error('The studio does not answer.');
  });
  if (!response.ok) throw new Error(await problemIn(response));
  return response.json();
}

async function problemIn(response) {
  const document = await response.json().catch(() => ({}));
  const [problem] = document.problems ?? [];
  return problem ? inWords(problem) : `The studio answered ${response.status}.`;
}

/** What is wrong and what to do about it, as one text. */
export function inWords({ message, remedy }) {
  return [message, remedy].filter(Boolean).join(' ');
}

/**
 * Calls `work` at once, and once more after it has ended if it was asked for meanwhile. `pause(took)` is how long it rests after
 * each time, in milliseconds, as is what it took.
 */
export function calmly(work, pause) {
  let busy = false;
  let again = false;
  return async function run() {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        const began = performance.now();
        await work();
        const rest = pause(performance.now() - began);
        await new Promise((done) => { setTimeout(done, rest); });
      }
    } finally {
      busy = false;
    }
  };
}
