/** Runs an artifact on samples, in a worker of its own, and tells what it ran on. */

import { bytesOf, tensorOf } from './bytes.mjs';
import { environmentOf, gpuNotes, hostOf, untimed } from './place.mjs';
import { artifactOf } from './ports.mjs';
import { inWorker, MeasureError } from './working.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */
/** @typedef {import('../run.mjs').Job} Job */
/** @typedef {import('../run.mjs').TensorFile} TensorFile */
/** @typedef {import('../repeat.mjs').Repeated} Repeated */
/** @typedef {'wasm' | 'webgl' | 'webgpu' | 'cpu'} Backend */

/**
 * @typedef {object} MeasureOptions
 * @property {Backend} backend
 * @property {number} [batchSize] samples of one call; formats that run sample by sample ignore it
 * @property {(done: number, of: number) => void} [onProgress] called after each batch
 * @property {AbortSignal} [signal] ends the run
 * @property {number} [stallSeconds] longest time without a batch, after which the run is ended
 */

/**
 * What a run gave.
 * @typedef {object} Measured
 * @property {Map<string, Tensor>} outputs by the artifact's names
 * @property {string} ranOn the runtime, for example `chromium-webgl`
 * @property {Record<string, string>} environment versions, the graphics card, and whether it renders float32
 * @property {number} seconds inside the model's calls, without the first batch
 * @property {number} timedSamples the samples of these calls
 * @property {boolean} timed whether the times say something about a graphics card: not of a software renderer
 * @property {Repeated[]} repeated the first samples, run once more after the last one
 * @property {string[]} notes about the arithmetic of the backend, as in the table of `quantlab show`
 */

export const BATCH_SIZE = 32;

/** The formats that a backend runs. */
const FORMATS = Object.freeze(/** @type {Record<Backend, Artifact['format'][]>} */ ({
  wasm: ['tfjs', 'tfjs-layers', 'tflite', 'onnx'],
  webgl: ['tfjs', 'tfjs-layers'],
  webgpu: ['tfjs', 'tfjs-layers'],
  cpu: ['tfjs', 'tfjs-layers'],
}));

/**
 * The backends on which a format runs here, and why it does not run on others.
 * @param {Artifact['format']} format
 * @returns {Promise<{ backend: Backend, reason: string | null }[]>}
 */
export async function backendsFor(format) {
  const { gpu } = /** @type {{ gpu?: { requestAdapter: () => Promise<object | null> } }} */ (
    /** @type {unknown} */ (navigator));
  const missing = {
    webgl: new OffscreenCanvas(1, 1).getContext('webgl2') ? null : 'this browser has no WebGL 2',
    webgpu: await gpu?.requestAdapter() ? null : 'this browser has no WebGPU',
    wasm: null,
    cpu: null,
  };
  const backends = /** @type {Backend[]} */ (Object.keys(FORMATS));
  return backends.filter((backend) => FORMATS[backend].includes(format))
    .map((backend) => ({ backend, reason: missing[backend] }));
}

/**
 * Run an artifact on all samples.
 *
 * The memory of the run is given back when it ends: its worker ends with it.
 * @param {Artifact} artifact
 * @param {Samples} samples
 * @param {MeasureOptions} options
 * @returns {Promise<Measured>}
 * @throws {MeasureError} in one sentence, if it cannot be run: a missing op, a crash, a hang
 * @throws {AbortedError} if the signal was aborted
 */
export async function measure(artifact, samples, options) {
  const { backend, batchSize = BATCH_SIZE, onProgress, signal, stallSeconds } = options;
  const fixed = fixedBatch(artifact);
  const job = jobOf(artifact, samples, { backend, batchSize: fixed ?? batchSize });
  const tensors = new Map(job.inputs.map(({ name, file }) => (
    [file, bytesOf(/** @type {Tensor} */ (samples.inputs.get(name)))])));
  const order = { order: 'run', job, host: hostOf(), environment: environmentOf(), files: artifact.files, tensors };
  const told = { ranOn: '', environment: {}, seconds: 0, timedSamples: 0, repeated: /** @type {Repeated[]} */ ([]) };
  /** @type {Map<string, Tensor>} */
  const outputs = new Map();
  await inWorker(order, { signal, stallSeconds }, (reply) => {
    if (reply.type === 'ready') Object.assign(told, { ranOn: reply.ran_on, environment: reply.environment });
    if (reply.type === 'repeated') told.repeated.push(reply);
    if (reply.type === 'progress') {
      // The first batch contains the compilation.
      if (reply.done > reply.batch) {
        told.seconds += reply.seconds;
        told.timedSamples += reply.batch;
      }
      onProgress?.(reply.done, samples.n);
    }
    if (reply.type === 'outputs') reply.outputs.forEach((output) => outputs.set(output.name, tensorOf(output)));
  });
  const software = untimed(told.environment);
  const alone = fixed && batchSize > 1 ? ['its batch size is fixed at 1, so it runs sample by sample'] : [];
  const notes = [...gpuNotes(told.environment), ...(software ? [software] : []), ...alone];
  return { ...told, outputs, timed: software === null, notes };
}

/**
 * The batch size that the inputs of a tfjs artifact are fixed at; null if it is open. Files of other formats run sample
 * by sample, whatever their batch size is.
 * @param {Artifact} artifact
 * @returns {1 | null}
 * @throws {MeasureError} if it is fixed at more than 1
 */
export function fixedBatch({ format, inputs }) {
  if (format !== 'tfjs' && format !== 'tfjs-layers') return null;
  const fixed = Math.max(...inputs.map(({ batch }) => batch ?? 0));
  if (fixed <= 1) return fixed ? 1 : null;
  throw new MeasureError(`it takes batches of ${fixed} only, and samples are compared one by one; convert it with an `
    + 'open batch size, or with 1');
}

/**
 * The job of an artifact on all samples, with names of files in memory.
 * @param {Artifact} artifact
 * @param {Samples} samples
 * @param {{ backend: string, batchSize: number }} how
 * @returns {Job}
 */
export function jobOf(artifact, samples, { backend, batchSize }) {
  return {
    format: artifact.format,
    backend,
    batch_size: batchSize,
    start: 0,
    stop: samples.n,
    ...artifactOf(artifact),
    inputs: artifact.inputs.map((spec, i) => inputFile(spec, `input/${i}`, samples)),
    outputs: artifact.outputs.map((spec, i) => outputFile(spec, `output/${i}`)),
    taps: null,
  };
}

/** @type {(spec: TensorSpec, file: string, samples: Samples) => TensorFile} */
function inputFile({ name, tensor, position, codes }, file, { inputs }) {
  const fed = inputs.get(name);
  if (!fed) throw new RangeError(`the samples have no values for the input '${name}'`);
  return { name, file, offset: 0, shape: fed.shape.slice(1), dtype: fed.dtype, tensor, position, codes };
}

/**
 * An output; the worker finds the shape and dtype of one that the artifact does not tell, from an empty dtype.
 * @type {(spec: TensorSpec, file: string) => TensorFile}
 */
function outputFile({ name, tensor, position, codes, shape, batch, dtype }, file) {
  const known = batch !== undefined && shape.every((size) => size !== null);
  const told = known ? { shape: /** @type {number[]} */ (shape), dtype } : { shape: [], dtype: '' };
  return { name, file, offset: 0, ...told, tensor, position, codes };
}

export { AbortedError, MeasureError } from './working.mjs';
