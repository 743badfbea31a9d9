/**
 * Runs a `.tflite` file with LiteRT.js, which the entry passes.
 *
 * LiteRT.js runs only files with a fixed batch size, so each call runs one sample; files are read and written in
 * batches. Inputs and outputs are identified by their index, which is the same as in LiteRT for Python.
 *
 * Files may take and give codes. LiteRT.js knows uint8; for int8 and int16, Python writes a copy with float32 ends, whose
 * inputs must be values of codes. Values are rounded to codes as in Python, by `codes.mjs`.
 */

import { decoded, encoded, valuesOfCodes } from './codes.mjs';
import { bytesOf, floatsOf, viewOf } from './dtypes.mjs';
import { checkOutputShape, JobError } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').TensorFile} TensorFile */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('@litertjs/core').CompiledModel} CompiledModel */
/** @typedef {import('@litertjs/core').TensorDetails} TensorDetails */
/** @typedef {import('@litertjs/core').Tensor} Tensor */

/**
 * LiteRT.js with its WebAssembly loaded.
 * @typedef {object} LiteRt
 * @property {Pick<typeof import('@litertjs/core'), 'loadAndCompile' | 'Tensor'>} litert
 * @property {string} version
 * @property {string} build `relaxed-simd`, or `compat` where the host lacks it: their sums differ in the last bits
 * @property {() => string[]} takeErrors what it has written to the console as errors since the last call: it does not
 *   throw where an op fails
 */

/** @typedef {Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>} Values */

/** @typedef {'float32' | 'int32' | 'uint8'} FileDType what LiteRT.js takes and gives */

/**
 * One of the file's outputs to read.
 * @typedef {{ name: string, shape: number[], index: number, dtype: string }} Read
 */

/**
 * How the job's tensors correspond to the file's.
 * @typedef {object} Ports
 * @property {number[]} fed for each of the file's inputs, the index of the job's input
 * @property {Read[]} outputs in the job's order
 * @property {Read[]} taps
 * @property {Map<string, string>} failed why the other taps cannot be read, by name
 */

/**
 * Load a `.tflite` file with float32, int32 or uint8 inputs and outputs and a batch of 1.
 * @param {LiteRt} runtime
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openFlatbuffer(runtime, job, platform) {
  const { litert, version, build, takeErrors } = runtime;
  const model = await compile(runtime, await platform.readArtifact(job.artifact), `${platform.host}-wasm`);
  try {
    const ports = portsOf(model, job);
    const loaded = { litert, takeErrors, model, job, platform };
    return {
      backend: 'wasm',
      environment: { litert: version, litert_build: build, backend: 'wasm' },
      predict: predictor(loaded, ports),
      tap: tapper(loaded, ports),
      close: () => model.delete(),
    };
  } catch (error) {
    model.delete();
    throw error;
  }
}

/**
 * Keep what is written to the console as errors from now on: what LiteRT.js is loaded with writes there later, too.
 * @returns {{ takeErrors: LiteRt['takeErrors'], restore: () => void }} `restore` is called once it is loaded
 */
export function keepErrors() {
  /** @type {string[]} */
  const lines = [];
  const report = console.error;
  console.error = (...words) => {
    lines.push(words.join(' '));
    report.apply(console, words);
  };
  return { takeErrors: () => lines.splice(0), restore: () => { console.error = report; } };
}

/** @type {(runtime: LiteRt, file: Uint8Array, name: string) => Promise<CompiledModel>} */
export async function compile({ litert, takeErrors }, file, name) {
  takeErrors();
  try {
    return await litert.loadAndCompile(file, { accelerator: 'wasm' });
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    const dtype = /^Element type (\w+) is not supported/.exec(message)?.[1].toLowerCase();
    if (dtype) throw new JobError(refusedDtype(dtype));
    if (takeErrors().some((line) => line.includes('Variable tensors not yet supported'))) {
      throw new JobError('the file keeps a state between calls in variable tensors, as an LSTM of Keras 2 does, and '
        + 'LiteRT.js does not support them; run it in python only, or build the layer with unroll=True or in Keras 3');
    }
    throw new JobError(`LiteRT.js could not load the file (${message}); if it runs in python, leave ${name} out `
      + 'for this setting, and otherwise convert the model again');
  }
}

/** @param {string} dtype */
function refusedDtype(dtype) {
  return `the file has ${dtype} inputs or outputs, and LiteRT.js takes float32, int32 and uint8 only; convert the `
    + 'model with float32 inputs and outputs, or run this file in python only';
}

/** @type {(model: CompiledModel, job: Job) => Ports} */
function portsOf(model, job) {
  return {
    fed: model.getInputDetails().map((details) => inputAt(job.inputs, details)),
    outputs: job.outputs.map((output) => outputAt(model.getOutputDetails(), output)),
    ...tapsAt(model.getOutputDetails(), job),
  };
}

/**
 * The index of the job's input for an input of the file.
 * @type {(tensors: TensorFile[], details: TensorDetails) => number}
 */
function inputAt(tensors, details) {
  const place = tensors.findIndex(({ position }) => position === details.index);
  if (place < 0) {
    throw new JobError(`the file's input '${details.name}' is fed by none of the model's inputs; the file was made `
      + 'from another model');
  }
  checkInput(tensors[place], details);
  return place;
}

/** @type {(input: TensorFile, details: TensorDetails) => void} */
function checkInput(input, { name, dtype, shape }) {
  const taken = Array.from(shape).join(', ');
  const given = [1, ...input.shape].join(', ');
  if (shape.some((size) => size < 1)) {
    throw new JobError(`the file's input '${name}' has the open shape [${taken}], and LiteRT.js runs fixed shapes `
      + 'only; convert the model with a batch of 1');
  }
  if (taken !== given) {
    throw new JobError(`the file's input '${name}' takes [${taken}], and one sample is [${given}]; convert the model `
      + 'with a batch of 1');
  }
  if (dtype !== input.dtype && !(dtype === 'uint8' && input.codes && isFloat(input))) {
    throw new JobError(`the file's input '${name}' takes ${dtype}, and the samples are ${input.dtype}; convert the `
      + 'model with its own dtypes, or run this file in python only');
  }
}

/** @param {TensorFile} input */
function isFloat({ dtype }) {
  return dtype === 'float32' || dtype === 'float64';
}

/** @type {(details: readonly TensorDetails[], output: TensorFile) => Read} */
function outputAt(details, { name, shape, position }) {
  const inFile = details[position];
  if (inFile) return { name, shape, index: inFile.index, dtype: inFile.dtype };
  throw new JobError(`the output '${name}' is said to be number ${position + 1} of the file's outputs, and there are `
    + `${details.length}; convert the model again`);
}

/** @type {(details: readonly TensorDetails[], job: Job) => Pick<Ports, 'taps' | 'failed'>} */
function tapsAt(details, { taps: asked }) {
  /** @type {Read[]} */
  const taps = [];
  /** @type {Map<string, string>} */
  const failed = new Map();
  for (const [i, name] of (asked?.names ?? []).entries()) {
    const inFile = details[asked?.positions?.[i] ?? -1];
    const shape = Array.from(inFile?.shape ?? []);
    const reason = inFile ? untappable(shape) : `it is none of the file's ${details.length} outputs`;
    if (reason) failed.set(name, reason);
    else taps.push({ name, shape: shape.slice(1), index: inFile.index, dtype: inFile.dtype });
  }
  return { taps, failed };
}

/** @type {(shape: number[]) => string | undefined} */
function untappable(shape) {
  if (shape[0] !== 1) return `the first dimension of its shape is not the batch of 1: it is [${shape.join(', ')}]`;
  if (shape.some((size) => size < 1)) return `its shape is open or empty: it is [${shape.join(', ')}]`;
}

/** @typedef {Pick<LiteRt, 'litert' | 'takeErrors'> & { model: CompiledModel, job: Job, platform: Platform }} Loaded */

/** @type {(loaded: Loaded, ports: Ports) => Executor['predict']} */
function predictor(loaded, { fed, outputs }) {
  return async (inputs, samples) => {
    const { batches, seconds } = await runBatch(loaded, fed, outputs, inputs, samples);
    return { outputs: outputBytes(loaded.job, outputs, batches), seconds };
  };
}

/** @type {(loaded: Loaded, ports: Ports) => Executor['tap']} */
function tapper(loaded, { fed, outputs, taps, failed }) {
  return async (inputs, samples) => {
    const { batches, seconds } = await runBatch(loaded, fed, [...outputs, ...taps], inputs, samples);
    const tapped = taps.map(({ name, shape, dtype }, i) => (
      { name, shape, computed_in: dtype, ...floatsOf(batches[outputs.length + i], dtype) }));
    return { outputs: outputBytes(loaded.job, outputs, batches), taps: tapped, failed, seconds };
  };
}

/** @type {(job: Job, outputs: Read[], batches: Values[]) => Uint8Array[]} */
function outputBytes(job, outputs, batches) {
  return job.outputs.map((output, i) => {
    const { dtype } = outputs[i];
    // A copy with float32 ends has decoded its codes.
    if (dtype === 'float32' || !output.codes) return bytesOf(batches[i], dtype, output);
    return bytesOf(decoded(batches[i], output.codes), 'float32', output);
  });
}

/**
 * Run the samples one by one, and return the values of each of the outputs to read.
 * @param {Loaded} loaded
 * @param {number[]} fed
 * @param {Read[]} read
 * @param {Uint8Array<ArrayBuffer>[]} inputs
 * @param {number} samples
 */
async function runBatch({ litert, takeErrors, model, job, platform }, fed, read, inputs, samples) {
  const details = model.getInputDetails();
  const views = job.inputs.map((input, i) => fedValues(input, inputs[i], details[fed.indexOf(i)].dtype));
  const batches = read.map((output) => arrayFor(output.dtype, samples * elements(output)));
  let seconds = 0;
  for (let sample = 0; sample < samples; sample += 1) {
    const feeds = fed.map((i) => tensorOf(litert, views[i], sample, job.inputs[i]));
    try {
      seconds += await runSample(model, feeds, (results) => {
        refuseFailedOp(takeErrors());
        read.forEach((output, i) => {
          const result = results[output.index];
          checkOutputShape(output, result.type.layout.dimensions, 1);
          batches[i].set(result.toTypedArray(), sample * elements(output));
        });
      }, platform);
    } finally {
      feeds.forEach((feed) => feed.delete());
    }
  }
  return { batches, seconds };
}

/** @type {(input: TensorFile, bytes: Uint8Array<ArrayBuffer>, dtype: string) => Values} */
function fedValues(input, bytes, dtype) {
  const values = /** @type {Values} */ (viewOf(bytes, /** @type {FileDType} */ (input.dtype)));
  if (!input.codes || !isFloat(input)) return values;
  return dtype === 'uint8' ? encoded(values, input.codes) : valuesOfCodes(values, input.codes);
}

/**
 * Run the model once and call `download` with the results; return the seconds of both.
 * @param {CompiledModel} model
 * @param {Tensor[]} feeds
 * @param {(results: Tensor[]) => void} download
 * @param {Platform} platform
 */
async function runSample(model, feeds, download, platform) {
  const started = platform.now();
  const results = await model.run(feeds);
  try {
    download(results);
    return (platform.now() - started) / 1000;
  } finally {
    results.forEach((result) => result.delete());
  }
}

/** @param {string[]} errors */
function refuseFailedOp(errors) {
  const at = errors.findIndex((line) => FAILED_OP.test(line));
  if (at < 0) {
    const told = errors.filter((line) => line.startsWith('ERROR: '));
    if (!told.length) return;
    if (told.some((line) => line.includes('custom allocation for output'))) {
      throw new JobError('LiteRT.js cannot return an output whose size is computed while the file runs; convert the '
        + 'model with a batch of 1, or run it in python only');
    }
    throw new JobError(`LiteRT.js failed to run the file (${told.join(' ')}); if it runs in python, leave this runtime `
      + 'out for this setting');
  }
  const [, node, op] = /** @type {string[]} */ (FAILED_OP.exec(errors[at]));
  const cause = (errors[at - 1] ?? '').replace(/^ERROR: |\.$/g, '')
    .replace(/(?<=, got )\d+/, (number) => DTYPES[Number(number)] ?? number);
  throw new JobError(`LiteRT.js cannot run the op ${op} (node ${node}) as it is in this file (${cause}); replace the `
    + 'layer that uses it, or leave this setting out');
}

const FAILED_OP = /Node number (\d+) \((\w+)\) failed to (?:prepare|invoke)/;

/**
 * The numbers of TfLiteType, in which LiteRT's errors name data types.
 * @type {Record<number, string>}
 */
const DTYPES = Object.freeze({
  1: 'float32', 2: 'int32', 3: 'uint8', 4: 'int64', 5: 'string', 6: 'bool', 7: 'int16', 9: 'int8', 10: 'float16',
});

/** @type {(litert: LiteRt['litert'], batch: Values, sample: number, input: TensorFile) => Tensor} */
function tensorOf(litert, batch, sample, input) {
  const size = elements(input);
  return litert.Tensor.fromTypedArray(batch.subarray(sample * size, (sample + 1) * size), [1, ...input.shape]);
}

/** @param {Pick<TensorFile, 'shape'>} tensor */
function elements(tensor) {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

/** @type {(dtype: string, length: number) => Values} */
function arrayFor(dtype, length) {
  return new { float32: Float32Array, int32: Int32Array, uint8: Uint8Array }[/** @type {FileDType} */ (dtype)](length);
}
