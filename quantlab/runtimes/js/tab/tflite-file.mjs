/** Reads what a `.tflite` file tells of itself: a flatbuffer of tensorflow/lite/schema/schema.fbs, version 3. */

import { specOf } from './specs.mjs';

/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */
/** @typedef {import('../run.mjs').Codes} Codes */

const TYPES = Object.freeze([
  'float32', 'float16', 'int32', 'uint8', 'int64', 'string', 'bool', 'int16', 'complex64', 'int8', 'float64',
  'complex128', 'uint64', 'resource', 'variant', 'uint32', 'uint16', 'int4', 'bfloat16', 'int2',
]);

const CODE_RANGES = Object.freeze(new Map(/** @type {[string, [number, number]][]} */ ([
  ['int8', [-128, 127]], ['uint8', [0, 255]], ['int16', [-32768, 32767]],
])));

/** A table of a flatbuffer; fields are numbered in the order of the schema. A place outside is a RangeError. */
class Table {
  /**
   * @param {DataView} view
   * @param {number} at
   */
  constructor(view, at) {
    this.view = view;
    this.at = at;
    this.fields = at - view.getInt32(at, true);
  }

  /** The place of a field; 0 if it is absent. @type {(field: number) => number} */
  place(field) {
    const entry = 4 + 2 * field;
    const offset = entry < this.view.getUint16(this.fields, true) ? this.view.getUint16(this.fields + entry, true) : 0;
    return offset && this.at + offset;
  }

  /** @type {(place: number) => number} */
  followed(place) {
    return place + this.view.getUint32(place, true);
  }

  /** Places of the elements of a vector. @type {(field: number, bytes: number) => number[]} */
  vector(field, bytes) {
    const place = this.place(field);
    if (!place) return [];
    const begin = this.followed(place);
    const count = this.view.getUint32(begin, true);
    if (begin + 4 + bytes * count > this.view.byteLength) throw new RangeError('a vector ends outside of the file');
    return Array.from({ length: count }, (_, index) => begin + 4 + bytes * index);
  }

  /** @type {(field: number) => Table[]} */
  tables(field) {
    return this.vector(field, 4).map((place) => new Table(this.view, this.followed(place)));
  }

  /** @type {(field: number) => number[]} */
  integers(field) {
    return this.vector(field, 4).map((place) => this.view.getInt32(place, true));
  }

  /** @type {(field: number) => string} */
  text(field) {
    const place = this.place(field);
    if (!place) return '';
    const begin = this.followed(place);
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + begin + 4, this.view.getUint32(begin, true));
    return new TextDecoder().decode(bytes);
  }

  /** @type {(field: number) => number} */
  unsigned(field) {
    const place = this.place(field);
    return place && this.view.getUint32(place, true);
  }

  /** @type {(field: number) => number} */
  long(field) {
    const place = this.place(field);
    return place && Number(this.view.getBigUint64(place, true));
  }

  /** @type {(field: number) => number} */
  byte(field) {
    const place = this.place(field);
    return place && this.view.getUint8(place);
  }

  /** Bytes of a vector of bytes. @type {(field: number) => number} */
  length(field) {
    const place = this.place(field);
    if (!place) return 0;
    const begin = this.followed(place);
    const length = this.view.getUint32(begin, true);
    if (begin + 4 + length > this.view.byteLength) throw new RangeError('a vector ends outside of the file');
    return length;
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {boolean} whether a file begins like TFLite
 */
export function looksLikeTflite(bytes) {
  return new TextDecoder('latin1').decode(bytes.subarray(4, 8)) === 'TFL3';
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ inputs: TensorSpec[], outputs: TensorSpec[], stored: Record<string, number> }}
 * @throws {Error} any, if the file is not complete
 */
export function describeTflite(bytes) {
  if (!looksLikeTflite(bytes)) throw new Error('it does not start like a TFLite file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const model = new Table(view, view.getUint32(0, true));
  const graphs = model.tables(2);
  const [graph] = graphs;
  const tensors = graph.tables(0);
  const [inputs, outputs] = [graph.integers(1), graph.integers(2)];
  if (!inputs.length || !outputs.length) throw new Error('it has no inputs or no outputs');
  const [signature] = model.tables(7);
  const ports = (/** @type {number[]} */ indices, /** @type {number} */ field) => {
    const names = new Map(signature?.tables(field).map((entry) => [entry.unsigned(1), entry.text(0)]));
    return indices.map((index, position) => portOf(tensors[index], position, names.get(index)));
  };
  return { inputs: ports(inputs, 0), outputs: ports(outputs, 1), stored: storedBytes(model.tables(4), graphs, view) };
}

/** @type {(tensor: Table) => string} */
const dtypeOf = (tensor) => TYPES[tensor.byte(1)] ?? 'unknown';

/** @type {(tensor: Table, position: number, named: string | undefined) => TensorSpec} */
function portOf(tensor, position, named) {
  const signature = tensor.integers(7);
  const shape = (tensor.place(7) ? signature : tensor.integers(0)).map((size) => (size < 0 ? null : size));
  const codes = codesOf(tensor);
  const own = tensor.text(3);
  return specOf(named ?? own, shape, { dtype: codes ? 'float32' : dtypeOf(tensor), tensor: own, position, codes });
}

/** The quantization of a tensor with a single scale. @type {(tensor: Table) => Codes | null} */
function codesOf(tensor) {
  const range = CODE_RANGES.get(dtypeOf(tensor));
  const place = tensor.place(4);
  if (!range || !place) return null;
  const quantization = new Table(tensor.view, tensor.followed(place));
  const scales = quantization.vector(2, 4).map((at) => tensor.view.getFloat32(at, true));
  const zeros = quantization.vector(3, 8).map((at) => Number(tensor.view.getBigInt64(at, true)));
  const [scale] = scales;
  if (scales.length !== 1 || !(scale > 0 && scale < Infinity)) return null;
  return { scale, zero_point: zeros[0] ?? 0, lowest: range[0], highest: range[1], offset: 0 };
}

/** @type {(buffers: Table[], graphs: Table[], view: DataView) => Record<string, number>} */
function storedBytes(buffers, graphs, view) {
  /** @type {Map<string, number>} */
  const stored = new Map();
  const seen = new Set();
  for (const tensor of graphs.flatMap((graph) => graph.tables(0))) {
    const index = tensor.unsigned(2);
    const length = bufferLength(buffers[index], view);
    if (!length || seen.has(index)) continue;
    seen.add(index);
    stored.set(dtypeOf(tensor), (stored.get(dtypeOf(tensor)) ?? 0) + length);
  }
  return Object.fromEntries(stored);
}

/** @type {(buffer: Table, view: DataView) => number} */
function bufferLength(buffer, view) {
  const offset = buffer.long(1);
  if (offset <= 1) return buffer.length(0); // the schema reserves 1 for an offset that is not yet assigned
  const length = buffer.long(2);
  if (offset + length > view.byteLength) throw new RangeError('a buffer ends outside of the file');
  return length;
}
