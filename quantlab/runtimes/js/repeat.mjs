/**
 * Runs the first samples once more after the last one, and compares with what was written for them, as
 * `quantlab/worker/repeating.py` does: some backends are right only in the first call.
 */

import { elementsOf } from './dtypes.mjs';
import { JobError, bytesPerSample, readInputs } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').TensorFile} TensorFile */

/**
 * @typedef {object} Repeated
 * @property {'repeated'} type
 * @property {string} way always `again`; servers have others
 * @property {number} samples
 * @property {number} differing samples of which a value of any output differs
 * @property {number | null} largest the largest difference; null if only one of two values is finite
 * @property {number} scale the largest finite absolute value of the first run
 */

/**
 * Run the first batch as before.
 * @param {Job} job
 * @param {Executor} executor
 * @param {Platform} platform
 * @param {Uint8Array<ArrayBuffer>[]} buffers for a batch of each input
 * @returns {Promise<Repeated>}
 */
export async function runAgain(job, executor, platform, buffers) {
  const samples = Math.min(job.batch_size, job.stop);
  const inputs = await readInputs(job, buffers, 0, samples, platform);
  const outputs = await predictAgain(executor, inputs, samples);
  /** @type {Set<number>} */
  const differing = new Set();
  let largest = 0;
  let scale = 0;
  for (const [i, output] of job.outputs.entries()) {
    const before = new Uint8Array(samples * bytesPerSample(output));
    await platform.readTensor(output.file, output.offset, before);
    const compared = compare(before, outputs[i], output, differing);
    largest = Math.max(largest, compared.largest);
    scale = Math.max(scale, compared.scale);
  }
  const finite = Number.isFinite(largest) ? largest : null;
  return { type: 'repeated', way: 'again', samples, differing: differing.size, largest: finite, scale };
}

/** @type {(executor: Executor, inputs: Uint8Array<ArrayBuffer>[], samples: number) => Promise<Uint8Array[]>} */
async function predictAgain(executor, inputs, samples) {
  try {
    return (await executor.predict(inputs, samples)).outputs;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new JobError(`all samples ran, but the first of them failed when they ran once more: ${said}`);
  }
}

/**
 * Compare an output's bytes of two runs; NaN equals NaN.
 * @param {Uint8Array<ArrayBuffer>} before
 * @param {Uint8Array} again
 * @param {TensorFile} output
 * @param {Set<number>} differing receives the samples that differ
 */
function compare(before, again, output, differing) {
  const [one, other] = [before, again.slice()].map((bytes) => elementsOf(bytes, output.dtype));
  const perSample = bytesPerSample(output) * one.length / before.length;
  let largest = 0;
  let scale = 0;
  for (let i = 0; i < one.length; i += 1) {
    const [a, b] = [one[i], other[i]];
    const size = Math.abs(Number(a));
    if (size > scale && size < Infinity) scale = size;
    // NaN is the only value that does not equal itself.
    if (a === b || (a !== a && b !== b)) continue;
    differing.add(Math.floor(i / perSample));
    const apart = Math.abs(typeof a === 'bigint' && typeof b === 'bigint' ? Number(a - b) : Number(a) - Number(b));
    // The difference from NaN or infinity is NaN or infinite.
    largest = Math.max(largest, Number.isFinite(apart) ? apart : Infinity);
  }
  return { largest, scale };
}
