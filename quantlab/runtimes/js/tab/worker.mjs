/** The entry of the worker that runs one variant, and ends with it. */

import { EXECUTORS, RAW } from '../browser-executors.mjs';
import { bytesPerSample, failure, inputBuffers, JobError, readInputs, run } from '../run.mjs';
import { compareTaps } from './layer-comparison.mjs';
import { memoryPlatform } from './memory.mjs';

/** @typedef {import('../run.mjs').Job} Job */
/** @typedef {import('../run.mjs').Message} Message */
/** @typedef {import('../run.mjs').Platform} Platform */
/** @typedef {import('../run.mjs').TensorFile} TensorFile */

/**
 * What the page asks for. Outputs whose shape the artifact does not tell have an empty dtype.
 * @typedef {object} RunOrder
 * @property {'run'} order
 * @property {Job} job
 * @property {string} host
 * @property {Record<string, string>} environment
 * @property {Map<string, Uint8Array>} files
 * @property {Map<string, Uint8Array<ArrayBuffer>>} tensors the bytes of the inputs
 */

/** @typedef {{ name: string, shape: number[], dtype: string, bytes: Uint8Array }} Output */
/** @typedef {{ type: 'outputs', outputs: Output[] }} Outputs */
/** @typedef {{ type: 'layers', compared: import('./layer-comparison.mjs').Compared[] }} Layers */
/** @typedef {Message | Outputs | Layers} Reply */

/** @typedef {{ job: Job, files: Map<string, Uint8Array> }} Side */
/**
 * @typedef {Pick<RunOrder, 'host' | 'environment' | 'tensors'> & { order: 'layers', sides: [Side, Side] }} LayersOrder
 */

/** @param {Reply} reply */
function say(reply) {
  const held = reply.type === 'outputs' ? reply.outputs.map(({ bytes }) => bytes.buffer) : [];
  postMessage(reply, { transfer: held });
}

/** @param {RunOrder} order */
async function runOrder(order) {
  const tensors = new Map(order.tensors);
  /** @type {Message[]} */
  const last = [];
  const platform = memoryPlatform({
    ...order,
    tensors,
    emit: (message) => (message.type === 'done' || message.type === 'failed' ? last.push(message) : say(message)),
  });
  try {
    const job = await withShapes(order.job, platform);
    for (const output of job.outputs) tensors.set(output.file, new Uint8Array(job.stop * bytesPerSample(output)));
    await run(job, EXECUTORS, platform);
    if (last[0]?.type === 'done') {
      const outputs = job.outputs.map(({ name, file, shape, dtype }) => (
        { name, shape: [job.stop, ...shape], dtype, bytes: /** @type {Uint8Array} */ (tensors.get(file)) }));
      say({ type: 'outputs', outputs });
    }
    last.forEach(say);
  } catch (error) {
    say(failure(error, order.job));
  }
}

/**
 * The job with the shapes of its outputs; if the artifact does not tell them, they are those of a call with one sample.
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Job>}
 */
async function withShapes(job, platform) {
  if (job.outputs.every(({ dtype }) => dtype)) return job;
  const first = await readInputs(job, inputBuffers(job), 0, 1, platform);
  const calls = await RAW[job.format](job, platform);
  try {
    const inputs = job.inputs.map(({ shape, dtype }, i) => (
      { shape: [1, ...shape], dtype, bytes: Uint8Array.from(first[i]) }));
    const byName = job.format === 'tfjs' || job.format === 'onnx';
    const results = await calls.call(inputs, byName ? job.inputs.map(({ tensor }) => tensor) : null);
    return { ...job, outputs: job.outputs.map((output) => shapedAs(output, results)) };
  } catch (error) {
    throw await explained(error, job, first, platform);
  } finally {
    await calls.close();
  }
}

/**
 * The error of a call in the words of the format's executor, which names a missing op.
 * @type {(error: unknown, job: Job, first: Uint8Array<ArrayBuffer>[], platform: Platform) => Promise<unknown>}
 */
async function explained(error, job, first, platform) {
  try {
    const executor = await EXECUTORS[job.format](job, platform);
    await executor.predict(first, 1);
  } catch (told) {
    // The shape of its outputs is what is not known.
    if (told instanceof JobError && !told.message.startsWith('the output ')) return told;
  }
  return error;
}

/** @type {(output: TensorFile, results: import('../try.mjs').RawOutput[]) => TensorFile} */
function shapedAs(output, results) {
  const plain = (/** @type {string} */ name) => name.replace(/:0$/, '');
  const named = results.find(({ name }) => plain(name) === plain(output.tensor) || plain(name) === output.name);
  const { shape, dtype } = named ?? results[output.position];
  return { ...output, shape: Array.from(shape).slice(1), dtype: output.dtype || dtype };
}

/** @param {LayersOrder} order */
async function layersOrder({ sides, host, environment, tensors }) {
  const [, { job }] = sides;
  try {
    const [float, variant] = sides.map((side) => (
      { job: side.job, platform: memoryPlatform({ host, environment, files: side.files, tensors, emit: say }) }));
    const compared = await compareTaps(float, variant, EXECUTORS, (done, batch) => (
      say({ type: 'progress', done, batch, seconds: 0 })));
    say({ type: 'layers', compared });
    say({ type: 'done' });
  } catch (error) {
    say(failure(error, job));
  }
}

/** Report uncaught errors, so that the page does not wait. */
function failUncaught() {
  /** @param {unknown} error */
  const fail = (error) => say({ type: 'failed', reason: `the worker failed: ${error}` });
  addEventListener('error', ({ message }) => fail(message));
  addEventListener('unhandledrejection', ({ reason }) => fail(reason));
}

failUncaught();
addEventListener('message', ({ data }) => {
  const order = /** @type {RunOrder | LayersOrder} */ (data);
  if (order.order === 'layers') layersOrder(order);
  else runOrder(order);
});
