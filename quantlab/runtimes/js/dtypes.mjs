/**
 * Converts between the bytes of a `.npy` file and the few dtypes in which the libraries compute.
 *
 * Inputs are widened like weights in tfjs: small integers become int32, half floats become float32. Outputs are
 * converted to the file's dtype only if no value changes, and integers never pass through a float. Only taps, which are
 * read for comparison, become float32.
 */

import { JobError } from './run.mjs';

/** @typedef {import('./run.mjs').TensorFile} TensorFile */
/** @typedef {Float32Array | Int32Array | Uint8Array} Values */
/** @typedef {{ values: Values, dtype: 'float32' | 'int32' | 'bool' }} Feed */

const ARRAYS = Object.freeze({
  bool: Uint8Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float32: Float32Array, float64: Float64Array,
  // Before Node.js 24 there is no array of half floats, so their bits are stored.
  float16: Uint16Array,
});

/** @typedef {keyof typeof ARRAYS} DType */

/**
 * Whether tensors of a dtype can be read and written here.
 * @param {string} name
 * @returns {name is DType}
 */
export function isDType(name) {
  return Object.hasOwn(ARRAYS, name);
}

/**
 * View a buffer as an array of elements.
 * @template {DType} D
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {D} dtype
 * @returns {InstanceType<typeof ARRAYS[D]>}
 */
export function viewOf(bytes, dtype) {
  const Elements = ARRAYS[dtype];
  const view = new Elements(bytes.buffer, bytes.byteOffset, bytes.byteLength / Elements.BYTES_PER_ELEMENT);
  return /** @type {InstanceType<typeof ARRAYS[D]>} */ (view);
}

/**
 * Elements of an output's bytes as numbers; half floats are converted.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} dtype
 * @returns {ArrayLike<number> | ArrayLike<bigint>}
 */
export function elementsOf(bytes, dtype) {
  const view = viewOf(bytes, /** @type {DType} */ (dtype));
  return dtype === 'float16' ? Float32Array.from(/** @type {Uint16Array} */ (view), halfToNumber) : view;
}

/** @type {Record<string, (bytes: Uint8Array<ArrayBuffer>, input: TensorFile) => Feed>} */
const FEEDS = Object.freeze({
  bool: (bytes) => ({ values: bytes, dtype: 'bool' }),
  int8: (bytes) => ({ values: Int32Array.from(viewOf(bytes, 'int8')), dtype: 'int32' }),
  uint8: (bytes) => ({ values: Int32Array.from(bytes), dtype: 'int32' }),
  int16: (bytes) => ({ values: Int32Array.from(viewOf(bytes, 'int16')), dtype: 'int32' }),
  uint16: (bytes) => ({ values: Int32Array.from(viewOf(bytes, 'uint16')), dtype: 'int32' }),
  int32: (bytes) => ({ values: viewOf(bytes, 'int32'), dtype: 'int32' }),
  uint32: (bytes, input) => ({ values: toInt32(viewOf(bytes, 'uint32'), input), dtype: 'int32' }),
  int64: (bytes, input) => ({ values: toInt32(viewOf(bytes, 'int64'), input), dtype: 'int32' }),
  uint64: (bytes, input) => ({ values: toInt32(viewOf(bytes, 'uint64'), input), dtype: 'int32' }),
  float16: (bytes) => ({ values: Float32Array.from(viewOf(bytes, 'float16'), halfToNumber), dtype: 'float32' }),
  float32: (bytes) => ({ values: viewOf(bytes, 'float32'), dtype: 'float32' }),
  float64: (bytes, input) => ({ values: toFloat32(viewOf(bytes, 'float64'), input), dtype: 'float32' }),
});

/**
 * Convert an input's bytes to a dtype in which tfjs computes: float32, int32 or bool.
 *
 * The values may be a view of `bytes`, valid until the next batch is read.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {TensorFile} input
 * @returns {Feed}
 * @throws {JobError} if an integer does not fit into int32, or a float64 into float32
 */
export function feedOf(bytes, input) {
  return FEEDS[input.dtype](bytes, input);
}

/** @type {(values: Uint32Array | BigInt64Array | BigUint64Array, input: TensorFile) => Int32Array} */
function toInt32(values, input) {
  return Int32Array.from(/** @type {Iterable<number | bigint>} */ (values), (value) => {
    if (value >= -(2 ** 31) && value < 2 ** 31) return Number(value);
    throw new JobError(`the input '${input.name}' holds ${value}, and tfjs computes ${input.dtype} in int32, which `
      + 'ends at 2147483647; leave such samples out, or run the model in python only');
  });
}

/** @type {(values: Float64Array, input: TensorFile) => Float32Array} */
function toFloat32(values, input) {
  return Float32Array.from(values, (value) => {
    const rounded = Math.fround(value);
    if (Number.isFinite(rounded) || !Number.isFinite(value)) return rounded;
    throw new JobError(`the input '${input.name}' holds ${value}, which float32 cannot hold, and tfjs computes `
      + 'float64 in float32; scale the samples down, or run the model in python only');
  });
}

/**
 * Convert the 16 bits of a half float to a number.
 * @param {number} bits
 */
function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

/** Dtypes of one family can be converted into each other; each value is checked. */
const FAMILIES = Object.freeze(/** @type {Record<string, string>} */ ({
  bool: 'bool', float16: 'float', float32: 'float', float64: 'float', int8: 'integer', uint8: 'integer',
  int16: 'integer', uint16: 'integer', int32: 'integer', uint32: 'integer', int64: 'integer', uint64: 'integer',
}));

/**
 * Elements of an output in the dtype in which it was computed; a half float as its 16 bits.
 * @typedef {(ArrayLike<number> & Iterable<number>) | (ArrayLike<bigint> & Iterable<bigint>)} Produced
 */

/**
 * Convert an output's values to the bytes of its file, without changing any value.
 * @param {Produced} values
 * @param {string} produced the dtype they were computed in
 * @param {TensorFile} output
 * @returns {Uint8Array}
 * @throws {JobError} if the file's dtype is of another family, or too narrow for a value
 */
export function bytesOf(values, produced, output) {
  const refused = output.dtype === 'float16' || !FAMILIES[produced] || FAMILIES[produced] !== FAMILIES[output.dtype];
  if (produced !== output.dtype && refused) {
    throw new JobError(`the output '${output.name}' is ${produced}, and the reference's is ${output.dtype}, into which `
      + 'it cannot be converted without loss; run this variant in python only');
  }
  const array = produced === output.dtype
    ? viewOrCopy(values, output.dtype)
    : convert(numbersOf(values, produced), output);
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/**
 * Convert values to float32 for comparisons. Values that float32 cannot hold, such as large integers, are rounded and
 * counted.
 * @param {Produced} values
 * @param {string} produced the dtype they were computed in
 * @returns {{ values: Float32Array, inexact: number }}
 */
export function floatsOf(values, produced) {
  const numbers = numbersOf(values, produced);
  const floats = numbers instanceof Float32Array
    ? numbers
    : Float32Array.from(/** @type {Iterable<number>} */ (numbers), Number);
  if (produced === 'float32' || produced === 'float16') return { values: floats, inexact: 0 };
  let inexact = 0;
  // With !=, because a BigInt equals the number with the same value.
  for (let i = 0; i < floats.length; i += 1) inexact += Number(floats[i] != numbers[i] && numbers[i] === numbers[i]);
  return { values: floats, inexact };
}

/**
 * Convert half floats to numbers; other values are returned unchanged.
 * @type {(values: Produced, produced: string) => Produced}
 */
function numbersOf(values, produced) {
  if (produced !== 'float16') return values;
  return Float32Array.from(/** @type {Iterable<number>} */ (values), halfToNumber);
}

/** @type {(values: Produced, dtype: string) => ArrayBufferView} */
function viewOrCopy(values, dtype) {
  const Elements = ARRAYS[/** @type {'float32' | 'int32' | 'bool'} */ (dtype)];
  // The data of a tensor from tfjs' cpu kernels may be a plain array, or an array of another type.
  return values instanceof Elements ? values : Elements.from(/** @type {Iterable<number>} */ (values));
}

/** @type {(values: Produced, output: TensorFile) => ArrayBufferView} */
function convert(values, output) {
  const array = arrayOf(/** @type {Iterable<number>} */ (values), output.dtype);
  checkKept(values, array, output);
  return array;
}

/** @type {(values: Iterable<number | bigint>, dtype: string) => ArrayBufferView & ArrayLike<number | bigint>} */
function arrayOf(values, dtype) {
  if (dtype === 'int64') return BigInt64Array.from(values, BigInt);
  if (dtype === 'uint64') return BigUint64Array.from(values, BigInt);
  return ARRAYS[/** @type {'int8'} */ (dtype)].from(values, Number);
}

/** @type {(values: Produced, kept: ArrayLike<number | bigint>, output: TensorFile) => void} */
function checkKept(values, kept, output) {
  for (let i = 0; i < values.length; i += 1) {
    // With !=, because a BigInt equals the number with the same value. NaN equals nothing, and stays NaN.
    if (kept[i] != values[i] && values[i] === values[i]) {
      throw new JobError(`the output '${output.name}' holds ${values[i]}, which ${output.dtype}, the reference's `
        + 'dtype, cannot hold; run this variant in python only');
    }
  }
}
