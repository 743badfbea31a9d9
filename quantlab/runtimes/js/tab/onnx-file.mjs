/** Reads what an `.onnx` file tells of itself: a protobuf of onnx.proto3. */

import { specOf } from './specs.mjs';

/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */

/**
 * A field of a message: its number, and a number or the bytes of a text or inner message.
 * @typedef {{ field: number, value: number, bytes: Uint8Array }} Field
 */

const NONE = new Uint8Array(0);

/** TensorProto.DataType → name, and bits of an element. */
const TYPES = Object.freeze(new Map(/** @type {[number, [string, number]][]} */ ([
  [1, ['float32', 32]], [2, ['uint8', 8]], [3, ['int8', 8]], [4, ['uint16', 16]], [5, ['int16', 16]],
  [6, ['int32', 32]],
  [7, ['int64', 64]], [8, ['string', 0]], [9, ['bool', 8]], [10, ['float16', 16]], [11, ['float64', 64]],
  [12, ['uint32', 32]], [13, ['uint64', 64]], [14, ['complex64', 64]], [15, ['complex128', 128]],
  [16, ['bfloat16', 16]],
  [17, ['float8e4m3fn', 8]], [18, ['float8e4m3fnuz', 8]], [19, ['float8e5m2', 8]], [20, ['float8e5m2fnuz', 8]],
  [21, ['uint4', 4]], [22, ['int4', 4]], [23, ['float4e2m1', 4]], [24, ['float8e8m0', 8]], [25, ['uint2', 2]],
  [26, ['int2', 2]],
])));

const EXTERNAL = 1;

/** @type {(bytes: Uint8Array) => Generator<Field>} */
function* fieldsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = view.getUint8(at);
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
    throw new RangeError('a number has more than ten bytes');
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const kind = tag % 8;
    if (kind === 0) {
      yield { field, value: varint(), bytes: NONE };
    } else if (kind === 2) {
      const length = varint();
      if (length < 0 || at + length > bytes.byteLength) throw new RangeError('a field ends outside of the file');
      yield { field, value: 0, bytes: bytes.subarray(at, at + length) };
      at += length;
    } else if (kind === 1 || kind === 5) {
      const end = at + (kind === 1 ? 8 : 4);
      if (end > bytes.byteLength) throw new RangeError('a field ends outside of the file');
      yield { field, value: 0, bytes: bytes.subarray(at, end) };
      at = end;
    } else {
      throw new RangeError(`a field has the unknown wire type ${kind}`);
    }
  }
}

/** The inner messages of a field. @type {(bytes: Uint8Array, field: number) => Uint8Array[]} */
function messages(bytes, field) {
  return [...fieldsOf(bytes)].filter((one) => one.field === field).map((one) => one.bytes);
}

/** @type {(bytes: Uint8Array, field: number) => string} */
function text(bytes, field) {
  return new TextDecoder().decode(messages(bytes, field).at(-1) ?? NONE);
}

/** @type {(bytes: Uint8Array, field: number) => number} */
function number(bytes, field) {
  return [...fieldsOf(bytes)].filter((one) => one.field === field).at(-1)?.value ?? 0;
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ inputs: TensorSpec[], outputs: TensorSpec[], stored: Record<string, number>, external: string[] }}
 *   `external` are the files that hold more weights
 * @throws {Error} any, if the file is not complete
 */
export function describeOnnx(bytes) {
  const [graph] = messages(bytes, 7);
  if (!graph) throw new Error('it contains no graph, so it is not an ONNX model');
  const initializers = messages(graph, 5);
  const names = new Set(initializers.map((tensor) => text(tensor, 8)));
  const external = new Set();
  /** @type {Map<string, number>} */
  const stored = new Map();
  const add = (/** @type {string} */ dtype, /** @type {number} */ size) => {
    if (size) stored.set(dtype, (stored.get(dtype) ?? 0) + size);
  };
  for (const { tensor, floats, integers } of constantsOf(graph, 0)) {
    add('float32', 4 * floats);
    add('int64', 8 * integers);
    if (!tensor) continue;
    const [dtype, bits] = TYPES.get(number(tensor, 2)) ?? ['undefined', 0];
    add(dtype, sizeOf(tensor, bits));
    if (number(tensor, 14) === EXTERNAL) external.add(locationOf(tensor));
  }
  const outputs = messages(graph, 12).map(portOf);
  if (!outputs.length && !messages(graph, 1).length) throw new Error('it contains no graph');
  return {
    // Files before IR version 4 list weights as inputs, too.
    inputs: messages(graph, 11).filter((value) => !names.has(text(value, 1))).map(portOf),
    outputs,
    stored: Object.fromEntries(stored),
    external: [...external],
  };
}

const DEEPEST = 50;

/**
 * A constant: a tensor, or the number of floats or integers in an attribute.
 * @typedef {{ tensor?: Uint8Array, floats: number, integers: number }} Constant
 */

/**
 * The constants of a graph, and of the graphs of its loops and conditions.
 * @type {(graph: Uint8Array, depth: number) => Generator<Constant>}
 */
function* constantsOf(graph, depth) {
  if (depth > DEEPEST) throw new Error('its graphs are nested too deeply');
  for (const tensor of messages(graph, 5)) yield { tensor, floats: 0, integers: 0 };
  for (const node of messages(graph, 1)) {
    const isConstant = text(node, 4) === 'Constant';
    for (const attribute of messages(node, 5)) {
      if (isConstant) yield constantOf(attribute);
      for (const inner of [...messages(attribute, 6), ...messages(attribute, 11)]) yield* constantsOf(inner, depth + 1);
    }
  }
}

/** @type {(attribute: Uint8Array) => Constant} */
function constantOf(attribute) {
  const name = text(attribute, 1);
  const [tensor] = name === 'value' ? messages(attribute, 5) : [];
  const size = messages(attribute, 7).reduce((sum, one) => sum + one.byteLength, 0);
  const integers = [...fieldsOf(attribute)].filter(({ field }) => field === 8)
    .reduce((sum, { bytes }) => sum + (bytes.byteLength ? unpacked(bytes).length : 1), 0);
  return {
    tensor,
    floats: name === 'value_float' ? 1 : name === 'value_floats' ? size / 4 : 0,
    integers: name === 'value_int' ? 1 : name === 'value_ints' ? integers : 0,
  };
}

/** @type {(tensor: Uint8Array, bits: number) => number} */
function sizeOf(tensor, bits) {
  if (!bits) return messages(tensor, 6).reduce((sum, one) => sum + one.byteLength, 0);
  return Math.ceil(dimsOf(tensor).reduce((product, size) => product * size, 1) * bits / 8);
}

/** Sizes, packed or not. @type {(tensor: Uint8Array) => number[]} */
function dimsOf(tensor) {
  return [...fieldsOf(tensor)].filter(({ field }) => field === 1)
    .flatMap(({ value, bytes }) => (bytes.byteLength ? unpacked(bytes) : [value]));
}

/** @type {(bytes: Uint8Array) => number[]} */
function unpacked(bytes) {
  /** @type {number[]} */
  const values = [];
  let value = 0;
  let unit = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * unit;
    unit *= 128;
    if (byte < 0x80) {
      values.push(value);
      [value, unit] = [0, 1];
    }
  }
  return values;
}

/** @type {(tensor: Uint8Array) => string} */
function locationOf(tensor) {
  return messages(tensor, 13).filter((entry) => text(entry, 1) === 'location').map((entry) => text(entry, 2))[0] ?? '';
}

/** @type {(value: Uint8Array, position: number) => TensorSpec} */
function portOf(value, position) {
  const name = text(value, 1);
  const [type = NONE] = messages(value, 2);
  const [tensor = NONE] = messages(type, 1);
  const [shape] = messages(tensor, 2);
  const sizes = shape ? messages(shape, 1).map(sizeOfAxis) : [];
  const [dtype] = TYPES.get(number(tensor, 1)) ?? ['undefined'];
  return specOf(name, sizes, { dtype, tensor: name, position, codes: null });
}

/** The size of an axis; null if it has only a name. @type {(dim: Uint8Array) => number | null} */
function sizeOfAxis(dim) {
  const [size] = [...fieldsOf(dim)].filter(({ field }) => field === 1);
  return size ? size.value : null;
}
