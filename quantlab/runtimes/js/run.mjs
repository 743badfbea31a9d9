/**
 * Runs one job: opens the variant, feeds it the samples batch by batch and writes what comes out.
 *
 * There is no platform and no library in here, so that Node.js and the browser share it: an entry (`node.mjs`)
 * hands in the executors, one a format, and a platform that reads, writes and tells the time. What crosses to
 * Python is described in `quantlab/runtimes/exchange.py`, `requests.py` and `quantlab/types/messages.py`; the typedefs
 * of `Job`, `Request` and `Message` are these dataclasses, and a test in Python holds them to it.
 */

/**
 * A tensor of every sample, in a `.npy` file (C order, little endian).
 * @typedef {object} TensorFile
 * @property {string} name the model's name for it
 * @property {string} file
 * @property {number} offset where the data begin, in bytes
 * @property {number[]} shape of one sample
 * @property {string} dtype NumPy's name
 * @property {string} tensor the artifact's name for it
 * @property {number} position its place among the artifact's inputs or outputs
 */

/**
 * @typedef {object} Job
 * @property {string} format the executor's name: `tfjs`, `tflite`, `onnx`
 * @property {string} artifact the variant's folder or file
 * @property {string} backend `wasm`, `cpu`; empty where the format has one only
 * @property {number} batch_size
 * @property {number} start the first sample still to be run
 * @property {number} stop one past the last
 * @property {TensorFile[]} inputs
 * @property {TensorFile[]} outputs
 * @property {ExecutorOptions} options
 * @property {TapList | null} [taps] what is read inside it; none where it is only run or timed
 */

/**
 * What only some executors need; there is more for those in Python.
 * @typedef {object} ExecutorOptions
 * @property {{ path: string, file: string }[]} [external_data] for ONNX: the files of weights beside the model, as the
 *   model calls each, and where it lies
 */

/**
 * The tensors inside the variant that are asked for.
 * @typedef {object} TapList
 * @property {string} file where their values go, over and over
 * @property {string[]} names of nodes (tfjs), or as they are to be called (tflite, onnx)
 * @property {number[] | null} [positions] for tflite and onnx, the place of each among the file's outputs
 */

/** @typedef {{ request: 'run', job: Job }} RunRequest */
/** @typedef {{ request: 'wait', job: Job }} WaitRequest what the job's format needs is loaded, and nothing else */
/** @typedef {{ request: 'time', job: Job, plan: TimingPlan }} TimeRequest */
/** @typedef {{ request: 'tap', job: Job, start: number, stop: number }} TapRequest the job has taps */
/** @typedef {RunRequest | WaitRequest | TimeRequest | TapRequest} Request */

/** @typedef {import('./taps.mjs').Tapped} Tapped */
/** @typedef {import('./time.mjs').TimingPlan} TimingPlan */
/** @typedef {import('./time.mjs').Timed} Timed */

/**
 * @typedef {{ type: 'ready', ran_on: string, environment: Record<string, string> }
 *   | { type: 'progress', done: number, seconds: number, batch: number }
 *   | Tapped
 *   | Timed
 *   | { type: 'done' }
 *   | { type: 'failed', reason: string, missing_op?: string }} Message
 */

/**
 * What a host gives. Files are named as the job names them; each function may answer at once or later.
 * @typedef {object} Platform
 * @property {string} host the first half of a runtime's name: `node`
 * @property {Record<string, string>} environment versions of the host that outputs may depend on
 * @property {(path: string) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>} readArtifact a whole file
 * @property {(file: string, position: number, target: Uint8Array) => void | Promise<void>} readTensor fills target
 * @property {(file: string, position: number, bytes: Uint8Array) => void | Promise<void>} writeTensor
 * @property {(file: string, position: number, bytes: Uint8Array) => void | Promise<void>} writeScratch as
 *   `writeTensor`, and makes the file where there is none
 * @property {() => void} [closeFiles] closes what the functions above have opened; called before the last message
 * @property {(message: Message) => void} emit
 * @property {() => number} now milliseconds, from any beginning
 */

/**
 * What a batch came to: the bytes of each of the job's outputs, in the dtype its file holds.
 * @typedef {{ outputs: Uint8Array[], seconds: number }} Prediction
 */

/**
 * A tensor inside the variant, for a batch of samples.
 * @typedef {object} Tap
 * @property {string} name
 * @property {number[]} shape of one sample, the same in every batch
 * @property {string} computed_in the dtype that the library holds it in: `float32`, `int32`, `bool`, `uint8`, `float16`
 * @property {Float32Array} values
 * @property {number} inexact how many of the values float32 could not hold and were rounded
 */

/**
 * What a batch came to, and the tensors on the way there.
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
 * @property {(inputs: Uint8Array<ArrayBuffer>[], samples: number) => Promise<Prediction>} predict the bytes of
 *   each of the job's inputs for so many samples; `seconds` counts the model's call and the download alone
 * @property {(inputs: Uint8Array<ArrayBuffer>[], samples: number) => Promise<TappedPrediction>} tap as `predict`, with
 *   the values of the job's taps, which are good until the next batch
 * @property {() => void | Promise<void>} close
 */

/** @typedef {(job: Job, platform: Platform) => Promise<Executor>} OpenExecutor */

/** What a user can mend, in a sentence; any other error is this program's or a library's own. */
export class JobError extends Error {
  /**
   * @param {string} message
   * @param {string} [missingOp] the op that the backend lacks, where that is why
   */
  constructor(message, missingOp) {
    super(message);
    this.missingOp = missingOp;
  }
}

/**
 * Run a job over its samples and tell how it went: the last message is `done` or `failed`.
 * @param {Job} job
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {Platform} platform
 */
export function run(job, executors, platform) {
  return withExecutor(job, executors, platform, runBatches);
}

/**
 * Load a variant, work with it, and tell how it went: the last message is `done` or `failed`.
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
 * Load a variant and tell where: the message is `ready`.
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
  platform.emit({
    type: 'ready',
    ran_on: `${platform.host}-${executor.backend}`,
    environment: { ...platform.environment, ...executor.environment },
  });
  return executor;
}

/** @type {(job: Job, executor: Executor, platform: Platform) => Promise<void>} */
async function runBatches(job, executor, platform) {
  const buffers = inputBuffers(job);
  for (let first = job.start; first < job.stop; first += job.batch_size) {
    const samples = Math.min(job.batch_size, job.stop - first);
    const inputs = await readInputs(job, buffers, first, samples, platform);
    const { outputs, seconds } = await executor.predict(inputs, samples);
    await writeOutputs(job, outputs, first, platform);
    platform.emit({ type: 'progress', done: first + samples, seconds, batch: samples });
  }
}

/**
 * Room for a batch of each input.
 * @param {Job} job
 */
export function inputBuffers(job) {
  return job.inputs.map((input) => new Uint8Array(job.batch_size * bytesPerSample(input)));
}

/**
 * The bytes of a batch's inputs, in buffers that the next batch uses again.
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
 * What an error comes to, as the last message.
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
  return { type: 'failed', reason: `the ${job.format} library could not run this variant${backend}: ${message}` };
}

/** Bytes of one element by dtype; a dtype that is not here cannot cross. */
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
 * Refuse an output whose shape is not the one the job asks for, with the batch dimension in front.
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
