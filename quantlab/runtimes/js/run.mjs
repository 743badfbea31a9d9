/**
 * Runs one job: opens the variant, feeds it the samples in batches and writes the outputs.
 *
 * It uses no platform and no library, so that Node.js and the browser share it. An entry (`node.mjs`) passes one
 * executor per format, and a platform that reads, writes and gives the time. The data exchanged with Python are
 * described in `quantlab/runtimes/exchange.py`, `requests.py` and `quantlab/types/messages.py`; the typedefs `Job`,
 * `Request` and `Message` correspond to these dataclasses, which a test in Python checks.
 */

import { runAgain } from './repeat.mjs';

/**
 * A tensor of every sample, in a `.npy` file (C order, little endian).
 * @typedef {object} TensorFile
 * @property {string} name the model's name for it
 * @property {string} file
 * @property {number} offset position of the data in the file, in bytes
 * @property {number[]} shape of one sample
 * @property {string} dtype NumPy's name
 * @property {string} tensor the artifact's name for it
 * @property {number} position its index among the artifact's inputs or outputs
 * @property {Codes | null} [codes] how the artifact's codes are computed from these values, if it takes or gives codes
 */

/**
 * Affine quantization: value = scale · (code − zero point) + offset.
 * @typedef {object} Codes
 * @property {number} scale
 * @property {number} zero_point
 * @property {number} lowest
 * @property {number} highest
 * @property {number} offset
 */

/**
 * @typedef {object} Job
 * @property {string} format the executor's name: `tfjs`, `tflite`, `onnx`
 * @property {string} artifact the variant's folder or file
 * @property {string} backend `wasm` or `cpu`, for example; empty if the format has only one
 * @property {number} batch_size
 * @property {number} start the first sample to run
 * @property {number} stop index after the last sample
 * @property {TensorFile[]} inputs
 * @property {TensorFile[]} outputs
 * @property {ExecutorOptions} options
 * @property {TapList | null} [taps] tensors to read inside it; none if it is only run or timed
 */

/**
 * Options that only some executors need; executors in Python have more.
 * @typedef {object} ExecutorOptions
 * @property {{ path: string, file: string }[]} [external_data] for ONNX: the files of external
 *   weights, each with its name in the model and its path; for tfjs, if the artifact is a JSON file: this file and its
 *   shards
 */

/**
 * The requested tensors inside the variant.
 * @typedef {object} TapList
 * @property {string} file the file for their values, overwritten by each request
 * @property {string[]} names of nodes (tfjs), or the names to report (tflite, onnx)
 * @property {number[] | null} [positions] for tflite and onnx, the index of each among the file's outputs
 */

/**
 * @typedef {{ request: 'run', job: Job, opened?: string }} RunRequest with `opened`, the name under which the variant
 *   stays open for the next run (see `opened.mjs`)
 */
/** @typedef {{ request: 'wait', job: Job }} WaitRequest what the job's format needs is loaded, and nothing else */
/** @typedef {{ request: 'time', job: Job, plan: TimingPlan }} TimeRequest */
/** @typedef {{ request: 'tap', job: Job, start: number, stop: number }} TapRequest the job has taps */
/** @typedef {RunRequest | WaitRequest | TimeRequest | TapRequest | TryRequest | PrepareRequest} Request */

/**
 * Asks for steps of pipelines on each picture: decoders on files, resizers on pixels.
 * @typedef {object} PrepareRequest
 * @property {'prepare'} request
 * @property {Job} job
 * @property {Picture[]} pictures
 * @property {string[]} steps
 * @property {boolean} grey whether decoders give one channel
 * @property {string} target the file for the pixels
 */

/**
 * An image file, or decoded pixels in a file (uint8, height, width, channels).
 * @typedef {object} Picture
 * @property {string} file
 * @property {number} offset
 * @property {number} length in bytes
 * @property {number[]} shape of the pixels; empty for an image file
 * @property {number[]} size height and width to which the picture is resized; empty for a file that is only decoded
 */

/**
 * The pixels that a step gave for a picture, or the reason why it gave none.
 * @typedef {object} Prepared
 * @property {'prepared'} type
 * @property {number} place of the picture in the request
 * @property {string} step
 * @property {number} offset of the pixels in the request's target
 * @property {number[]} shape
 * @property {string} dtype `uint8` or `float32`
 * @property {string | null} reason
 */

/** @typedef {import('./repeat.mjs').Repeated} Repeated */
/** @typedef {import('./taps.mjs').Tapped} Tapped */
/** @typedef {import('./try.mjs').TryRequest} TryRequest */
/** @typedef {import('./try.mjs').Tried} Tried */
/** @typedef {import('./time.mjs').TimingPlan} TimingPlan */
/** @typedef {import('./time.mjs').Timed} Timed */

/**
 * @typedef {{ type: 'ready', ran_on: string, environment: Record<string, string> }
 *   | { type: 'progress', done: number, seconds: number, batch: number }
 *   | Repeated
 *   | Tapped
 *   | Timed
 *   | Tried
 *   | Prepared
 *   | { type: 'done' }
 *   | { type: 'failed', reason: string, missing_op?: string }} Message
 */

/**
 * Functions of a host. Files are named as in the job; each function may be synchronous or asynchronous.
 * @typedef {object} Platform
 * @property {string} host the first half of a runtime's name: `node`
 * @property {Record<string, string>} environment versions of the host that outputs may depend on
 * @property {(path: string) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>} readArtifact a whole file
 * @property {(file: string, position: number, target: Uint8Array) => void | Promise<void>} readTensor fills target
 * @property {(file: string, position: number, bytes: Uint8Array) => void | Promise<void>} writeTensor
 * @property {(file: string, position: number, bytes: Uint8Array) => void | Promise<void>} writeScratch as
 *   `writeTensor`, but creates the file if there is none
 * @property {() => void} [closeFiles] closes files that the functions above have opened; called before the last message
 * @property {(message: Message) => void} emit
 * @property {() => number} now milliseconds since an arbitrary time
 */

/**
 * The outputs of a batch: the bytes of each of the job's outputs, in the dtype of its file.
 * @typedef {{ outputs: Uint8Array[], seconds: number }} Prediction
 */

/**
 * A tensor inside the variant, for a batch of samples.
 * @typedef {object} Tap
 * @property {string} name
 * @property {number[]} shape of one sample, the same in every batch
 * @property {string} computed_in its dtype in the library: `float32`, `int32`, `bool`, `uint8`, `float16`
 * @property {Float32Array} values
 * @property {number} inexact how many of the values float32 could not hold and were rounded
 */

/**
 * The outputs and taps of a batch.
 * @typedef {object} TappedPrediction
 * @property {Uint8Array[]} outputs as in `Prediction`
 * @property {Tap[]} taps those that could be read, in the job's order
 * @property {ReadonlyMap<string, string>} failed why the others could not, by name; one that failed stays failed
 * @property {number} seconds as in `Prediction`
 */

/**
 * A loaded variant.
 * @typedef {object} Executor
 * @property {string} backend the second half of a runtime's name: `wasm`
 * @property {Record<string, string>} environment versions and flags that outputs depend on
 * @property {(inputs: Uint8Array<ArrayBuffer>[], samples: number) => Promise<Prediction>} predict from the
 *   bytes of each of the job's inputs; `seconds` counts only the model's call and the download
 * @property {(inputs: Uint8Array<ArrayBuffer>[], samples: number) => Promise<TappedPrediction>} tap as `predict`, with
 *   the values of the job's taps, which are valid until the next batch
 * @property {() => void | Promise<void>} close
 */

/** @typedef {(job: Job, platform: Platform) => Promise<Executor>} OpenExecutor */

/** A sentence about an error that users can solve; other errors come from this program or a library. */
export class JobError extends Error {
  /**
   * @param {string} message
   * @param {string} [missingOp] the op that the backend lacks, if that is the cause
   */
  constructor(message, missingOp) {
    super(message);
    this.missingOp = missingOp;
  }
}

/**
 * Run a job on its samples and report the result: the last message is `done` or `failed`.
 * @param {Job} job
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {Platform} platform
 */
export function run(job, executors, platform) {
  return withExecutor(job, executors, platform, runBatches);
}

/**
 * Load a variant, call `work` with it, and report the result: the last message is `done` or `failed`.
 * @param {Job} job
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {Platform} platform
 * @param {(job: Job, executor: Executor, platform: Platform) => Promise<void>} work
 */
export async function withExecutor(job, executors, platform, work) {
  const last = await attempt(job, executors, platform, work);
  platform.closeFiles?.();
  platform.emit(last);
}

/** @type {(...given: Parameters<typeof withExecutor>) => Promise<Message>} */
async function attempt(job, executors, platform, work) {
  try {
    const executor = await openExecutor(job, executors, platform);
    try {
      await work(job, executor, platform);
    } finally {
      await executor.close();
    }
  } catch (error) {
    return failure(error, job);
  }
  return { type: 'done' };
}

/** @type {(job: Job) => void} */
function checkBatchSize(job) {
  if (job.batch_size >= 1) return;
  throw new JobError(`a batch has at least one sample, and the job asks for ${job.batch_size}`);
}

/**
 * Load a variant and report its runtime in the message `ready`.
 * @param {Job} job
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {Platform} platform
 */
export async function openExecutor(job, executors, platform) {
  checkBatchSize(job);
  if (!Object.hasOwn(executors, job.format)) {
    throw new JobError(`variants of the format '${job.format}' do not run in ${platform.host}; those of `
      + `${Object.keys(executors).join(' and ')} do`);
  }
  const executor = await executors[job.format](job, platform);
  sayReady(executor, platform);
  return executor;
}

/** @type {(executor: Executor, platform: Platform) => void} */
export function sayReady(executor, platform) {
  platform.emit({
    type: 'ready',
    ran_on: `${platform.host}-${executor.backend}`,
    environment: { ...platform.environment, ...executor.environment },
  });
}

/**
 * Run the job's samples, and then the first batch once more.
 * @param {Job} job
 * @param {Executor} executor
 * @param {Platform} platform
 */
export async function runBatches(job, executor, platform) {
  const buffers = inputBuffers(job);
  for (let first = job.start; first < job.stop; first += job.batch_size) {
    const samples = Math.min(job.batch_size, job.stop - first);
    const inputs = await readInputs(job, buffers, first, samples, platform);
    const { outputs, seconds } = await executor.predict(inputs, samples);
    await writeOutputs(job, outputs, first, platform);
    platform.emit({ type: 'progress', done: first + samples, seconds, batch: samples });
  }
  if (job.start < job.stop) platform.emit(await runAgain(job, executor, platform, buffers));
}

/**
 * Allocate a buffer for a batch of each input.
 * @param {Job} job
 */
export function inputBuffers(job) {
  return job.inputs.map((input) => new Uint8Array(job.batch_size * bytesPerSample(input)));
}

/**
 * Read the bytes of a batch's inputs into buffers that the next batch reuses.
 * @param {Job} job
 * @param {Uint8Array<ArrayBuffer>[]} buffers
 * @param {number} first
 * @param {number} samples
 * @param {Platform} platform
 */
export async function readInputs(job, buffers, first, samples, platform) {
  const inputs = job.inputs.map((input, i) => buffers[i].subarray(0, samples * bytesPerSample(input)));
  for (const [i, input] of job.inputs.entries()) {
    await platform.readTensor(input.file, input.offset + first * bytesPerSample(input), inputs[i]);
  }
  return inputs;
}

/** @type {(job: Job, outputs: Uint8Array[], first: number, platform: Platform) => Promise<void>} */
async function writeOutputs(job, outputs, first, platform) {
  for (const [i, output] of job.outputs.entries()) {
    await platform.writeTensor(output.file, output.offset + first * bytesPerSample(output), outputs[i]);
  }
}

/**
 * Convert an error to the last message.
 * @param {unknown} error
 * @param {Job} job
 * @returns {Message}
 */
export function failure(error, job) {
  if (error instanceof JobError) {
    return { type: 'failed', reason: error.message, ...(error.missingOp && { missing_op: error.missingOp }) };
  }
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  const backend = job.backend ? ` on the backend ${job.backend}` : '';
  const library = job.format ? `${job.format} library could not run this variant` : 'steps could not be run';
  return { type: 'failed', reason: `the ${library}${backend}: ${message}` };
}

/** Dtype → bytes per element; other dtypes cannot be exchanged. */
const ELEMENT_BYTES = Object.freeze(/** @type {Record<string, number>} */ ({
  bool: 1, int8: 1, uint8: 1, int16: 2, uint16: 2, float16: 2,
  int32: 4, uint32: 4, float32: 4, int64: 8, uint64: 8, float64: 8,
}));

/**
 * @param {Pick<TensorFile, 'name' | 'shape' | 'dtype'>} tensor
 * @returns {number}
 */
export function bytesPerSample(tensor) {
  const bytes = ELEMENT_BYTES[tensor.dtype];
  if (bytes) return tensor.shape.reduce((product, size) => product * size, bytes);
  throw new JobError(`'${tensor.name}' is of the dtype ${tensor.dtype}, and only numbers and bool can be fed to a `
    + 'runtime in JavaScript');
}

/**
 * Refuse an output whose shape is not the batch dimension followed by the shape in the job.
 * @param {Pick<TensorFile, 'name' | 'shape'>} output
 * @param {ArrayLike<number>} produced
 * @param {number} samples
 */
export function checkOutputShape(output, produced, samples) {
  const expected = [samples, ...output.shape].join(', ');
  const actual = Array.from(produced).join(', ');
  if (actual === expected) return;
  throw new JobError(`the output '${output.name}' has the shape [${actual}], and the reference's is [${expected}]; `
    + 'a variant must give what the model gives');
}
