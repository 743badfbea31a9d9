/**
 * Weights in fewer bits, with one scale per tensor: the functions of the official converter (tensorflowjs 4.22,
 * `quantization.py` and `write_weights.py`), in float64 as NumPy 2 computes them there.
 */

import { narrowFloats, roundHalfEven } from './halves.mjs';
import { Pauses } from './pauses.mjs';
import { DropError } from './types.mjs';
import { Shards, bytesOf, countOf, decodedBytes, floatValues } from './weights.mjs';

/** @typedef {import('./json.mjs').JsonObject} JsonObject */
/** @typedef {import('./weights.mjs').StoredWeight} StoredWeight */
/** @typedef {'float32' | 'float16' | 'uint8' | 'uint16'} Scheme */

const ITEM_BYTES = Object.freeze({ float32: 4, float16: 2, uint16: 2, uint8: 1 });
const HIGHEST = Object.freeze({ uint8: 255, uint16: 65535 });

/**
 * Store a group of weights as a scheme says: floats in fewer bits, everything else as it is.
 * @param {StoredWeight[]} weights
 * @param {Scheme} scheme
 * @param {number} group its number, from 1
 * @returns {Promise<{ manifest: JsonObject, files: [string, Uint8Array][] }>}
 * @throws {DropError} if a weight cannot be stored so
 */
export async function storeGroup(weights, scheme, group) {
  const total = weights.reduce((sum, weight) => sum + storedSize(weight, scheme), 0);
  const shards = new Shards(group, total);
  const pauses = new Pauses();
  const entries = [];
  for (const weight of weights) {
    const { bytes, quantization } = storeWeight(weight, scheme);
    shards.add(bytes);
    /** @type {[string, any][]} */
    const members = [['name', weight.name], ['shape', weight.shape.map(BigInt)], ['dtype', plainDtype(weight.dtype)]];
    if (quantization) members.push(['quantization', new Map(Object.entries(quantization))]);
    entries.push(new Map(members));
    await pauses.worked(weight.bytes.byteLength);
  }
  return { manifest: new Map(Object.entries({ paths: shards.paths, weights: entries })), files: shards.files() };
}

/** Half floats that are no quantized float32 become float32. @type {(dtype: string) => string} */
const plainDtype = (dtype) => (dtype === 'float16' ? 'float32' : dtype);

/** @type {(weight: StoredWeight, scheme: Scheme) => number} */
function storedSize(weight, scheme) {
  if (plainDtype(weight.dtype) === 'float32') return ITEM_BYTES[scheme] * countOf(weight.shape);
  return weight.dtype === 'int32' ? 4 * countOf(weight.shape) : weight.bytes.byteLength;
}

/**
 * @param {StoredWeight} weight
 * @param {Scheme} scheme
 * @returns {{ bytes: Uint8Array, quantization: object | null }}
 */
function storeWeight(weight, scheme) {
  const values = floatValues(weight);
  if (!values) return { bytes: decodedBytes(weight), quantization: null };
  if (scheme === 'float32') return { bytes: bytesOf(values), quantization: null };
  if (scheme === 'float16') {
    return { bytes: bytesOf(narrowFloats(values)), quantization: { dtype: scheme, original_dtype: 'float32' } };
  }
  refuseUnquantizable(weight.name, values, scheme);
  const { codes, min, scale } = quantize(values, scheme);
  return { bytes: bytesOf(codes), quantization: { dtype: scheme, min, scale, original_dtype: 'float32' } };
}

/**
 * Refuse weights for which no scale exists.
 * @param {string} name
 * @param {Float32Array} values
 * @param {string} scheme
 * @throws {DropError} if they are empty, or hold NaN or infinity
 */
export function refuseUnquantizable(name, values, scheme) {
  if (values.length === 0) {
    throw new DropError(`The weight '${name}' has no elements, which ${scheme} cannot store; remove its layer.`);
  }
  let spoiled = 0;
  for (let at = 0; at < values.length; at += 1) spoiled += Number(!Number.isFinite(values[at]));
  if (spoiled) {
    const counted = spoiled === 1 ? '1 value that is' : `${spoiled.toLocaleString('en-US')} values that are`;
    throw new DropError(`The weight '${name}' holds ${counted} NaN or infinite, and ${scheme} needs a finite range; `
      + 'train again or repair the model.');
  }
}

/**
 * Codes on a line over the range of the values, with one code exactly on zero if the range includes zero.
 * @param {Float32Array} values at least one, all finite
 * @param {'uint8' | 'uint16'} dtype
 * @returns {{ codes: Uint8Array | Uint16Array, min: number, scale: number }} value ≈ code · scale + min
 */
export function quantize(values, dtype) {
  let lowest = values[0];
  let highest = values[0];
  for (let at = 1; at < values.length; at += 1) {
    // The last of equal values: of zeros with both signs, which NumPy's order decides, it mostly takes this one, too.
    if (values[at] <= lowest) lowest = values[at];
    if (values[at] >= highest) highest = values[at];
  }
  const codes = dtype === 'uint8' ? new Uint8Array(values.length) : new Uint16Array(values.length);
  if (lowest === highest) return { codes, min: lowest, scale: 1 };
  const range = nudged(lowest, highest, HIGHEST[dtype]);
  for (let at = 0; at < values.length; at += 1) {
    const clipped = Math.min(Math.max(values[at], range.min), range.max);
    codes[at] = roundHalfEven((clipped - range.min) / range.scale);
  }
  return { codes, min: range.min, scale: range.scale };
}

/** @type {(lowest: number, highest: number, most: number) => { scale: number, min: number, max: number }} */
function nudged(lowest, highest, most) {
  const scale = (highest - lowest) / most;
  if (lowest > 0 || highest < 0) return { scale, min: lowest, max: highest };
  const min = -roundHalfEven((0 - lowest) / scale) * scale;
  return { scale, min, max: most * scale + min };
}
