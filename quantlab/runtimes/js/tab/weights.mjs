/**
 * The weights of a tfjs model: read from its shards, decoded, and written as quantlab's Python code writes them.
 *
 * The format is defined by tfjs-core 4.22, `io/types.ts` (WeightsManifestConfig) and `io/io_utils.ts` (decodeWeights).
 */

import { roundHalfEven, widenHalves } from './halves.mjs';
import { readJson, writeJson } from './json.mjs';
import { DropError } from './types.mjs';

/** @typedef {import('./json.mjs').JsonObject} JsonObject */

/**
 * A weight as it is stored. Its bytes are a view of a shard, if they are in one; each string has its length before it.
 * @typedef {object} StoredWeight
 * @property {JsonObject} entry of the manifest
 * @property {string} name
 * @property {number[]} shape
 * @property {string} dtype of the values that it stands for
 * @property {string} stored dtype of the bytes
 * @property {Uint8Array} bytes
 */

/** @typedef {{ json: string, document: JsonObject, groups: StoredWeight[][] }} TfjsModel */
/** @typedef {{ entry: JsonObject, bytes: Uint8Array }} WrittenWeight */

/** As in the files of the official converter. */
const SHARD_BYTES = 4 << 20;
const LENGTH_BYTES = 4;

const ITEM_BYTES = Object.freeze(new Map(Object.entries({
  float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2, complex64: 8,
})));
const CODED = new Set(['uint8', 'uint16', 'float16']);

/**
 * The JSON file of a tfjs model.
 * @param {Uint8Array} bytes
 * @param {string} path for messages
 * @returns {JsonObject}
 * @throws {DropError} if it is not one
 */
export function readDocument(bytes, path) {
  const document = readJson(bytes, path);
  if (!(document instanceof Map) || !Array.isArray(document.get('weightsManifest'))) {
    throw new DropError(`'${path}' has no weightsManifest, so it is not a tfjs model; convert the model again.`);
  }
  const topology = document.get('modelTopology');
  if (topology !== undefined && topology !== null && !(topology instanceof Map)) {
    throw new DropError(`The modelTopology of '${path}' is not a JSON object; convert the model again.`);
  }
  return document;
}

/**
 * The paths of the shards that a document lists, in order.
 * @param {JsonObject} document
 * @param {string} path for messages
 * @returns {string[][]} those of each group
 * @throws {DropError} if a path leads out of the folder, or is listed twice
 */
export function shardPaths(document, path) {
  /** @type {Set<string>} */
  const seen = new Set();
  return document.get('weightsManifest').map((/** @type {any} */ group) => {
    const paths = group instanceof Map && group.get('paths');
    if (!Array.isArray(paths) || !Array.isArray(group.get('weights'))
      || !paths.every((name) => typeof name === 'string')) {
      throw new DropError(`'${path}' has a weightsManifest that does not list paths and weights; convert the model `
        + 'again.');
    }
    for (const name of paths) {
      refuseClimbing(name, path);
      if (seen.has(name)) throw new DropError(`'${path}' lists the shard '${name}' twice; convert the model again.`);
      seen.add(name);
    }
    return paths;
  });
}

/** @type {(name: string, path: string) => void} */
function refuseClimbing(name, path) {
  const segments = name.replaceAll(/%2e/gi, '.').split(/[\\/]|%2f|%5c/i);
  if (segments[0] !== '' && !segments[0].includes(':') && !segments.includes('..')) return;
  throw new DropError(`'${path}' names the shard '${name}', which is outside of its folder; do not trust this model.`);
}

/**
 * @param {JsonObject} document
 * @param {string} json name of the JSON file, for messages
 * @param {Map<string, Uint8Array>} files shards by path
 * @returns {TfjsModel}
 * @throws {DropError} if a shard is missing or of another length than the manifest states, or a weight is not described
 */
export function readTfjs(document, json, files) {
  const paths = shardPaths(document, json);
  const names = new Set();
  const groups = document.get('weightsManifest').map((/** @type {JsonObject} */ group, /** @type {number} */ place) => {
    const shards = paths[place].map((path) => shardOf(files, path, json));
    const weights = readGroup(group.get('weights'), shards, json);
    for (const { name } of weights) {
      if (names.has(name)) throw new DropError(`'${json}' has two weights '${name}'; convert the model again.`);
      names.add(name);
    }
    return weights;
  });
  return { json, document, groups };
}

/** @type {(files: Map<string, Uint8Array>, path: string, json: string) => Uint8Array} */
function shardOf(files, path, json) {
  const shard = files.get(path);
  if (shard) return shard;
  throw new DropError(`The shard '${path}' that '${json}' lists is missing; drop the whole folder, with all shards.`);
}

/** @type {(entries: unknown[], shards: Uint8Array[], json: string) => StoredWeight[]} */
function readGroup(entries, shards, json) {
  const total = shards.reduce((sum, shard) => sum + shard.byteLength, 0);
  const group = { shards, total, json };
  let offset = 0;
  const weights = entries.map((entry) => {
    const described = describe(entry, json);
    const bytes = described.stored === 'string'
      ? stringBytes(described, group, offset)
      : sliceOf(described.name, group, offset, countOf(described.shape) * (ITEM_BYTES.get(described.stored) ?? 0));
    offset += bytes.byteLength;
    return { ...described, bytes };
  });
  if (offset !== total) {
    throw new DropError(`The shards of '${json}' have ${words(total)} bytes, but the manifest describes `
      + `${words(offset)}; they belong to another JSON file, so copy or convert the model again.`);
  }
  return weights;
}

/** @typedef {{ shards: Uint8Array[], total: number, json: string }} Group */

/** @type {(entry: any, json: string) => Omit<StoredWeight, 'bytes'>} */
function describe(entry, json) {
  const [name, shape, dtype] = entry instanceof Map ? ['name', 'shape', 'dtype'].map((key) => entry.get(key)) : [];
  const sizes = Array.isArray(shape) ? shape.map(Number) : [];
  const isShape = Array.isArray(shape)
    && shape.every((size) => typeof size === 'bigint') && sizes.every((size) => size >= 0 && size < 2 ** 31);
  if (typeof name !== 'string' || typeof dtype !== 'string' || !isShape) {
    throw new DropError(`'${json}' has a weight without a name, shape or dtype; convert the model again.`);
  }
  const stored = storedDtype(entry, name, dtype, json);
  return { entry, name, shape: sizes, dtype, stored };
}

/** @type {(entry: JsonObject, name: string, dtype: string, json: string) => string} */
function storedDtype(entry, name, dtype, json) {
  const quantization = entry.get('quantization');
  const refuse = (/** @type {string} */ what) => new DropError(`The weight '${name}' of '${json}' ${what}, which `
    + 'TensorFlow.js does not read; convert the model again.');
  if (dtype === 'string') return dtype;
  if (!ITEM_BYTES.has(dtype)) throw refuse(`has the dtype ${dtype}`);
  if (quantization === undefined || quantization === null) return dtype;
  const stored = quantization instanceof Map ? quantization.get('dtype') : undefined;
  if (!CODED.has(stored)) throw refuse(`is quantized to ${String(stored)}`);
  const line = ['scale', 'min'].map((key) => quantization.get(key));
  const isLine = line.every((value) => ['number', 'bigint'].includes(typeof value) && Number.isFinite(Number(value)));
  if (stored !== 'float16' && !isLine) throw refuse('has no scale and min');
  return stored;
}

/** @type {(shape: number[]) => number} */
export function countOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** @type {(name: string, group: Group, begin: number, length: number) => Uint8Array} */
function sliceOf(name, { shards, total, json }, begin, length) {
  if (begin + length > total) {
    throw new DropError(`The shards of '${json}' have ${words(total)} bytes, but the weight '${name}' ends at byte `
      + `${words(begin + length)}; a shard is truncated, so copy or convert the model again.`);
  }
  let offset = begin;
  let place = 0;
  while (place < shards.length && offset >= shards[place].byteLength) offset -= shards[place++].byteLength;
  if (length === 0) return new Uint8Array(0);
  if (offset + length <= shards[place].byteLength) return shards[place].subarray(offset, offset + length);
  const joined = new Uint8Array(length);
  for (let filled = 0; filled < length; place += 1, offset = 0) {
    const part = shards[place].subarray(offset, offset + length - filled);
    joined.set(part, filled);
    filled += part.byteLength;
  }
  return joined;
}

/** @type {(weight: { name: string, shape: number[] }, group: Group, begin: number) => Uint8Array} */
function stringBytes({ name, shape }, group, begin) {
  let end = begin;
  for (let left = countOf(shape); left > 0; left -= 1) {
    const length = sliceOf(name, group, end, LENGTH_BYTES);
    end += LENGTH_BYTES + new DataView(length.buffer, length.byteOffset).getUint32(0, true);
    if (end > group.total) break; // and the slice below is refused
  }
  return sliceOf(name, group, begin, end - begin);
}

/** @type {(count: number) => string} */
const words = (count) => count.toLocaleString('en-US');

/**
 * Bytes of the weights by stored dtype.
 * @param {StoredWeight[][]} groups
 * @returns {Record<string, number>}
 */
export function storedBytes(groups) {
  /** @type {Map<string, number>} */
  const bytes = new Map();
  for (const weight of groups.flat()) {
    bytes.set(weight.stored, (bytes.get(weight.stored) ?? 0) + weight.bytes.byteLength);
  }
  return Object.fromEntries(bytes);
}

/** A view of bytes as elements, or of a copy if they are not aligned. @type {(bytes: Uint8Array) => Float32Array} */
function floatsOf(bytes) {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** @type {(bytes: Uint8Array) => Uint16Array} */
function wordsOf(bytes) {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}

/** @type {(values: ArrayBufferView) => Uint8Array} */
export function bytesOf(values) {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * The values of a float weight, as tfjs has them after loading; null for a weight of integers, booleans or strings.
 *
 * Affine codes are decoded in float64 and rounded once to float32.
 * @param {StoredWeight} weight
 * @returns {Float32Array | null} may be a view of the shard
 */
export function floatValues(weight) {
  if (weight.dtype !== 'float32' && weight.dtype !== 'float16') return null;
  if (weight.stored === 'float32') return floatsOf(weight.bytes);
  if (weight.stored === 'float16') return widenHalves(wordsOf(weight.bytes));
  const { scale, min } = affineOf(weight);
  const codes = codesOf(weight);
  const values = new Float32Array(codes.length);
  for (let at = 0; at < codes.length; at += 1) values[at] = codes[at] * scale + min;
  return values;
}

/** @type {(weight: StoredWeight) => { scale: number, min: number }} */
function affineOf({ entry }) {
  const quantization = entry.get('quantization');
  return { scale: Number(quantization.get('scale')), min: Number(quantization.get('min')) };
}

/** @type {(weight: StoredWeight) => Uint8Array | Uint16Array} */
function codesOf({ stored, bytes }) {
  return stored === 'uint8' ? bytes : wordsOf(bytes);
}

/**
 * The bytes of a weight's values after decoding; those of a weight that is not coded are as they were.
 * @param {StoredWeight} weight
 * @returns {Uint8Array}
 */
export function decodedBytes(weight) {
  if (!isCoded(weight)) return weight.bytes;
  const floats = floatValues(weight);
  if (floats) return bytesOf(floats);
  const { scale, min } = affineOf(weight);
  return bytesOf(Int32Array.from(codesOf(weight), (code) => roundHalfEven(code * scale + min)));
}

/** @type {(weight: StoredWeight) => boolean} */
export function isCoded({ entry, stored }) {
  return stored !== 'string' && Boolean(entry.get('quantization'));
}

/** Bytes that become shards of the official converter's size; each is allocated when its first byte comes. */
export class Shards {
  /**
   * @param {number} group from 1
   * @param {number} total bytes that will be added
   */
  constructor(group, total) {
    this.total = total;
    this.paths = Array.from(
      { length: Math.ceil(total / SHARD_BYTES) },
      (_, place) => `group${group}-shard${place + 1}of${Math.ceil(total / SHARD_BYTES)}.bin`,
    );
    /** @type {Uint8Array[]} */
    this.shards = [];
    this.filled = 0;
  }

  /** @param {Uint8Array} bytes */
  add(bytes) {
    for (let at = 0; at < bytes.byteLength;) {
      const within = this.filled % SHARD_BYTES;
      if (within === 0) this.shards.push(new Uint8Array(Math.min(SHARD_BYTES, this.total - this.filled)));
      const part = bytes.subarray(at, at + SHARD_BYTES - within);
      this.shards[this.shards.length - 1].set(part, within);
      at += part.byteLength;
      this.filled += part.byteLength;
    }
  }

  /** @returns {[string, Uint8Array][]} */
  files() {
    return this.paths.map((path, place) => [path, this.shards[place]]);
  }
}

/**
 * @param {JsonObject} document
 * @returns {Uint8Array}
 * @throws {DropError} if a number in it is too large for a float
 */
export function documentBytes(document) {
  try {
    return new TextEncoder().encode(writeJson(document));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DropError(`The JSON file holds a number that is not finite (${error.message}); convert the model again.`);
  }
}

/**
 * A copy of a model with the values of its weights in float32, as `quantlab.formats.tfjs_float.write_float` writes it.
 * @param {TfjsModel} model
 * @returns {Map<string, Uint8Array>}
 */
export function floatCopy({ document, groups }) {
  /** @type {[string, Uint8Array][]} */
  const files = [];
  const manifest = groups.map((weights, place) => {
    const shards = new Shards(place + 1, weights.reduce((sum, weight) => sum + decodedSize(weight), 0));
    for (const weight of weights) shards.add(decodedBytes(weight));
    const written = shards.files();
    files.push(...(written.length ? written : [emptyShard(place + 1)]));
    return new Map(Object.entries({
      paths: written.length ? shards.paths : [emptyShard(place + 1)[0]],
      weights: weights.map(({ entry }) => plainEntry(entry)),
    }));
  });
  const json = documentBytes(new Map([...document, ['weightsManifest', manifest]]));
  return new Map([['model.json', json], ...files]);
}

/** @type {(group: number) => [string, Uint8Array]} */
const emptyShard = (group) => [`group${group}-shard1of1.bin`, new Uint8Array(0)];

/** The entry of the manifest for values that are not coded. @type {(entry: JsonObject) => JsonObject} */
export function plainEntry(entry) {
  return new Map([...entry].filter(([key]) => key !== 'quantization'));
}

/** @type {(weight: StoredWeight) => number} */
function decodedSize(weight) {
  return isCoded(weight) ? 4 * countOf(weight.shape) : weight.bytes.byteLength;
}
