/** Starts tfjs on one of its backends in a page, describes the backend, and detects its loss. */

import { BUNDLE, HOST } from './host.mjs';
import { rawGraphModel, rawLayersModel } from './raw.mjs';
import { JobError } from './run.mjs';
import { openGraphModel } from './tfjs.mjs';
import { openLayersModel } from './tfjs-layers.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./tfjs-execute.mjs').Tf} Tf */
/** @typedef {import('./try.mjs').OpenRaw} OpenRaw */
/** @typedef {import('./try.mjs').RawCalls} RawCalls */
/** @typedef {import('./tfjs-layers.mjs').Tf} LayersTf */

/**
 * A way to run tfjs in a page.
 * @typedef {object} Backend
 * @property {string} tfjs its name in tfjs
 * @property {(core: typeof import('@tensorflow/tfjs-core')) => Promise<void>} load
 * @property {(tf: Tf | LayersTf) => Promise<Record<string, string>>} describe what outputs depend on, after the start
 * @property {(tf: Tf | LayersTf) => Promise<never>} lost rejects with a JobError if the backend is taken away
 */

const NEVER = /** @type {Promise<never>} */ (new Promise(() => {}));

/** @type {Record<string, Backend>} */
const BACKENDS = Object.freeze({
  cpu: { tfjs: 'cpu', load: loadCpu, describe: async () => ({}), lost: () => NEVER },
  wasm: { tfjs: 'wasm', load: loadWasm, describe: async () => ({ wasm_threads: 'no' }), lost: () => NEVER },
  webgl: { tfjs: 'webgl', load: loadWebgl, describe: describeWebgl, lost: contextLost },
  webgl16: { tfjs: 'webgl', load: loadWebgl16, describe: describeWebgl, lost: contextLost },
  webgpu: { tfjs: 'webgpu', load: loadWebgpu, describe: describeWebgpu, lost: deviceLost },
});

async function loadCpu() {
  await import('@tensorflow/tfjs-backend-cpu');
}

/** @type {Backend['load']} */
async function loadWasm(core) {
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(new URL('./', BUNDLE).href);
  // One thread, as in Node.js (with the same file) and in most pages, which are not isolated.
  core.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
}

async function loadWebgl() {
  // A worker has no document.
  const canvas = typeof document === 'undefined' ? new OffscreenCanvas(1, 1) : document.createElement('canvas');
  if (!canvas.getContext('webgl2')) {
    throw new JobError('this browser has no WebGL 2, which the webgl backend of tfjs needs; install a newer Chromium '
      + `or Chrome, or leave ${HOST}-webgl out with --runtimes`);
  }
  await import('@tensorflow/tfjs-backend-webgl');
}

/** @type {Backend['load']} */
async function loadWebgl16(core) {
  await loadWebgl();
  core.env().set('WEBGL_FORCE_F16_TEXTURES', true);
}

async function loadWebgpu() {
  if (!await adapter()) {
    throw new JobError('this browser has no WebGPU adapter, neither of a graphics card nor in software; install a '
      + `Chromium or Chrome that has one, or leave ${HOST}-webgpu out with --runtimes`);
  }
  await import('@tensorflow/tfjs-backend-webgpu');
}

/** @typedef {{ vendor: string, architecture: string, device: string, description: string }} AdapterInfo */
/** @typedef {{ maxTextureDimension2D: number, maxStorageBufferBindingSize: number }} Limits */
/** @typedef {{ info: AdapterInfo, limits: Limits }} Adapter */
/** @typedef {{ lost: Promise<{ reason: string, message: string }> }} Device */

/** @returns {Promise<Adapter | null>} */
async function adapter() {
  const { gpu } = /** @type {{ gpu?: { requestAdapter: () => Promise<Adapter | null> } }} */ (
    /** @type {unknown} */ (navigator));
  return await gpu?.requestAdapter() ?? null;
}

/** @param {Tf | LayersTf} tf */
function contextOf(tf) {
  const { gpgpu } = /** @type {{ gpgpu: { gl: WebGL2RenderingContext } }} */ (/** @type {unknown} */ (tf.backend()));
  return gpgpu.gl;
}

/** @type {Backend['describe']} */
async function describeWebgl(tf) {
  const gl = contextOf(tf);
  const told = gl.getExtension('WEBGL_debug_renderer_info');
  return {
    renderer: gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER),
    webgl_version: String(tf.env().getNumber('WEBGL_VERSION')),
    webgl_render_float32: tf.env().getBool('WEBGL_RENDER_FLOAT32_ENABLED') ? 'yes' : 'no',
    webgl_half_float_textures: tf.env().getBool('WEBGL_FORCE_F16_TEXTURES') ? 'forced' : 'no',
    max_texture_size: String(tf.env().getNumber('WEBGL_MAX_TEXTURE_SIZE')),
  };
}

/** @type {Backend['describe']} */
async function describeWebgpu() {
  const { info, limits } = /** @type {Adapter} */ (await adapter());
  const named = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ');
  return {
    renderer: named || 'not told',
    max_texture_size: String(limits.maxTextureDimension2D),
    max_storage_buffer_bytes: String(limits.maxStorageBufferBindingSize),
  };
}

/** Whether the browser took the graphics away; a phone does so from pages behind others, and gives them back later. */
export const taken = { byBrowser: false };

/** @type {Backend['lost']} */
function contextLost(tf) {
  return new Promise((_, reject) => {
    contextOf(tf).canvas.addEventListener('webglcontextlost', () => {
      taken.byBrowser = true;
      reject(new JobError(
        'the browser took the WebGL context away, probably because graphics memory ran out or its graphics process '
        + 'ends; run fewer samples at once with --batch-size, or leave this runtime out with --runtimes',
      ));
    });
  });
}

/** @type {Backend['lost']} */
async function deviceLost(tf) {
  const { device } = /** @type {{ device: Device }} */ (/** @type {unknown} */ (tf.backend()));
  const { message } = await device.lost;
  taken.byBrowser = true;
  throw new JobError(`the browser took the WebGPU device away (${message || 'without a reason'}); run fewer samples `
    + 'at once with --batch-size, or leave this runtime out with --runtimes');
}

/** @type {Promise<Tf> | undefined} */
let started;

/** @param {Backend} backend */
async function load(backend) {
  const core = await import('@tensorflow/tfjs-core');
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter');
  await backend.load(core);
  return { ...core, loadGraphModel };
}

/** @param {Job} job */
function startTfjs({ backend }) {
  if (!Object.hasOwn(BACKENDS, backend)) {
    throw new JobError(`the page has no backend '${backend}'; it has ${Object.keys(BACKENDS).join(', ')}`);
  }
  started ??= load(BACKENDS[backend]);
  return started;
}

/** @param {Job} job */
async function startLayers(job) {
  const tf = await startTfjs(job);
  const { loadLayersModel, model } = await import('@tensorflow/tfjs-layers');
  return { ...tf, loadLayersModel, model };
}

/**
 * Load tfjs and start the job's backend, without a variant.
 * @param {Job} job
 */
export async function prepareGraph(job) {
  const tf = await startTfjs(job);
  await tf.setBackend(BACKENDS[job.backend].tfjs);
}

/**
 * The same with the library that runs layers-models.
 * @param {Job} job
 */
export async function prepareLayers(job) {
  await startLayers(job);
  await prepareGraph(job);
}

/**
 * The steps of pipelines, of which some run on the job's backend.
 * @param {Job} job
 */
export async function startSteps(job) {
  const [tf, { browserSteps }] = [await startTfjs(job), await import('./pipelines-browser.mjs')];
  await tf.setBackend(BACKENDS[job.backend].tfjs);
  const steps = browserSteps(tf);
  return { ...steps, environment: { ...steps.environment, ...await BACKENDS[job.backend].describe(tf) } };
}

/**
 * Open a model on the job's backend; the loss of the backend is an error and does not give zeros.
 * @template {Tf | LayersTf} T
 * @param {T} tf
 * @param {Job} job
 * @param {Platform} platform
 * @param {(tf: T, job: Job, platform: Platform) => Promise<Executor>} open
 * @returns {Promise<Executor>}
 */
async function openOnBackend(tf, job, platform, open) {
  const backend = BACKENDS[job.backend];
  const executor = await open(tf, { ...job, backend: backend.tfjs }, platform);
  const lost = backend.lost(tf);
  // It may be rejected while nothing awaits it, for example between two batches.
  lost.catch(() => {});
  return {
    ...executor,
    backend: job.backend,
    environment: { ...executor.environment, ...await backend.describe(tf) },
    predict: (inputs, samples) => Promise.race([lost, executor.predict(inputs, samples)]),
    tap: (inputs, samples) => Promise.race([lost, executor.tap(inputs, samples)]),
  };
}

/** @type {OpenExecutor} */
export async function openGraph(job, platform) {
  return openOnBackend(await startTfjs(job), job, platform, openGraphModel);
}

/** @type {OpenExecutor} */
export async function openLayers(job, platform) {
  return openOnBackend(await startLayers(job), job, platform, openLayersModel);
}

/**
 * Open a model for calls that may be wrong, with the same care.
 * @template {Tf | LayersTf} T
 * @param {T} tf
 * @param {Job} job
 * @param {Platform} platform
 * @param {(tf: T, job: Job, platform: Platform) => Promise<RawCalls>} open
 * @returns {Promise<RawCalls>}
 */
async function rawOnBackend(tf, job, platform, open) {
  const backend = BACKENDS[job.backend];
  const calls = await open(tf, { ...job, backend: backend.tfjs }, platform);
  const lost = backend.lost(tf);
  lost.catch(() => {});
  return { ...calls, call: (inputs, names) => Promise.race([lost, calls.call(inputs, names)]) };
}

/** @type {OpenRaw} */
export async function rawGraph(job, platform) {
  return rawOnBackend(await startTfjs(job), job, platform, rawGraphModel);
}

/** @type {OpenRaw} */
export async function rawLayers(job, platform) {
  return rawOnBackend(await startLayers(job), job, platform, rawLayersModel);
}
