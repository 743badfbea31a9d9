/**
 * Runs an `.onnx` file through ONNX Runtime, which the entry brings: onnxruntime-web's WebAssembly or onnxruntime-node.
 *
 * Inputs and outputs are found by their names in the file. Samples pass one at a time where an input's batch is fixed
 * at 1, or where the job's option `one_at_a_time` says so, as for dynamic quantization, whose ranges are those of all
 * that is run at once; else in whole batches. The option `external_data` names the files of its larger tensors.
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

/**
 * ONNX Runtime as an entry brings it.
 * @typedef {object} OnnxRuntime
 * @property {Pick<typeof import('onnxruntime-web'), 'InferenceSession' | 'Tensor'>} ort
 * @property {'wasm' | 'cpu'} provider what computes, by ONNX Runtime's name for it
 * @property {Record<string, string>} environment the library's version, and what else outputs depend on
 */

/**
 * A loaded file and the job it is for.
 * @typedef {object} Loaded
 * @property {OnnxRuntime['ort']} ort
 * @property {Session} session
 * @property {Job} job
 * @property {Platform} platform
 * @property {boolean} single whether samples pass one at a time
 */

/**
 * What one call of the model gave of one of the file's outputs.
 * @typedef {{ shape: readonly number[], dtype: DType, bytes: Uint8Array<ArrayBuffer> }} Part
 */

/** @typedef {Map<string, Part>} Call parts by the outputs' names in the file */

/**
 * What has become known of the taps.
 * @typedef {object} Known
 * @property {{ name: string, output: string }[]} readable those that can be read, in the job's order
 * @property {Map<string, string>} failed why the others cannot, by name
 * @property {Map<string, string>} shapes of one sample, by name
 */

/**
 * A model of one Identity. Only a model makes ONNX Runtime start, and this one asks nothing of it.
 *
 * Its fields: the IR's version 8; the graph, with a node from `x` to `y`, its name, and both as floats of shape [1];
 * opset 13.
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
 * Load an `.onnx` file, and the files of its larger tensors that the job names.
 * @param {OnnxRuntime} runtime
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openOnnx({ ort, provider, environment }, job, platform) {
  const file = await platform.readArtifact(job.artifact);
  const options = { ...sessionOptions(provider), externalData: await readExternalData(job, platform) };
  const session = await ort.InferenceSession.create(file, options).catch((error) => {
    throw loadFailure(error, file, runtimeName(job, platform));
  });
  try {
    const single = checkPorts(session, job) || job.options.one_at_a_time === true;
    const loaded = { ort, session, job, platform, single };
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

/** @type {(job: Job, platform: Platform) => string} */
function runtimeName(job, platform) {
  return `${platform.host}-${job.backend}`;
}

/** @type {(provider: OnnxRuntime['provider']) => import('onnxruntime-web').InferenceSession.SessionOptions} */
function sessionOptions(provider) {
  // As the Python worker has them. Its log would repeat, in colour, what its errors say.
  return { executionProviders: [provider], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 };
}

/**
 * Without any, onnxruntime-node would look for external data in its working folder, which holds none of the variant's.
 */
const NO_EXTERNAL_DATA = Object.freeze({ path: '', data: new Uint8Array(1) });

/** @type {(job: Job, platform: Platform) => Promise<{ path: string, data: Uint8Array }[]>} */
async function readExternalData({ options }, platform) {
  const files = /** @type {{ path: string, file: string }[]} */ (options.external_data ?? []);
  if (!files.length) return [NO_EXTERNAL_DATA];
  return Promise.all(files.map(async ({ path, file }) => ({ path, data: await platform.readArtifact(file) })));
}

/**
 * Refuse a job that does not fit the file; whether the file takes one sample at a time.
 * @type {(session: Session, job: Job) => boolean}
 */
function checkPorts(session, job) {
  const { inputMetadata, outputMetadata } = session;
  const batches = inputMetadata.map((metadata) => checkInput(inputFor(job, metadata.name), metadata));
  for (const { name, tensor } of job.inputs) {
    if (!session.inputNames.includes(tensor)) throw unnamed('input', name, tensor, session.inputNames);
  }
  for (const { name, tensor } of job.outputs) {
    const found = outputMetadata.find((metadata) => metadata.name === tensor);
    if (!found) throw unnamed('output', name, tensor, session.outputNames);
    const reason = unreadableType(found);
    if (reason) throw new JobError(`the output '${name}' cannot be compared: ${reason}`);
  }
  return batches.includes(1);
}

/** @type {(job: Job, name: string) => TensorFile} */
function inputFor(job, name) {
  const found = job.inputs.find(({ tensor }) => tensor === name);
  if (found) return found;
  throw new JobError(`the file's input '${name}' is fed by none of the model's inputs; the file was made from another `
    + 'model');
}

/** @type {(kind: string, name: string, tensor: string, names: readonly string[]) => JobError} */
function unnamed(kind, name, tensor, names) {
  return new JobError(`the ${kind} '${name}' is called '${tensor}' in the job, and the file's ${kind}s are `
    + `${names.map((each) => `'${each}'`).join(', ')}; convert the model again`);
}

/**
 * Refuse samples that an input does not take; the size of its batch, undefined where it is open.
 * @type {(input: TensorFile, metadata: Metadata) => number | undefined}
 */
function checkInput(input, metadata) {
  if (!metadata.isTensor) {
    throw new JobError(`the file's input '${metadata.name}' is no tensor but a sequence or a map, which no samples can `
      + 'feed; export the model with tensors as inputs');
  }
  const sizes = metadata.shape.map(fixedSize);
  const taken = metadata.shape.map((size, i) => sizes[i] ?? (typeof size === 'string' && size ? size : '?'));
  const given = [sizes[0] ?? 'batch', ...input.shape];
  const fits = sizes.length === given.length && input.shape.every((size, i) => (sizes[i + 1] ?? size) === size);
  if (!fits || (sizes[0] ?? 1) !== 1) {
    throw new JobError(`the file's input '${metadata.name}' takes [${taken.join(', ')}], and a sample is `
      + `[1, ${input.shape.join(', ')}]; give samples of that shape, or convert the model with an open batch, or one `
      + 'of 1');
  }
  if (metadata.type !== input.dtype) {
    throw new JobError(`the file's input '${metadata.name}' takes ${metadata.type}, and the samples are `
      + `${input.dtype}; give samples of that dtype, or convert the model with its own dtypes`);
  }
  return sizes[0];
}

/**
 * A size that stands in the file; an open one has a name there, or is -1 without its sign.
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
  return async (inputs, samples) => {
    const { calls, seconds } = await runBatch(loaded, inputs, samples, outputNames(loaded.job));
    return { outputs: outputBytes(loaded, calls, samples), seconds };
  };
}

/** @param {Job} job */
function outputNames(job) {
  return job.outputs.map(({ tensor }) => tensor);
}

/** @type {(loaded: Loaded, calls: Call[], samples: number) => Uint8Array[]} */
function outputBytes({ job, single }, calls, samples) {
  return job.outputs.map((output) => {
    const parts = partsOf(calls, output.tensor);
    parts.forEach(({ shape }) => checkOutputShape(output, shape, single ? 1 : samples));
    const { dtype } = parts[0];
    return bytesOf(viewOf(joined(parts), dtype), dtype, output);
  });
}

/** @type {(calls: Call[], name: string) => Part[]} */
function partsOf(calls, name) {
  return calls.map((call) => /** @type {Part} */ (call.get(name)));
}

/** @param {Part[]} parts */
function joined(parts) {
  if (parts.length === 1) return parts[0].bytes;
  const whole = new Uint8Array(parts.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let end = 0;
  for (const { bytes } of parts) {
    whole.set(bytes, end);
    end += bytes.length;
  }
  return whole;
}

/**
 * Run a batch, in one call or in one a sample.
 * @param {Loaded} loaded
 * @param {Inputs} inputs
 * @param {number} samples
 * @param {string[]} names of the file's outputs that are to be read
 */
async function runBatch(loaded, inputs, samples, names) {
  const step = loaded.single ? 1 : samples;
  /** @type {Call[]} */
  const calls = [];
  let seconds = 0;
  for (let first = 0; first < samples; first += step) {
    const feeds = feedsOf(loaded, inputs, first, step);
    const started = loaded.platform.now();
    const results = await loaded.session.run(feeds, names).catch((error) => {
      throw runFailure(error, runtimeName(loaded.job, loaded.platform));
    });
    calls.push(new Map(Object.entries(results).map(([name, tensor]) => [name, partOf(tensor)])));
    seconds += (loaded.platform.now() - started) / 1000;
    for (const tensor of [...Object.values(feeds), ...Object.values(results)]) tensor.dispose();
  }
  return { calls, seconds };
}

/** @type {(loaded: Loaded, inputs: Inputs, first: number, samples: number) => Record<string, Tensor>} */
function feedsOf({ ort, job }, inputs, first, samples) {
  return Object.fromEntries(job.inputs.map(({ tensor, dtype, shape }, i) => {
    const size = shape.reduce((product, each) => product * each, 1);
    const values = viewOf(inputs[i], /** @type {DType} */ (dtype)).subarray(first * size, (first + samples) * size);
    const typed = /** @type {['float32', Float32Array]} */ ([dtype, values]);
    return [tensor, new ort.Tensor(...typed, [samples, ...shape])];
  }));
}

/** @type {(tensor: Tensor) => Part} */
function partOf({ dims, type, data }) {
  const { buffer, byteOffset, byteLength } = /** @type {Uint8Array<ArrayBuffer>} */ (data);
  // Half floats arrive in an array of their own where the host has one, and here they are their bits.
  return { shape: dims, dtype: /** @type {DType} */ (type), bytes: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** @type {(loaded: Loaded) => Executor['tap']} */
function tapper(loaded) {
  const known = screened(loaded);
  let surveyed = loaded.single;
  return async (inputs, samples) => {
    if (!surveyed) await survey(loaded, known, inputs, samples);
    surveyed = true;
    const names = [...outputNames(loaded.job), ...known.readable.map(({ output }) => output)];
    const { calls, seconds } = await runBatch(loaded, inputs, samples, names);
    keepReadable(known, calls, loaded.single ? 1 : samples);
    const taps = known.readable.map(({ name, output }) => tapOf(name, partsOf(calls, output)));
    return { outputs: outputBytes(loaded, calls, samples), taps, failed: known.failed, seconds };
  };
}

/** @type {(name: string, parts: Part[]) => import('./run.mjs').Tap} */
function tapOf(name, parts) {
  const [{ shape, dtype }] = parts;
  return { name, shape: shape.slice(1), computed_in: dtype, ...floatsOf(viewOf(joined(parts), dtype), dtype) };
}

/**
 * Set aside what the file alone tells cannot be read.
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
 * Run the first sample twice over, then three times: what is of a batch grows with it, and constants and shapes, whose
 * first dimension may be as long as a batch by chance, do not.
 * @type {(loaded: Loaded, known: Known, inputs: Inputs, samples: number) => Promise<void>}
 */
async function survey(loaded, known, inputs, samples) {
  for (const copies of [2, 3]) {
    const repeated = inputs.map((bytes) => repeat(bytes.subarray(0, bytes.length / samples), copies));
    const names = known.readable.map(({ output }) => output);
    // A file may leave the batch open and run one sample only; then a first size of 1 is all there is to tell by.
    const ran = await runBatch(loaded, repeated, copies, names).catch(() => undefined);
    if (!ran) return;
    keepReadable(known, ran.calls, copies);
  }
}

/** @type {(bytes: Uint8Array, copies: number) => Uint8Array<ArrayBuffer>} */
function repeat(bytes, copies) {
  const repeated = new Uint8Array(copies * bytes.length);
  for (let copy = 0; copy < copies; copy += 1) repeated.set(bytes, copy * bytes.length);
  return repeated;
}

/**
 * Set aside the taps of which a call gave no batch.
 * @type {(known: Known, calls: Call[], samples: number) => void}
 */
function keepReadable(known, calls, samples) {
  known.readable = known.readable.filter(({ name, output }) => {
    const shapes = partsOf(calls, output).map(({ shape }) => shape);
    const reason = shapes.map((shape) => unreadable(known, name, shape, samples)).find(Boolean);
    if (reason) known.failed.set(name, reason);
    return !reason;
  });
}

/** @type {(known: Known, name: string, shape: readonly number[], samples: number) => string | undefined} */
function unreadable({ shapes }, name, shape, samples) {
  const all = shape.join(', ');
  if (shape[0] !== samples) {
    const fed = samples === 1 ? 'one sample' : `${samples} samples`;
    return `the first dimension of its shape is not the batch: for ${fed} it is [${all}]`;
  }
  const now = shape.slice(1).join(', ');
  const before = shapes.get(name) ?? now;
  shapes.set(name, now);
  if (before !== now) return `its shape changes: a sample was [${before}] before, and is [${now}] now`;
}
