/**
 * The entry for Node.js: `node node.cjs` answers requests in sequence, one JSON object per line on standard input,
 * until that ends. All jobs have the same backend, and formats that it runs.
 *
 * Standard output carries only the answers. Requests are defined in `quantlab/runtimes/requests.py`, and answers in
 * `quantlab/types/messages.py`.
 */

import { on } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import v8 from 'node:v8';
import vm from 'node:vm';

import manifest from './package.json' with { type: 'json' };
import { openOnnx, startOnnxRuntime } from './onnx.mjs';
import { rawGraphModel, rawLayersModel, rawLiteRt, rawOnnx } from './raw.mjs';
import { preparePictures } from './pipelines.mjs';
import { runAndKeepOpen } from './opened.mjs';
import { JobError } from './run.mjs';
import { answerForMany } from './taps.mjs';
import { chooseBackend } from './tfjs-artifact.mjs';
import { openGraphModel } from './tfjs.mjs';
import { openLayersModel } from './tfjs-layers.mjs';
import { keepErrors, openFlatbuffer } from './tflite.mjs';
import { timeVariant } from './time.mjs';
import { tryCalls } from './try.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Message} Message */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./run.mjs').Request} Request */
/** @typedef {import('./time.mjs').Hosted} Hosted */
/** @typedef {import('./time.mjs').PeakMemory} PeakMemory */

const VERSIONS = Object.freeze({
  node: process.versions.node,
  tfjs: manifest.dependencies['@tensorflow/tfjs-core'],
  litert: manifest.dependencies['@litertjs/core'],
  'onnxruntime-web': manifest.dependencies['onnxruntime-web'],
});

/** @param {Message} message */
function emit(message) {
  // Synchronously, because buffered data would be lost if the process dies.
  fs.writeSync(1, `${JSON.stringify(message)}\n`);
}

/** Libraries log with all methods of the console, half of which write to standard output. */
function keepStandardOutputClean() {
  console.log = console.info = console.debug = console.error;
}

/** @returns {Platform} */
function nodePlatform() {
  /** @type {Map<string, number>} */
  const open = new Map();
  /** @type {(file: string, flags: string | number) => number} */
  const descriptor = (file, flags) => {
    const opened = open.get(file) ?? fs.openSync(file, flags);
    open.set(file, opened);
    return opened;
  };
  const closeFiles = () => {
    for (const opened of open.values()) fs.closeSync(opened);
    open.clear();
  };
  return {
    host: 'node',
    environment: { node: VERSIONS.node },
    readArtifact,
    readTensor: (file, position, target) => fillFrom(descriptor(file, 'r'), file, position, target),
    writeTensor: (file, position, bytes) => writeWhole(descriptor(file, 'r+'), position, bytes),
    writeScratch: (file, position, bytes) => writeWhole(descriptor(file, READ_WRITE_CREATE), position, bytes),
    closeFiles,
    emit,
    now: () => performance.now(),
  };
}

/** There is no letter for this: `w+` would truncate a file that the parent maps, and `a+` only appends. */
const READ_WRITE_CREATE = fs.constants.O_RDWR | fs.constants.O_CREAT;

/** @param {string} file */
function readArtifact(file) {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw new JobError(`the variant's file '${file}' cannot be read (${code}); convert the model again`);
  }
}

/** @type {(descriptor: number, file: string, position: number, target: Uint8Array) => void} */
function fillFrom(descriptor, file, position, target) {
  for (let filled = 0; filled < target.length;) {
    const read = fs.readSync(descriptor, target, filled, target.length - filled, position + filled);
    if (read === 0) {
      throw new JobError(`the samples in '${file}' end before byte ${position + target.length}; open the samples `
        + 'again');
    }
    filled += read;
  }
}

/** @type {(descriptor: number, position: number, bytes: Uint8Array) => void} */
function writeWhole(descriptor, position, bytes) {
  // If the disk fills up, the first write is partial and only the second one fails.
  for (let written = 0; written < bytes.length;) {
    written += fs.writeSync(descriptor, bytes, written, bytes.length - written, position + written);
  }
}

/** @type {Record<string, () => Promise<unknown>>} */
const BACKENDS = Object.freeze({
  cpu: () => import('@tensorflow/tfjs-backend-cpu'),
  native: async () => (await import('./native.mjs')).startNative(),
  wasm: async () => (await import('@tensorflow/tfjs-backend-wasm')).setWasmPaths(`${import.meta.dirname}/`),
});

/**
 * Start a library only once, because a running backend cannot be set up again.
 * @template T
 * @param {(backend: string) => Promise<T>} start
 * @returns {(backend: string) => Promise<T>}
 */
function once(start) {
  /** @type {Promise<T> | undefined} */
  let started;
  return (backend) => started ??= start(backend);
}

const startTfjs = once(async (backend) => {
  const core = await import('@tensorflow/tfjs-core');
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter');
  await BACKENDS[backend]?.();
  return { ...core, loadGraphModel };
});

/** @type {OpenExecutor} */
async function openTfjs(job, platform) {
  return openGraphModel(await startTfjs(job.backend), job, platform);
}

const startLayers = once(async (backend) => {
  const tf = await startTfjs(backend);
  const { loadLayersModel, model } = await import('@tensorflow/tfjs-layers');
  return { ...tf, loadLayersModel, model };
});

/** @type {OpenExecutor} */
async function openLayers(job, platform) {
  return openLayersModel(await startLayers(job.backend), job, platform);
}

const startLiteRt = once(async () => {
  let build = '';
  // LiteRT.js supports only browsers: it loads the build it has chosen with a worker's `importScripts`.
  Object.assign(globalThis, {
    self: globalThis,
    importScripts: (/** @type {string} */ file) => {
      build = file.includes('compat') ? 'compat' : 'relaxed-simd';
      Object.assign(globalThis, { ModuleFactory: evaluateLoader(file) });
    },
  });
  const litert = await import('@litertjs/core');
  const { takeErrors, restore } = keepErrors();
  await litert.loadLiteRt(`${import.meta.dirname}/litert/`);
  restore();
  // Otherwise libraries of later jobs would also mistake this process for a worker of a browser.
  for (const name of ['self', 'importScripts', 'ModuleFactory']) Reflect.deleteProperty(globalThis, name);
  return { litert, version: VERSIONS.litert, build, takeErrors };
});

/** @type {OpenExecutor} */
async function openTflite(job, platform) {
  return openFlatbuffer(await startLiteRt(job.backend), job, platform);
}

/** @typedef {import('./onnx.mjs').OnnxRuntime} OnnxRuntime */

/** @returns {Promise<OnnxRuntime>} */
async function loadOnnxWasm() {
  const ort = await import('onnxruntime-web/wasm');
  // Given as bytes, because the bundled loader is for browsers and would request them from a server.
  const wasmBinary = fs.readFileSync(path.join(import.meta.dirname, 'ort-wasm-simd-threaded.wasm'));
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary });
  return { ort, provider: 'wasm', environment: { 'onnxruntime-web': VERSIONS['onnxruntime-web'], build: 'simd' } };
}

/**
 * Load the user's onnxruntime-node; its folder is in the environment.
 * @returns {Promise<OnnxRuntime>}
 */
async function loadOnnxNative() {
  const folder = process.env.QUANTLAB_ONNXRUNTIME_NODE;
  if (!folder) throw new JobError("onnxruntime-node is not installed; install it with 'npm install onnxruntime-node'");
  const load = createRequire(path.join(folder, 'package.json'));
  try {
    return { ort: load(folder), provider: 'cpu', environment: { 'onnxruntime-node': load('./package.json').version } };
  } catch (error) {
    const [line] = /** @type {Error} */ (error).message.split('\n');
    throw new JobError(`the onnxruntime-node in '${folder}' does not load (${line}); install it again with `
      + "'npm install onnxruntime-node'");
  }
}

/** @type {Record<string, () => Promise<OnnxRuntime>>} */
const ONNX_RUNTIMES = Object.freeze({ native: loadOnnxNative, wasm: loadOnnxWasm });

const loadOnnxRuntime = once(async (backend) => {
  if (!Object.hasOwn(ONNX_RUNTIMES, backend)) {
    throw new JobError(`ONNX files do not run on the backend '${backend}'; they do on `
      + `${Object.keys(ONNX_RUNTIMES).join(' and ')}`);
  }
  return ONNX_RUNTIMES[backend]();
});

/** @type {OpenExecutor} */
async function openOnnxFile(job, platform) {
  return openOnnx(await loadOnnxRuntime(job.backend), job, platform);
}

/**
 * Load the user's sharp; its folder is in the environment.
 * @returns {Promise<import('./pipelines-sharp.mjs').Sharp>}
 */
async function loadSharp() {
  const folder = process.env.QUANTLAB_SHARP;
  if (!folder) throw new JobError("sharp is not installed; install it with 'npm install sharp'");
  try {
    return createRequire(path.join(folder, 'package.json'))(folder);
  } catch (error) {
    const [line] = /** @type {Error} */ (error).message.split('\n');
    throw new JobError(`the sharp in '${folder}' does not load (${line}); install it again with 'npm install sharp'`);
  }
}

/** @param {Job} job */
async function startSteps({ backend }) {
  if (backend === 'sharp') return (await import('./pipelines-sharp.mjs')).sharpSteps(await loadSharp());
  const [tf, { nodeSteps }] = [await startTfjs(backend), await import('./pipelines-node.mjs')];
  await chooseBackend(tf, backend);
  return nodeSteps(tf);
}

/** @type {Record<string, Hosted['prepare']>} */
const PREPARE = Object.freeze({
  tfjs: async ({ backend }) => {
    await chooseBackend(await startTfjs(backend), backend);
  },
  'tfjs-layers': async ({ backend }) => {
    await chooseBackend(await startLayers(backend), backend);
  },
  tflite: async ({ backend }) => {
    await startLiteRt(backend);
  },
  onnx: async ({ backend }) => {
    await startOnnxRuntime(await loadOnnxRuntime(backend));
  },
});

/**
 * Peak memory of this process. On Linux this does not use `resourceUsage`, whose value starts with the memory of the
 * parent.
 * @returns {PeakMemory}
 */
function peakMemory() {
  if (process.platform !== 'linux') return { bytes: process.resourceUsage().maxRSS * 1024 };
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'));
  if (found) return { bytes: Number(found[1]) * 1024 };
  return { bytes: null, reason: 'this system does not report the peak memory of a process' };
}

/** @param {string} file */
function evaluateLoader(file) {
  const source = `${fs.readFileSync(file, 'utf8')}\nreturn ModuleFactory;`;
  const evaluate = vm.compileFunction(source, ['require', '__dirname', '__filename'], { filename: file });
  return evaluate(createRequire(file), path.dirname(file), file);
}

const standardInput = /** @type {import('node:net').Socket} */ (/** @type {unknown} */ (process.stdin));

const endOrphaned = () => process.exit(1);

/** End with the parent: it holds the other end of standard input, which closes even if the parent is killed. */
function endWithParent() {
  if (!fs.fstatSync(0).isFIFO() && !fs.fstatSync(0).isSocket()) return;
  standardInput.on('close', endOrphaned);
  standardInput.resume();
  standardInput.unref();
}

/** Return the engine's garbage collector, a function that is exposed only by a flag. */
function exposeCollector() {
  v8.setFlagsFromString('--expose-gc');
  return /** @type {(options: { type: 'minor' }) => void} */ (vm.runInNewContext('gc'));
}

/**
 * Yield the parent's requests on standard input. The process ends if the input ends while it waits for a line.
 * @returns {() => AsyncGenerator<Request>}
 */
function listen() {
  const collectGarbage = exposeCollector();
  const lines = on(readline.createInterface({ input: standardInput }), 'line', { close: ['close'] });
  return async function* requests() {
    standardInput.ref?.();
    standardInput.off('close', endOrphaned);
    try {
      for await (const [line] of lines) {
        standardInput.on('close', endOrphaned);
        yield JSON.parse(line);
        standardInput.off('close', endOrphaned);
        // While the parent works on the answer. Without this, the engine would keep the tensors of a dozen requests,
        // which are outside of its heap, before it collects them.
        collectGarbage({ type: 'minor' });
      }
    } finally {
      // A file as standard input, as in manual tests, does not have this method.
      standardInput.unref?.();
    }
  };
}

const EXECUTORS = Object.freeze({ tfjs: openTfjs, 'tfjs-layers': openLayers, tflite: openTflite, onnx: openOnnxFile });

/** @type {Record<string, import('./try.mjs').OpenRaw>} */
const RAW = Object.freeze({
  tfjs: async (job, platform) => rawGraphModel(await startTfjs(job.backend), job, platform),
  'tfjs-layers': async (job, platform) => rawLayersModel(await startLayers(job.backend), job, platform),
  tflite: async (job, platform) => rawLiteRt(await startLiteRt(job.backend), job, platform),
  onnx: async (job, platform) => rawOnnx(await loadOnnxRuntime(job.backend), job, platform),
});

/** @type {(job: Job) => Platform & Hosted} */
const timingPlatform = ({ format }) => ({ ...nodePlatform(), prepare: PREPARE[format], peakMemory });

/**
 * Load the libraries of a job's format; if that fails, the job itself will report it.
 * @param {Job} job
 */
async function load(job) {
  await PREPARE[job.format](job).catch(() => {});
  emit({ type: 'done' });
}

/** Answer requests in sequence, until the parent sends no more. */
async function serve() {
  keepStandardOutputClean();
  endWithParent();
  const tap = answerForMany(EXECUTORS, nodePlatform);
  const run = runAndKeepOpen(EXECUTORS, nodePlatform);
  for await (const asked of listen()()) {
    if (asked.request === 'wait') await load(asked.job);
    else if (asked.request === 'time') await timeVariant(asked, EXECUTORS, timingPlatform(asked.job));
    else if (asked.request === 'tap') await tap(asked);
    else if (asked.request === 'try') await tryCalls(asked, RAW, nodePlatform());
    else if (asked.request === 'prepare') await preparePictures(asked, startSteps, nodePlatform());
    else await run(asked);
  }
}

serve();
