/**
 * Runs an `.onnx` file with ONNX Runtime, passed by the entry: onnxruntime-web's WebAssembly or onnxruntime-node.
 *
 * Each call runs one sample, even if the file accepts larger batches: dynamic quantization computes one range per call,
 * so outputs would depend on the other samples of a batch. Files are read and written in batches. Inputs and outputs
 * are identified by their names in the file. The job's option `external_data` lists the files of its larger tensors.
 */

import { bytesOf, floatsOf, isDType, viewOf } from './dtypes.mjs';
import { loadFailure, runFailure } from './onnx-failures.mjs';
import { checkOutputShape, JobError } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').TensorFile} TensorFile */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./dtypes.mjs').DType} DType */
/** @typedef {import('onnxruntime-web').InferenceSession} Session */
/** @typedef {import('onnxruntime-web').Tensor} Tensor */
/** @typedef {import('onnxruntime-web').InferenceSession.ValueMetadata} Metadata */
/** @typedef {Uint8Array<ArrayBuffer>[]} Inputs the bytes of each of the job's inputs */
/** @typedef {Record<string, Tensor>} Tensors by their names in the file */

/**
 * ONNX Runtime as passed by an entry.
 * @typedef {object} OnnxRuntime
 * @property {Pick<typeof import('onnxruntime-web'), 'InferenceSession' | 'Tensor'>} ort
 * @property {'wasm' | 'cpu'} provider the name of ONNX Runtime's execution provider
 * @property {Record<string, string>} environment the library's version, and what else outputs depend on
 */

/**
 * A loaded file and the job it is for.
 * @typedef {object} Loaded
 * @property {OnnxRuntime['ort']} ort
 * @property {Session} session
 * @property {Job} job
 * @property {Platform} platform
 */

/**
 * The value of one of the file's outputs for one sample.
 * @typedef {{ shape: readonly number[], dtype: DType, bytes: Uint8Array<ArrayBuffer> }} Part
 */

/** @typedef {Map<string, Part>} Answer what it gave for one sample, by the outputs' names in the file */

/**
 * What is known about the taps so far.
 * @typedef {object} Known
 * @property {{ name: string, output: string }[]} readable those that can be read, in the job's order
 * @property {Map<string, string>} failed why the others cannot, by name
 * @property {Map<string, readonly number[]>} shapes of the first sample, by name
 */

/**
 * A model with one Identity node. ONNX Runtime starts only when it loads a model, and this is a minimal one.
 *
 * Its fields: IR version 8; the graph with its name, a node from `x` to `y`, and both as floats of shape [1]; opset 13.
 */
const SMALLEST_MODEL = Uint8Array.of(
  8, 8, 58, 55, 10, 16, 10, 1, 120, 18, 1, 121, 34, 8, 73, 100, 101, 110, 116, 105, 116, 121, 18, 1, 103, 90, 15,
  10, 1, 120, 18, 10, 10, 8, 8, 1, 18, 4, 10, 2, 8, 1, 98, 15, 10, 1, 121, 18, 10, 10, 8, 8, 1, 18, 4, 10, 2, 8, 1,
  66, 4, 10, 0, 16, 13,
);

/**
 * Start ONNX Runtime, without a variant.
 * @param {OnnxRuntime} runtime
 */
export async function startOnnxRuntime({ ort, provider }) {
  const session = await ort.InferenceSession.create(SMALLEST_MODEL, sessionOptions(provider));
  await session.release();
}

/**
 * Load an `.onnx` file, and the files of its larger tensors that are listed in the job.
 * @param {OnnxRuntime} runtime
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openOnnx({ ort, provider, environment }, job, platform) {
  const session = await loadSession({ ort, provider }, job, platform);
  try {
    checkPorts(session, job);
    const loaded = { ort, session, job, platform };
    return {
      backend: job.backend,
      environment: { ...environment, backend: job.backend, threads: '1' },
      predict: predictor(loaded),
      tap: tapper(loaded),
      close: () => session.release(),
    };
  } catch (error) {
    await session.release();
    throw error;
  }
}

/**
 * Load a file, for any kind of call.
 * @param {Pick<OnnxRuntime, 'ort' | 'provider'>} runtime
 * @param {Job} job
 * @param {Platform} platform
 */
export async function loadSession({ ort, provider }, job, platform) {
  const file = await platform.readArtifact(job.artifact);
  const options = { ...sessionOptions(provider), externalData: await readExternalData(job, platform) };
  return ort.InferenceSession.create(file, options).catch((error) => {
    throw loadFailure(error, file, runtimeName(job, platform));
  });
}

/** @type {(job: Job, platform: Platform) => string} */
function runtimeName(job, platform) {
  return `${platform.host}-${job.backend}`;
}

/** @type {(provider: OnnxRuntime['provider']) => import('onnxruntime-web').InferenceSession.SessionOptions} */
function sessionOptions(provider) {
  // The same options as in the Python worker. The log would only repeat the errors, in colour.
  return { executionProviders: [provider], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 };
}

/**
 * Without an entry, onnxruntime-node would search its working folder for external data, where the variant has none.
 */
const NO_EXTERNAL_DATA = Object.freeze({ path: '', data: new Uint8Array(1) });

/** @type {(job: Job, platform: Platform) => Promise<{ path: string, data: Uint8Array }[]>} */
async function readExternalData({ options }, platform) {
  const files = /** @type {{ path: string, file: string }[]} */ (options.external_data ?? []);
  if (!files.length) return [NO_EXTERNAL_DATA];
  return Promise.all(files.map(async ({ path, file }) => ({ path, data: await platform.readArtifact(file) })));
}

/**
 * Refuse a job that does not fit the file.
 * @type {(session: Session, job: Job) => void}
 */
function checkPorts(session, job) {
  session.inputMetadata.forEach((metadata) => checkInput(inputFor(job, metadata.name), metadata));
  for (const { name, tensor } of job.inputs) {
    if (!session.inputNames.includes(tensor)) throw unnamed('input', name, tensor, session.inputNames);
  }
  for (const { name, tensor } of job.outputs) {
    const metadata = session.outputMetadata.find((output) => output.name === tensor);
    if (!metadata) throw unnamed('output', name, tensor, session.outputNames);
    const reason = unreadableType(metadata);
    if (reason) throw new JobError(`the output '${name}' cannot be compared: ${reason}`);
  }
}

/** @type {(job: Job, name: string) => TensorFile} */
function inputFor(job, name) {
  const input = job.inputs.find(({ tensor }) => tensor === name);
  if (input) return input;
  throw new JobError(`the file's input '${name}' is fed by none of the model's inputs; the file was made from another `
    + 'model');
}

/** @type {(kind: string, name: string, tensor: string, names: readonly string[]) => JobError} */
function unnamed(kind, name, tensor, names) {
  const quoted = names.map((inFile) => `'${inFile}'`).join(', ');
  return new JobError(`the ${kind} '${name}' is called '${tensor}' in the job, and the file's ${kind}s are ${quoted}; `
    + 'convert the model again');
}

/**
 * Refuse samples if an input does not accept one sample per call.
 * @type {(input: TensorFile, metadata: Metadata) => void}
 */
function checkInput(input, metadata) {
  if (!metadata.isTensor) {
    throw new JobError(`the file's input '${metadata.name}' is no tensor but a sequence or a map, which no samples can `
      + 'feed; export the model with tensors as inputs');
  }
  const sizes = metadata.shape.map(fixedSize);
  const taken = metadata.shape.map((size, i) => sizes[i] ?? (typeof size === 'string' && size ? size : '?'));
  const given = [1, ...input.shape];
  if (sizes.length !== given.length || given.some((size, i) => size !== (sizes[i] ?? size))) {
    throw new JobError(`the file's input '${metadata.name}' takes [${taken.join(', ')}], and a sample is `
      + `[${given.join(', ')}]; give samples of that shape, or convert the model with an open batch, or one of 1`);
  }
  if (metadata.type !== input.dtype) {
    throw new JobError(`the file's input '${metadata.name}' takes ${metadata.type}, and the samples are `
      + `${input.dtype}; give samples of that dtype, or convert the model with its own dtypes`);
  }
}

/**
 * Whether the size of a dimension is fixed; an open one has a name, or is -1 as an unsigned number.
 * @param {number | string} size
 */
function fixedSize(size) {
  return typeof size === 'number' && size >= 0 && size < 2 ** 32 - 1 ? size : undefined;
}

/** @type {(metadata: Metadata) => string | undefined} */
function unreadableType(metadata) {
  if (!metadata.isTensor) return 'it is no tensor but a sequence or a map';
  if (!isDType(metadata.type)) return `it is of the dtype ${metadata.type}, and only numbers can be read`;
}

/** @type {(loaded: Loaded) => Executor['predict']} */
function predictor(loaded) {
  const { job } = loaded;
  return async (inputs, samples) => {
    const { answers, seconds } = await runBatch(loaded, inputs, samples, outputNames(job));
    return { outputs: outputBytes(job, answers), seconds };
  };
}

/** @param {Job} job */
function outputNames(job) {
  return job.outputs.map(({ tensor }) => tensor);
}

/** @type {(job: Job, answers: Answer[]) => Uint8Array[]} */
function outputBytes(job, answers) {
  return job.outputs.map((output) => {
    const parts = partsOf(answers, output.tensor);
    parts.forEach(({ shape }) => checkOutputShape(output, shape, 1));
    const [{ dtype }] = parts;
    return bytesOf(viewOf(joined(parts), dtype), dtype, output);
  });
}

/** @type {(answers: Answer[], name: string) => Part[]} */
function partsOf(answers, name) {
  return answers.map((answer) => /** @type {Part} */ (answer.get(name)));
}

/** @param {Part[]} parts */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let end = 0;
  for (const { bytes } of parts) {
    whole.set(bytes, end);
    end += bytes.length;
  }
  return whole;
}

/**
 * Run the samples one by one.
 * @param {Loaded} loaded
 * @param {Inputs} inputs
 * @param {number} samples
 * @param {string[]} names of the file's outputs that are to be read
 */
async function runBatch(loaded, inputs, samples, names) {
  /** @type {Answer[]} */
  const answers = [];
  let seconds = 0;
  for (let sample = 0; sample < samples; sample += 1) {
    const feeds = feedsOf(loaded, inputs, sample);
    try {
      const ran = await runSample(loaded, feeds, names);
      answers.push(ran.answer);
      seconds += ran.seconds;
    } finally {
      dispose(feeds);
    }
  }
  return { answers, seconds };
}

/**
 * Run the model once; return its outputs, and the seconds of the run and of reading them.
 * @type {(loaded: Loaded, feeds: Tensors, names: string[]) => Promise<{ answer: Answer, seconds: number }>}
 */
async function runSample({ session, job, platform }, feeds, names) {
  const started = platform.now();
  const results = await session.run(feeds, names).catch((error) => {
    throw runFailure(error, runtimeName(job, platform));
  });
  try {
    const answer = new Map(Object.entries(results).map(([name, tensor]) => [name, partOf(tensor)]));
    return { answer, seconds: (platform.now() - started) / 1000 };
  } finally {
    dispose(results);
  }
}

/** @param {Tensors} tensors */
function dispose(tensors) {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

/** @type {(loaded: Loaded, inputs: Inputs, sample: number) => Tensors} */
function feedsOf({ ort, job }, inputs, sample) {
  return Object.fromEntries(job.inputs.map(({ tensor, dtype, shape }, i) => {
    const elements = shape.reduce((product, size) => product * size, 1);
    const values = viewOf(inputs[i], /** @type {DType} */ (dtype)).subarray(sample * elements, (sample + 1) * elements);
    const typed = /** @type {['float32', Float32Array]} */ ([dtype, values]);
    return [tensor, new ort.Tensor(...typed, [1, ...shape])];
  }));
}

/** @type {(tensor: Tensor) => Part} */
function partOf({ dims, type, data }) {
  const { buffer, byteOffset, byteLength } = /** @type {Uint8Array<ArrayBuffer>} */ (data);
  // Some hosts return half floats as Float16Array; here their bits are used.
  return { shape: dims, dtype: /** @type {DType} */ (type), bytes: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** @type {(loaded: Loaded) => Executor['tap']} */
function tapper(loaded) {
  const { job } = loaded;
  const known = screened(loaded);
  return async (inputs, samples) => {
    const names = [...outputNames(job), ...known.readable.map(({ output }) => output)];
    const { answers, seconds } = await runBatch(loaded, inputs, samples, names);
    keepReadable(known, answers);
    const taps = known.readable.map(({ name, output }) => tapOf(name, partsOf(answers, output)));
    return { outputs: outputBytes(job, answers), taps, failed: known.failed, seconds };
  };
}

/** @type {(name: string, parts: Part[]) => import('./run.mjs').Tap} */
function tapOf(name, parts) {
  const [{ shape, dtype }] = parts;
  return { name, shape: shape.slice(1), computed_in: dtype, ...floatsOf(viewOf(joined(parts), dtype), dtype) };
}

/**
 * Exclude taps that cannot be read, as far as the file shows it.
 * @type {(loaded: Loaded) => Known}
 */
function screened({ session, job: { taps } }) {
  /** @type {Known} */
  const known = { readable: [], failed: new Map(), shapes: new Map() };
  for (const [i, name] of (taps?.names ?? []).entries()) {
    const metadata = session.outputMetadata[taps?.positions?.[i] ?? -1];
    const reason = metadata
      ? unreadableType(metadata)
      : `it is none of the file's ${session.outputNames.length} outputs`;
    if (reason) known.failed.set(name, reason);
    else known.readable.push({ name, output: metadata.name });
  }
  return known;
}

/**
 * Exclude taps whose first dimension is not the batch, or whose shape differs between samples.
 * @type {(known: Known, answers: Answer[]) => void}
 */
function keepReadable(known, answers) {
  known.readable = known.readable.filter(({ name, output }) => {
    const shapes = partsOf(answers, output).map(({ shape }) => shape);
    const first = known.shapes.get(name) ?? shapes[0];
    known.shapes.set(name, first);
    const reason = shapes.map((shape) => unreadable(shape, first)).find(Boolean);
    if (reason) known.failed.set(name, reason);
    return !reason;
  });
}

/** @type {(shape: readonly number[], first: readonly number[]) => string | undefined} */
function unreadable(shape, first) {
  if (shape[0] !== 1) {
    return `the first dimension of its shape is not the batch: for one sample it is [${shape.join(', ')}]`;
  }
  const [before, now] = [first, shape].map((sizes) => sizes.slice(1).join(', '));
  if (before !== now) return `its shape changes: a sample was [${before}] before, and is [${now}] now`;
}
