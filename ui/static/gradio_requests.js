/*
 * What Gradio's own requests lack. A browser has six connections to a host: of the answers that may take minutes, at most three
 * are waited for at a time, in all tabs together, so that some are left for everything else. And a request outside the queue that
 * fails says nothing, so it is said here.
 */
(() => {
  const SLOTS = 3;
  const SLOW = /\/(gradio_api\/(queue\/data|upload)|api\/v1\/(evaluations\/|comparisons|evaluation-comparisons))/;
  const UPLOAD = /\/gradio_api\/upload(\?|$)/;
  const UNQUEUED = /\/gradio_api\/run\//;
  const plain = window.fetch.bind(window);

  // Not there on a page over plain http from another host.
  const acquire = () => (navigator.locks ? firstFree() : Promise.resolve(() => {}));

  /** Waits for any of the slots; returns what to call to free it. */
  function firstFree() {
    return new Promise((granted) => {
      const others = new AbortController();
      let taken = false;
      const take = () => {
        if (taken) return null;
        taken = true;
        return new Promise((free) => {
          granted(free);
          others.abort();
        });
      };
      for (let slot = 0; slot < SLOTS; slot += 1) {
        navigator.locks.request(`gift-studio slot ${slot}`, { signal: others.signal }, take).catch(() => {});
      }
    });
  }

  /** The response, which frees its slot when it has been read, or nobody reads it any more. */
  function freeing(response, free, signal) {
    signal?.addEventListener('abort', free);
    if (!response.body) {
      free();
      return response;
    }
    const reader = response.body.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        return free();
      },
      cancel(reason) {
        free();
        return reader.cancel(reason);
      },
    });
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  }

  /** A file that was refused: the problem document as text, which Gradio shows as it comes. */
  async function inWords(response) {
    if (response.ok) return response;
    const { detail } = await response.clone().json().catch(() => ({}));
    if (!detail) return response;
    document.dispatchEvent(new CustomEvent('gs-failure', { detail, cancelable: true }));
    const { status, statusText } = response;
    return new Response(detail, { status, statusText, headers: { 'Content-Type': 'text/plain' } });
  }

  async function announce(response) {
    if (response.ok) return;
    const { error } = await response.clone().json().catch(() => ({}));
    if (error) document.dispatchEvent(new CustomEvent('gs-failure', { detail: error, cancelable: true }));
  }

  window.fetch = async (input, init) => {
    const address = String(input?.url ?? input);
    if (!SLOW.test(address)) {
      const response = await plain(input, init);
      if (UNQUEUED.test(address)) announce(response);
      return response;
    }
    const free = await acquire();
    try {
      const response = freeing(await plain(input, init), free, init?.signal ?? input?.signal);
      return UPLOAD.test(address) ? await inWords(response) : response;
    } catch (error) {
      free();
      throw error;
    }
  };
})();
