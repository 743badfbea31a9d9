/** The libraries that run each format in a browser: in a page, and in a module worker. Their files lie beside it. */

import { openGraph, openLayers, prepareGraph, prepareLayers, rawGraph, rawLayers } from './browser-tfjs.mjs';
import { BUNDLE } from './host.mjs';
import { openOnnx, startOnnxRuntime } from './onnx.mjs';
import manifest from './package.json' with { type: 'json' };
import { rawLiteRt, rawOnnx } from './raw.mjs';
import { JobError } from './run.mjs';
import { keepErrors, openFlatbuffer } from './tflite.mjs';

/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./tflite.mjs').LiteRt} LiteRt */
/** @typedef {import('./time.mjs').Hosted} Hosted */

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
  const fast = await litert.supportsFeature('relaxedSimd');
  const folder = new URL('litert/', BUNDLE).href;
  // Without threads, as in Node.js.
  if (typeof document === 'undefined') await loadInWorker(litert, folder, fast);
  else await litert.loadLiteRt(folder);
  restore();
  const version = manifest.dependencies['@litertjs/core'];
  return { litert, version, build: fast ? 'relaxed-simd' : 'compat', takeErrors };
}

/**
 * Load LiteRT.js in a module worker, where a script can be neither imported nor added to a document: its loader is
 * evaluated as a module first, and LiteRT.js then finds what the script defines.
 * @param {typeof import('@litertjs/core')} litert
 * @param {string} folder
 * @param {boolean} fast whether the browser has relaxed SIMD, by which LiteRT.js chooses the file
 */
async function loadInWorker(litert, folder, fast) {
  const answer = await fetch(`${folder}litert_wasm${fast ? '' : '_compat'}_internal.js`);
  if (!answer.ok) throw new JobError(`LiteRT.js cannot be loaded from ${folder} (status ${answer.status})`);
  const script = `${await answer.text()}\nglobalThis.ModuleFactory = ModuleFactory;`;
  const address = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const scope = /** @type {{ importScripts?: unknown, Module?: object }} */ (/** @type {unknown} */ (globalThis));
  const { importScripts } = scope;
  try {
    await import(address);
    scope.importScripts = () => {};
    scope.Module = { locateFile: (/** @type {string} */ name) => `${folder}${name}` };
    await litert.loadLiteRt(folder);
  } finally {
    scope.importScripts = importScripts;
    URL.revokeObjectURL(address);
  }
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
  const wasm = new URL('ort-wasm-simd-threaded.wasm', BUNDLE).href;
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
export const PREPARE = Object.freeze({
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
export const EXECUTORS = Object.freeze({
  tfjs: openGraph,
  'tfjs-layers': openLayers,
  tflite: openTflite,
  onnx: openOnnxFile,
});

/** @type {Record<string, import('./try.mjs').OpenRaw>} */
export const RAW = Object.freeze({
  tfjs: rawGraph,
  'tfjs-layers': rawLayers,
  tflite: async (job, platform) => rawLiteRt(await startLiteRt(), job, platform),
  onnx: async (job, platform) => rawOnnx(await loadedOnnxRuntime(), job, platform),
});
