/** Shared code of both tfjs formats: `model.json`, its shards, and the choice of a backend. */

import { JobError } from './run.mjs';

/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('@tensorflow/tfjs-core').io.ModelJSON} ModelJSON */
/** @typedef {import('@tensorflow/tfjs-core').io.WeightsManifestEntry} WeightsManifestEntry */
/** @typedef {import('@tensorflow/tfjs-core').io.WeightsManifestConfig[number]} WeightGroup */
/** @typedef {typeof import('@tensorflow/tfjs-core')} Tf */

/**
 * The files of a variant by name.
 * @typedef {{ json: string, read: (name: string) => Promise<Uint8Array<ArrayBuffer>> }} ArtifactFiles
 */

/**
 * The files of a variant: those of its folder, or, if the job lists them, the listed ones, of which the first is the
 * JSON file.
 * @param {import('./run.mjs').Job} job
 * @param {Platform} platform
 * @returns {ArtifactFiles}
 */
export function artifactFiles({ artifact, options }, platform) {
  const listed = new Map((options.external_data ?? []).map(({ path, file }) => [path, file]));
  const [json] = listed.keys();
  if (json === undefined) {
    return { json: 'model.json', read: async (name) => platform.readArtifact(`${artifact}/${name}`) };
  }
  return {
    json,
    read: async (name) => {
      const file = listed.get(name);
      if (file !== undefined) return platform.readArtifact(file);
      throw new JobError(`${json} names the weight file '${name}', which it did not name before; analyze it again`);
    },
  };
}

/**
 * A variant's JSON file, of either format.
 * @param {ArtifactFiles} files
 * @returns {Promise<ModelJSON>}
 */
export async function readModelDocument(files) {
  const document = parseModelDocument(files.json, new TextDecoder().decode(await files.read(files.json)));
  return { ...document, weightsManifest: document.weightsManifest ?? [] };
}

/** @type {(json: string, text: string) => ModelJSON} */
function parseModelDocument(json, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new JobError(`${json} is not JSON (${/** @type {Error} */ (error).message}); convert the model again`);
  }
}

/**
 * The data from which tfjs loads a model; refuses shards of another length than in the JSON file.
 * @param {Tf} tf
 * @param {ModelJSON} document
 * @param {ArtifactFiles} files
 */
export function readModelArtifacts(tf, document, files) {
  return tf.io.getModelArtifactsForJSON(document, async (groups) => {
    const shards = [];
    for (const group of groups) shards.push(...await readShards(group, files));
    return [tf.io.getWeightSpecs(groups), shards];
  });
}

/** @type {(group: WeightGroup, files: ArtifactFiles) => Promise<ArrayBuffer[]>} */
async function readShards(group, files) {
  group.paths.forEach((path) => refuseClimbing(path, files.json));
  const shards = [];
  for (const path of group.paths) shards.push(await files.read(path));
  checkShardSize(group, shards.reduce((sum, shard) => sum + shard.byteLength, 0), files.json);
  return shards.map((shard) => shard.buffer.slice(shard.byteOffset, shard.byteOffset + shard.byteLength));
}

/** @type {(path: string, json: string) => void} */
function refuseClimbing(path, json) {
  // Browsers treat %2e as a dot, and a backslash as a slash.
  const segments = path.replaceAll(/%2e/gi, '.').split(/[\\/]|%2f|%5c/i);
  if (segments[0] !== '' && !segments[0].includes(':') && !segments.includes('..')) return;
  throw new JobError(`${json} names the weight file '${path}', which lies outside the variant's folder; nothing `
    + 'outside is read, so convert the model again');
}

/** @type {(group: WeightGroup, actual: number, json: string) => void} */
function checkShardSize({ paths, weights }, actual, json) {
  // The length of strings is in the shard.
  if (weights.some(({ dtype }) => dtype === 'string')) return;
  const expected = weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
  if (actual === expected) return;
  const files = paths.map((path) => `'${path}'`).join(', ');
  const verb = paths.length > 1 ? 'hold' : 'holds';
  throw new JobError(`${files} ${verb} ${actual} bytes, and ${json} describes ${expected}; a copy was cut short `
    + 'or mixed with another, so convert the model again');
}

const STORED_BYTES = Object.freeze(/** @type {Record<string, number>} */ ({
  float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2, complex64: 8,
}));

/** @type {(weight: WeightsManifestEntry) => number} */
function weightBytes({ shape, dtype, quantization }) {
  return shape.reduce((product, size) => product * size, STORED_BYTES[quantization?.dtype ?? dtype]);
}

/**
 * tfjs' name of a backend, if it is not the second half of the runtime's name.
 * @type {Record<string, string>}
 */
const TFJS_NAMES = Object.freeze({ native: 'tensorflow' });

/**
 * @param {Tf} tf
 * @param {string} backend
 */
export async function chooseBackend(tf, backend) {
  const name = TFJS_NAMES[backend] ?? backend;
  if (tf.findBackendFactory(name) && await tf.setBackend(name)) return;
  throw new JobError(`tfjs could not start its backend '${backend}'; 'quantlab doctor' tells which run here`);
}

/**
 * Versions and flags that outputs depend on.
 * @param {Tf} tf
 * @param {string} backend
 * @returns {Promise<Record<string, string>>}
 */
export async function environmentOf(tf, backend) {
  const versions = { tfjs: tf.version_core, backend };
  if (backend === 'native') return { ...versions, kernels: 'TensorFlow, by tfjs-node' };
  if (backend !== 'wasm') return versions;
  return { ...versions, wasm_simd: await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT') ? 'yes' : 'no' };
}
