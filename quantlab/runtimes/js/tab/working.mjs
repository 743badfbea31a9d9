/** Gives an order to a worker of its own, and ends the worker when the order is done, fails, stalls or is aborted. */

/** @typedef {import('./worker.mjs').Reply} Reply */

/** A run that could not be done, in one sentence for its row. */
export class MeasureError extends Error {
  name = 'MeasureError';

  /**
   * @param {string} message
   * @param {string} [missingOp] the op that the backend lacks, if that is the cause
   */
  constructor(message, missingOp) {
    super(message);
    this.missingOp = missingOp;
  }
}

/** A run that the user ended. */
export class AbortedError extends Error {
  name = 'AbortError';

  constructor() {
    super('the run was ended');
  }
}

const STALL_SECONDS = 300;

/** Beside this module in the bundle. */
const WORKER = new URL('worker.js', import.meta.url);

/** Words of a remedy that only the command line has. */
const NOT_HERE = /--|python|quantlab|Python/;

/**
 * @param {{ tensors?: Map<string, Uint8Array<ArrayBuffer>> }} order structured-cloneable; its tensors are handed over, and
 *   not copied
 * @param {{ signal?: AbortSignal, stallSeconds?: number }} limits
 * @param {(reply: Reply) => void} hear called with each reply but the last
 * @returns {Promise<void>}
 * @throws {MeasureError}
 * @throws {AbortedError}
 */
export function inWorker(order, { signal, stallSeconds = STALL_SECONDS }, hear) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortedError());
      return;
    }
    const worker = new Worker(WORKER, { type: 'module' });
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const end = (/** @type {() => void} */ settle) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      // Its memory, and that of its graphics context, is given back.
      worker.terminate();
      settle();
    };
    const fail = (/** @type {Error} */ error) => end(() => reject(error));
    const abort = () => fail(new AbortedError());
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(new MeasureError(`no batch was done for ${stallSeconds} seconds, so the run was `
        + 'ended; choose another backend, or fewer samples')), stallSeconds * 1000);
    };
    signal?.addEventListener('abort', abort);
    worker.addEventListener('error', ({ message }) => fail(new MeasureError(`the worker ended (${
      message || 'its code could not be loaded, or memory ran out'}); reload the page, or choose fewer samples`)));
    worker.addEventListener('message', ({ data }) => {
      const reply = /** @type {Reply} */ (data);
      wait();
      if (reply.type === 'failed') fail(new MeasureError(inPage(reply.reason), reply.missing_op));
      else if (reply.type === 'done') end(resolve);
      else hear(reply);
    });
    wait();
    try {
      worker.postMessage(order, [...order.tensors?.values() ?? []].map(({ buffer }) => buffer));
    } catch (error) {
      fail(new MeasureError(`the model and the samples could not be handed to a worker (${
        /** @type {Error} */ (error).message}); choose fewer samples`));
    }
  });
}

/**
 * A reason for the page: without remedies that only the command line has.
 * @param {string} reason
 * @example
 * inPage('the op is missing; leave chromium-wasm out with --runtimes') // 'the op is missing; choose another backend'
 */
export function inPage(reason) {
  const [first, ...remedies] = reason.replaceAll(/,? or (?:run|leave) [^;]*?(?:python only|--\w+)/g, '').split('; ');
  const kept = remedies.filter((clause) => !NOT_HERE.test(clause));
  if (remedies.length && !kept.length) kept.push('choose another backend');
  return [first, ...kept].join('; ');
}
