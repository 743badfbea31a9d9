/**
 * The entry for a page in Chromium: requests a job from its server, runs it, and reports the result.
 *
 * The server, `quantlab/runtimes/page_server.py`, replaces paths in the job by addresses below the page's own
 * (`artifact/…`, `input/0`, `output/0`, `scratch`, and for calls `fed/0/0` and `answer/0`). Tensors are sent as raw
 * bytes.
 */

import {
  openGraph, openLayers, prepareGraph, prepareLayers, rawGraph, rawLayers, startSteps,
} from './browser-tfjs.mjs';
import manifest from './package.json' with { type: 'json' };
import { openOnnx, startOnnxRuntime } from './onnx.mjs';
import { preparePictures } from './pipelines.mjs';
import { rawLiteRt, rawOnnx } from './raw.mjs';
import { JobError, run } from './run.mjs';
import { answerRequests } from './taps.mjs';
import { keepErrors, openFlatbuffer } from './tflite.mjs';
import { timeVariant } from './time.mjs';
import { tryCalls } from './try.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Message} Message */
/** @typedef {import('./run.mjs').Request} Request */
/** @typedef {import('./run.mjs').TapRequest} TapRequest */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./tflite.mjs').LiteRt} LiteRt */
/** @typedef {import('./time.mjs').Hosted} Hosted */
/** @typedef {import('./time.mjs').PeakMemory} PeakMemory */

/** Messages are sent in sequence; the end of the work awaits the last one. */
let said = Promise.resolve();

/** @param {Message} message */
function emit(message) {
  said = said.then(() => send('message', JSON.stringify(message)));
}

/** @type {(address: string, body: BodyInit) => Promise<void>} */
async function send(address, body) {
  const { ok, status } = await fetch(address, { method: 'POST', body });
  if (!ok) throw new JobError(`the page's server refused what was sent to '${address}' (status ${status})`);
}

/** @type {Platform} */
const PLATFORM = Object.freeze({
  host: 'chromium',
  environment: { user_agent: navigator.userAgent },
  readArtifact,
  readTensor,
  writeTensor: (file, position, bytes) => send(`${file}?at=${position}`, whole(bytes)),
  writeScratch: (file, position, bytes) => send(`${file}?at=${position}`, whole(bytes)),
  emit,
  now: () => performance.now(),
});

/**
 * A copy of the bytes for `fetch`, because WebAssembly memory may change or be detached while they are sent.
 * @param {Uint8Array} bytes
 */
function whole(bytes) {
  return bytes.slice();
}

/** @param {string} file */
async function readArtifact(file) {
  const answer = await fetch(file.split('/').map(encodeURIComponent).join('/'));
  if (!answer.ok) {
    throw new JobError(`the variant's file '${file.replace(/^artifact\/?/, '')}' cannot be read (status `
      + `${answer.status}); convert the model again`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

/** @type {(file: string, position: number, target: Uint8Array) => Promise<void>} */
async function readTensor(file, position, target) {
  if (!target.length) return;
  const answer = await fetch(file, { headers: { Range: `bytes=${position}-${position + target.length - 1}` } });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (answer.status !== 206 || bytes.length !== target.length) {
    throw new JobError(`the samples in '${file}' end before byte ${position + target.length}; open the samples again`);
  }
  target.set(bytes);
}

/**
 * Yield the parent's requests for the page's variant, until there are no more.
 * @param {TapRequest} first
 */
async function* requests(first) {
  yield first;
  for (;;) {
    const answer = await fetch('request');
    if (answer.status !== 200) return;
    yield answer.json();
  }
}

/** @returns {Promise<PeakMemory>} */
async function peakMemory() {
  return (await fetch('memory')).json();
}

/** @type {Promise<LiteRt> | undefined} */
let liteRt;

/** @returns {Promise<LiteRt>} */
function startLiteRt() {
  liteRt ??= loadLiteRt();
  return liteRt;
}

/** @returns {Promise<LiteRt>} */
async function loadLiteRt() {
  const litert = await import('@litertjs/core');
  const { takeErrors, restore } = keepErrors();
  // Without threads, as in Node.js.
  await litert.loadLiteRt(new URL('litert/', location.href).href);
  restore();
  const fast = await litert.supportsFeature('relaxedSimd');
  const version = manifest.dependencies['@litertjs/core'];
  return { litert, version, build: fast ? 'relaxed-simd' : 'compat', takeErrors };
}

/** @type {OpenExecutor} */
async function openTflite(job, platform) {
  return openFlatbuffer(await startLiteRt(), job, platform);
}

/** @type {Promise<import('./onnx.mjs').OnnxRuntime> | undefined} */
let onnxRuntime;

function loadedOnnxRuntime() {
  onnxRuntime ??= loadOnnxRuntime();
  return onnxRuntime;
}

/** @returns {Promise<import('./onnx.mjs').OnnxRuntime>} */
async function loadOnnxRuntime() {
  const ort = await import('onnxruntime-web/wasm');
  // The path is given because ONNX Runtime would otherwise also request a loader, which is bundled.
  const wasm = new URL('ort-wasm-simd-threaded.wasm', location.href).href;
  // One thread, as in Node.js.
  Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: { wasm } });
  const version = manifest.dependencies['onnxruntime-web'];
  return { ort, provider: 'wasm', environment: { 'onnxruntime-web': version, build: 'simd' } };
}

/** @type {OpenExecutor} */
async function openOnnxFile(job, platform) {
  return openOnnx(await loadedOnnxRuntime(), job, platform);
}

/** @type {Record<string, Hosted['prepare']>} */
const PREPARE = Object.freeze({
  tfjs: prepareGraph,
  'tfjs-layers': prepareLayers,
  tflite: async () => {
    await startLiteRt();
  },
  onnx: async () => {
    await startOnnxRuntime(await loadedOnnxRuntime());
  },
});

/** @type {Record<string, OpenExecutor>} */
const EXECUTORS = Object.freeze({
  tfjs: openGraph,
  'tfjs-layers': openLayers,
  tflite: openTflite,
  onnx: openOnnxFile,
});

/** @type {Record<string, import('./try.mjs').OpenRaw>} */
const RAW = Object.freeze({
  tfjs: rawGraph,
  'tfjs-layers': rawLayers,
  tflite: async (job, platform) => rawLiteRt(await startLiteRt(), job, platform),
  onnx: async (job, platform) => rawOnnx(await loadedOnnxRuntime(), job, platform),
});

/** Send the prints of libraries to the parent's log, because nobody sees this page's console. */
function logToParent() {
  for (const level of /** @type {const} */ (['warn', 'error'])) {
    console[level] = (...values) => {
      const text = values.map((value) => (value instanceof Error ? value.stack : String(value))).join(' ');
      // A lost log message does not matter.
      send('message', JSON.stringify({ type: 'log', text: `${level}: ${text}` })).catch(() => {});
    };
  }
}

/** Report uncaught errors, so that the parent does not wait. */
function failUncaught() {
  /** @param {unknown} error */
  const fail = (error) => emit({ type: 'failed', reason: `the page failed: ${error}` });
  addEventListener('error', ({ message }) => fail(message));
  addEventListener('unhandledrejection', ({ reason }) => fail(reason));
}

async function main() {
  logToParent();
  failUncaught();
  const asked = /** @type {Request} */ (await (await fetch('job')).json());
  const { job } = asked;
  if (asked.request === 'tap') {
    await answerRequests(job, EXECUTORS, { ...PLATFORM, requests: () => requests(asked) });
  } else if (asked.request === 'try') {
    await tryCalls(asked, RAW, PLATFORM);
  } else if (asked.request === 'prepare') {
    await preparePictures(asked, startSteps, PLATFORM);
  } else if (asked.request === 'time') {
    await timeVariant(asked, EXECUTORS, { ...PLATFORM, prepare: PREPARE[job.format], peakMemory });
  } else {
    await run(job, EXECUTORS, PLATFORM);
  }
  await said;
}

main();
