/**
 * Answers requests for the tensors inside a variant, and for its outputs of the same run.
 *
 * A request names the samples from `start` up to but not including `stop`. Each of their tensors is written to the
 * job's scratch file as one block of all samples in order, and the answer has the position of each block. The next
 * request overwrites the file, so the parent reads it before. As in `run.mjs`, no platform and no library is used here.
 */

import {
  bytesPerSample, failure, inputBuffers, JobError, openExecutor, readInputs, withExecutor,
} from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').TapList} TapList */
/** @typedef {import('./run.mjs').TapRequest} TapRequest */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./run.mjs').TappedPrediction} TappedPrediction */

/** @typedef {Platform & { requests: () => AsyncIterable<unknown> }} AskedPlatform until the parent asks no more */

/** @typedef {{ start: number, stop: number }} Range samples, from the first to one past the last */

/**
 * Position of a tensor of all requested samples in the scratch file, C order, little endian.
 * @typedef {{ name: string, offset: number, shape: number[], dtype: string }} Block
 */

/**
 * A tap's block, always of float32.
 * @typedef {Block & { computed_in: string, inexact: number }} TapBlock
 */

/**
 * The answer to a request.
 * @typedef {object} Tapped
 * @property {'tapped'} type
 * @property {number} start
 * @property {number} stop
 * @property {TapBlock[]} tensors the taps that could be read
 * @property {Block[]} outputs the model's own, in the reference's dtypes
 * @property {{ name: string, reason: string }[]} failed the taps that could not, now or before
 * @property {number} seconds inside the model's calls, the download among them
 */

/** @typedef {{ taps: Map<string, TapBlock>, outputs: Block[] }} Layout */

/** @typedef {(request: unknown) => Promise<Tapped>} Answer */

/**
 * Answer requests for one variant until there are no more; the last message is `done` or `failed`.
 * @param {Job} job
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {AskedPlatform} platform
 */
export function answerRequests(job, executors, platform) {
  return withExecutor(job, executors, platform, async (_, executor) => {
    const answer = answerer(job, executor, platform);
    for await (const request of platform.requests()) platform.emit(await answer(request));
  });
}

/**
 * Answer single requests for several variants; each is opened by its first request and stays open.
 *
 * The scratch file of a request's job identifies the variant. After `failed` the parent ends the process, so nothing is
 * cleaned up here.
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {() => Platform} newPlatform
 * @returns {(request: Pick<TapRequest, 'job' | 'start' | 'stop'>) => Promise<void>}
 */
export function answerForMany(executors, newPlatform) {
  /** @type {Map<string, Answer>} */
  const open = new Map();
  return async (request) => {
    const { job } = request;
    const platform = newPlatform();
    try {
      const { file } = tapsOf(job);
      const answer = open.get(file) ?? answerer(job, await openExecutor(job, executors, platform), platform);
      open.set(file, answer);
      platform.emit(await answer(request));
      platform.emit({ type: 'done' });
    } catch (error) {
      platform.emit(failure(error, job));
    }
  };
}

/** @type {(job: Job) => TapList} */
function tapsOf({ taps }) {
  if (taps) return taps;
  throw new JobError('a request for taps needs a job that names its taps');
}

/** @type {(job: Job, executor: Executor, platform: Platform) => Answer} */
function answerer(job, executor, platform) {
  const { file } = tapsOf(job);
  const buffers = inputBuffers(job);
  return (request) => {
    const range = rangeOf(request, job);
    const batches = tapBatches(range, job, executor, platform, buffers);
    return writeBatches(batches, range, job, (at, bytes) => platform.writeScratch(file, at, bytes));
  };
}

/** @type {(request: unknown, job: Job) => Range} */
function rangeOf(request, job) {
  const { start, stop } = /** @type {Range} */ (request ?? {});
  if (Number.isInteger(start) && Number.isInteger(stop) && 0 <= start && start < stop && stop <= job.stop) {
    return { start, stop };
  }
  throw new JobError(`a request was ${JSON.stringify(request)}, and it must name samples from "start" to one past the `
    + `last, "stop", among the ${job.stop} there are`);
}

/**
 * Run the samples of a range and yield the result of each batch.
 * @param {Range} range
 * @param {Job} job
 * @param {Executor} executor
 * @param {Platform} platform
 * @param {Uint8Array<ArrayBuffer>[]} buffers
 * @returns {AsyncGenerator<TappedPrediction>}
 */
async function* tapBatches({ start, stop }, job, executor, platform, buffers) {
  for (let first = start; first < stop; first += job.batch_size) {
    const samples = Math.min(job.batch_size, stop - first);
    yield await executor.tap(await readInputs(job, buffers, first, samples, platform), samples);
  }
}

/**
 * Write each batch to its position, and return the answer for all of them.
 * @param {AsyncGenerator<TappedPrediction>} batches
 * @param {Range} range
 * @param {Job} job
 * @param {(position: number, bytes: Uint8Array) => void | Promise<void>} write
 * @returns {Promise<Tapped>}
 */
async function writeBatches(batches, { start, stop }, job, write) {
  /** @type {Layout | undefined} */
  let layout;
  /** @type {ReadonlyMap<string, string>} */
  let failed = new Map();
  let seconds = 0;
  let done = 0;
  for await (const batch of batches) {
    layout ??= layOut(job, batch, stop - start);
    await writeBatch(layout, batch, done, write);
    failed = batch.failed;
    seconds += batch.seconds;
    done += Math.min(job.batch_size, stop - start - done);
  }
  const { taps, outputs } = /** @type {Layout} */ (layout);
  return {
    type: 'tapped',
    start,
    stop,
    // A tap that was read in the first batch may have failed in a later one.
    tensors: [...taps.values()].filter(({ name }) => !failed.has(name)),
    outputs,
    failed: Array.from(failed, ([name, reason]) => ({ name, reason })),
    seconds,
  };
}

/** @type {(job: Job, first: TappedPrediction, samples: number) => Layout} */
function layOut(job, first, samples) {
  let end = 0;
  /** @type {(tensor: Pick<Block, 'name' | 'shape' | 'dtype'>) => Block} */
  const placed = ({ name, shape, dtype }) => {
    const offset = end;
    // Aligned for arrays of every dtype.
    end += Math.ceil((samples * bytesPerSample({ name, shape, dtype })) / 8) * 8;
    return { name, offset, shape, dtype };
  };
  const taps = first.taps.map(({ name, shape, computed_in }) => (
    { ...placed({ name, shape, dtype: 'float32' }), computed_in, inexact: 0 }));
  return { taps: new Map(taps.map((block) => [block.name, block])), outputs: job.outputs.map(placed) };
}

/**
 * @param {Layout} layout
 * @param {TappedPrediction} batch
 * @param {number} done samples of this request that are already written
 * @param {(position: number, bytes: Uint8Array) => void | Promise<void>} write
 */
async function writeBatch({ taps, outputs }, batch, done, write) {
  for (const { name, values, inexact } of batch.taps) {
    const block = /** @type {TapBlock} */ (taps.get(name));
    block.inexact += inexact;
    await write(block.offset + done * bytesPerSample(block),
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  for (const [i, block] of outputs.entries()) {
    await write(block.offset + done * bytesPerSample(block), batch.outputs[i]);
  }
}
