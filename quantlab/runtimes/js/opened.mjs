/**
 * Runs a variant in parts: one request for each range of samples. The variant stays open for the next request of the
 * same name, and is closed before another one is opened, so that memory never holds two.
 */

import { failure, openExecutor, run, runBatches, sayReady } from './run.mjs';

/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').RunRequest} RunRequest */
/** @typedef {import('./run.mjs').Message} Message */

/**
 * Return a function that answers requests to run; it keeps the variant of the last one open if that has a name.
 *
 * After `failed` the parent ends the process, so nothing is cleaned up here.
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {() => Platform} newPlatform
 * @returns {(request: RunRequest) => Promise<void>}
 */
export function runAndKeepOpen(executors, newPlatform) {
  /** @type {{ name: string, executor: Executor } | undefined} */
  let kept;

  /** @type {(request: RunRequest, platform: Platform) => Promise<Executor>} */
  async function executorFor({ job, opened }, platform) {
    if (kept && kept.name === opened) {
      sayReady(kept.executor, platform);
      return kept.executor;
    }
    await close();
    const executor = await openExecutor(job, executors, platform);
    kept = { name: /** @type {string} */ (opened), executor };
    return executor;
  }

  async function close() {
    const before = kept;
    kept = undefined;
    await before?.executor.close();
  }

  return async (request) => {
    const platform = newPlatform();
    if (!request.opened) {
      await close();
      await run(request.job, executors, platform);
      return;
    }
    const last = await attempt(request.job, async () => {
      await runBatches(request.job, await executorFor(request, platform), platform);
    });
    platform.closeFiles?.();
    platform.emit(last);
  };
}

/** @type {(job: RunRequest['job'], work: () => Promise<void>) => Promise<Message>} */
async function attempt(job, work) {
  try {
    await work();
  } catch (error) {
    return failure(error, job);
  }
  return { type: 'done' };
}
