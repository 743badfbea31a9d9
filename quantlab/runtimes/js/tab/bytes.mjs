/** Between tensors and the bytes of a job's files: C order, little endian, half floats as their 16 bits. */

import { rawBytes } from './arrays.mjs';
import { widenHalves } from './halves.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./types.mjs').TypedArray} TypedArray */

/** @type {Record<string, new (buffer: ArrayBufferLike, at: number, length: number) => TypedArray>} */
const ARRAYS = Object.freeze({
  bool: Uint8Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float32: Float32Array, float64: Float64Array,
});

/**
 * A copy of a tensor's bytes.
 * @param {Tensor} tensor
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function bytesOf(tensor) {
  return Uint8Array.from(rawBytes(tensor));
}

/**
 * A tensor of bytes, of which it is a view if they need not be widened.
 * @param {{ shape: number[], dtype: string, bytes: Uint8Array }} given
 * @returns {Tensor}
 */
export function tensorOf({ shape, dtype, bytes }) {
  const size = shape.reduce((product, one) => product * one, 1);
  if (dtype === 'float16') {
    return { shape, dtype, data: widenHalves(new Uint16Array(bytes.buffer, bytes.byteOffset, size)) };
  }
  return { shape, dtype, data: new ARRAYS[dtype](bytes.buffer, bytes.byteOffset, size) };
}
