/** NumPy's files: `.npy` of versions 1 to 3, and `.npz`. Objects are never unpickled. */

import { narrowFloats, widenHalves } from './halves.mjs';
import { DropError } from './types.mjs';
import { bytesOf, countOf } from './weights.mjs';
import { readZip, writeZip } from './zip.mjs';

export { writeZip };

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./types.mjs').TypedArray} TypedArray */

const MAGIC = Object.freeze([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]); // \x93NUMPY
/** Digits for which NumPy leaves space, so that an array can grow along its first axis. */
const GROWTH_DIGITS = 21;

/**
 * NumPy's code of a dtype without the byte order → its name, and what holds its elements.
 * @type {ReadonlyMap<string, [string, { new (buffer: ArrayBuffer): TypedArray, BYTES_PER_ELEMENT: number }]>}
 */
const CODES = new Map(Object.entries(/** @type {const} */ ({
  b1: ['bool', Uint8Array], i1: ['int8', Int8Array], u1: ['uint8', Uint8Array], i2: ['int16', Int16Array],
  u2: ['uint16', Uint16Array], i4: ['int32', Int32Array], u4: ['uint32', Uint32Array], i8: ['int64', BigInt64Array],
  u8: ['uint64', BigUint64Array], f2: ['float16', Uint16Array], f4: ['float32', Float32Array],
  f8: ['float64', Float64Array],
})));

const BY_NAME = new Map([...CODES].map(([code, [name]]) => [name, code]));

/** @type {(what: string) => DropError} */
const broken = (what) => new DropError(`It is not a complete .npy array (${what}); save it again with numpy.save.`);

/**
 * @param {Uint8Array} bytes
 * @returns {Tensor} in C order and in the byte order of this machine; half floats are widened to float32
 * @throws {DropError} if it is damaged, or holds no numbers
 */
export function readNpy(bytes) {
  const { code, order, isFortran, shape, begin } = readHeader(bytes);
  const found = CODES.get(code);
  if (!found) {
    throw new DropError(`It holds ${dtypeWords(code)}, and only numbers and booleans are read; save plain arrays with `
      + 'numpy.save.');
  }
  const [dtype, Elements] = found;
  const length = countOf(shape) * Elements.BYTES_PER_ELEMENT;
  if (begin + length > bytes.byteLength) {
    throw broken(`it has ${bytes.byteLength - begin} bytes of values, and its header describes ${length}`);
  }
  const data = bytes.slice(begin, begin + length);
  if (order === '>') swapBytes(data, Elements.BYTES_PER_ELEMENT);
  const values = new Elements(data.buffer);
  const ordered = isFortran && shape.length > 1 ? toCOrder(values, shape) : values;
  return { shape, dtype, data: dtype === 'float16' ? widenHalves(/** @type {Uint16Array} */ (ordered)) : ordered };
}

/** @type {(code: string) => string} */
function dtypeWords(code) {
  if (code === 'O') return 'Python objects, which are never unpickled';
  if (/^[US]/.test(code)) return 'texts';
  return code ? `values of NumPy's type ${code.slice(0, 20)}` : 'records';
}

/**
 * @type {(bytes: Uint8Array) => { code: string, order: string, isFortran: boolean, shape: number[], begin: number }}
 */
function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 12 || MAGIC.some((byte, at) => bytes[at] !== byte)) {
    throw broken('it does not begin like one');
  }
  const version = bytes[6];
  if (version < 1 || version > 3) {
    throw new DropError(`It is a .npy file of version ${version}, and only 1 to 3 are read; save it again with `
      + 'numpy.save.');
  }
  const [length, first] = version === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  if (first + length > bytes.byteLength) throw broken('its header is cut short');
  const header = new TextDecoder().decode(bytes.subarray(first, first + length));
  const shape = /'shape':\s*\(([\d\sL,]*)\)/.exec(header)?.[1];
  const isFortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  if (shape === undefined || isFortran === undefined) throw broken('its header cannot be read');
  const [, order = '', code = ''] = /'descr':\s*'([<>|=]?)(\w+)/.exec(header) ?? [];
  const sizes = shape.split(',').map((size) => size.trim().replace(/L$/, '')).filter((size) => size).map(Number);
  if (!sizes.every(Number.isSafeInteger)) throw broken('its header has a wrong shape');
  return { code, order, isFortran: isFortran === 'True', shape: sizes, begin: first + length };
}

/** @type {(data: Uint8Array, size: number) => void} */
function swapBytes(data, size) {
  for (let at = 0; at < data.byteLength; at += size) data.subarray(at, at + size).reverse();
}

/** @type {(values: TypedArray, shape: number[]) => TypedArray} */
function toCOrder(values, shape) {
  const ordered = values.slice();
  // The step of each axis in the file, whose first axis runs fastest.
  const steps = shape.map((_, axis) => countOf(shape.slice(0, axis)));
  const places = shape.map(() => 0);
  for (let at = 0, from = 0; at < values.length; at += 1) {
    ordered[at] = values[from];
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      places[axis] += 1;
      from += steps[axis];
      if (places[axis] < shape[axis]) break;
      from -= steps[axis] * shape[axis];
      places[axis] = 0;
    }
  }
  return ordered;
}

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<Map<string, Tensor>>} arrays by name
 * @throws {DropError} as `readNpy`, with the name of the array
 */
export async function readNpz(bytes) {
  const arrays = new Map();
  for await (const { name, bytes: member } of readZip(bytes)) {
    if (!name.endsWith('.npy')) continue;
    const array = name.slice(0, -'.npy'.length);
    try {
      arrays.set(array, readNpy(member));
    } catch (error) {
      if (error instanceof DropError) throw new DropError(`The array '${array}' is refused. ${error.message}`);
      throw error;
    }
  }
  return arrays;
}

/**
 * A `.npy` file of version 1, byte by byte as NumPy writes it.
 * @param {Tensor} tensor half floats as numbers; their dtype makes them half floats again
 * @returns {Uint8Array}
 * @throws {RangeError} for a dtype that NumPy does not have
 */
export function writeNpy({ shape, dtype, data }) {
  const code = BY_NAME.get(dtype);
  if (!code) throw new RangeError(`there is no dtype ${dtype}`);
  const order = code.endsWith('1') ? '|' : '<';
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const growing = header.length + (shape.length ? GROWTH_DIGITS - String(shape[0]).length : 0);
  const padded = `${header.padEnd((Math.floor((growing + 11) / 64) + 1) * 64 - 11)}\n`;
  const values = rawBytes({ dtype, data });
  const bytes = new Uint8Array(10 + padded.length + values.byteLength);
  bytes.set([...MAGIC, 1, 0, padded.length & 0xff, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  bytes.set(values, 10 + padded.length);
  return bytes;
}

/**
 * The bytes of a tensor's elements, little-endian, as files and hashes have them.
 * @param {Pick<Tensor, 'dtype' | 'data'>} tensor
 * @returns {Uint8Array} a view of the data if it has these bytes
 */
export function rawBytes({ dtype, data }) {
  if (dtype === 'float16') return bytesOf(narrowFloats(/** @type {Float32Array} */ (data)));
  return bytesOf(data);
}
