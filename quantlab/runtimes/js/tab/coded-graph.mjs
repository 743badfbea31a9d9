/**
 * Graph-models whose kernels are stored as codes that the graph decodes itself, byte by byte those of
 * `converters/quantlab_converters/tfjs_coded_graph.py`, which says why it is done so.
 */

import { activationOf, inputsOf } from './graph-nodes.mjs';
import { HALF_MAX, halfOf, narrowFloats, numberOfHalf } from './halves.mjs';
import { compareText, sortedKeys } from './json.mjs';
import { Shards, bytesOf, documentBytes } from './weights.mjs';

/** @typedef {import('./json.mjs').JsonObject} JsonObject */
/** @typedef {import('./channel-codes.mjs').ChannelCodes} ChannelCodes */
/** @typedef {import('./graph-nodes.mjs').Node} Node */

/**
 * A kernel that is coded. `op` is the name of the op whose output is multiplied by the scales, null if the kernel is.
 * `microseconds` is 0 without nodes, with one scale in the manifest.
 * @typedef {{ codes: ChannelCodes, shape: number[], op: string | null, microseconds: number }} CodedKernel
 */

/** @typedef {{ entry: JsonObject, dtype: string, bytes: Uint8Array }} Written a weight as it is written */

const PLAIN = Object.freeze(new Map([['_FusedConv2D', 'Conv2D'], ['_FusedMatMul', 'MatMul']]));
const FUSED_ONLY = new Set([
  'fused_ops', 'num_args', 'num_host_args', 'epsilon', 'leakyrelu_alpha', 'TArgs', 'filter_format',
]);

/** @type {(members: object) => JsonObject} */
const object = (members) => new Map(Object.entries(members));

const FLOAT_TYPE = object({ type: 'DT_FLOAT' });

/** The files that are being written: nodes, and weights in the order of the shards. */
class Rewritten {
  /** @param {Iterable<string>} taken names of nodes */
  constructor(taken) {
    this.taken = new Set(taken);
    this.named = 0;
    /** @type {Node[]} */
    this.nodes = [];
    /** @type {Written[]} */
    this.weights = [];
  }

  /** A name that is not in use, and short, because it travels with every download. */
  name() {
    while (this.taken.has(`q${this.named}`)) this.named += 1;
    const name = `q${this.named}`;
    this.taken.add(name);
    return name;
  }

  /**
   * @param {number[]} shape
   * @param {{ dtype: string, bytes: Uint8Array, quantization: JsonObject | null }} weight
   * @param {string} [name]
   */
  constant(shape, { dtype, bytes, quantization }, name = this.name()) {
    const dims = object({ dim: shape.map((size) => object({ size: String(size) })) });
    const value = object({ tensor: object({ dtype: 'DT_FLOAT', tensorShape: dims }) });
    this.nodes.push(object({ name, op: 'Const', attr: object({ dtype: FLOAT_TYPE, value }) }));
    const entry = object({ name, shape: shape.map(BigInt), dtype: 'float32' });
    if (quantization) entry.set('quantization', quantization);
    this.weights.push({ entry, dtype, bytes });
    return name;
  }

  /**
   * 8-bit codes, of which code 0 stands for `min`.
   * @param {number[]} shape
   * @param {Uint8Array} codes
   * @param {{ min: number | bigint, scale: number | bigint }} line
   * @param {string} [name]
   */
  codes(shape, codes, { min, scale }, name = this.name()) {
    const quantization = object({ dtype: 'uint8', min, scale, original_dtype: 'float32' });
    return this.constant(shape, { dtype: 'uint8', bytes: codes, quantization }, name);
  }

  /** @type {(shape: number[], scales: Float64Array, stored: 'float16' | 'float32') => string} */
  scales(shape, scales, stored) {
    const bytes = stored === 'float16' ? halves(scales) : bytesOf(Float32Array.from(scales));
    const quantization = stored === 'float16' ? halfQuantization() : null;
    return this.constant(shape, { dtype: stored, bytes, quantization });
  }

  /** A node of float inputs. @type {(op: string, input: string[], name?: string) => string} */
  node(op, input, name = this.name()) {
    this.nodes.push(object({ name, op, input, attr: object({ T: FLOAT_TYPE }) }));
    return name;
  }
}

/** @type {(values: ArrayLike<number>) => Uint8Array} */
const halves = (values) => bytesOf(Uint16Array.from(values, halfOf));

const halfQuantization = () => object({ dtype: 'float16', original_dtype: 'float32' });

/**
 * The values as half floats, unless one of them is too large, or no number.
 * @param {Float32Array} values
 * @returns {Uint8Array | null}
 */
export function narrowed(values) {
  return values.every((value) => Math.abs(value) <= HALF_MAX) ? bytesOf(narrowFloats(values)) : null;
}

/**
 * The files of a graph-model with some kernels stored as codes, and others as half floats.
 * @param {JsonObject} document of the float32 graph-model
 * @param {Map<string, CodedKernel>} coded
 * @param {Iterable<Written & { half: Uint8Array | null }>} others the weights that are not coded, in their order
 * @returns {Map<string, Uint8Array>}
 */
export function codedGraph(document, coded, others) {
  const topology = document.get('modelTopology');
  const written = new Rewritten(topology.get('node').map((/** @type {Node} */ node) => node.get('name')));
  for (const node of topology.get('node')) rewrite(written, node, coded);
  for (const { entry, dtype, bytes, half } of others) {
    if (half) entry.set('quantization', halfQuantization());
    written.weights.push({ entry, dtype: half ? 'float16' : dtype, bytes: half ?? bytes });
  }
  const nodes = new Map([...topology, ['node', written.nodes]]);
  return filesOf(new Map([...document, ['modelTopology', nodes]]), written.weights);
}

/**
 * Add a node, or those that stand for it.
 * @type {(written: Rewritten, node: Node, coded: Map<string, CodedKernel>) => void}
 */
function rewrite(written, node, coded) {
  const name = node.get('name');
  const kernel = coded.get(name);
  if (kernel) {
    decode(written, name, kernel);
    return;
  }
  const scaled = [...coded.values()].find(({ op }) => op === name);
  if (scaled) takeApart(written, node, asMultiples(scaled.codes).multiples);
  else written.nodes.push(node);
}

/**
 * Add an op, the `Mul` of its output, and what was fused into it; the last of them has its name.
 * @type {(written: Rewritten, node: Node, scales: Float64Array) => void}
 */
function takeApart(written, node, scales) {
  const activation = activationOf(node);
  const plain = new Map(node);
  let bias;
  const op = PLAIN.get(node.get('op'));
  if (op) {
    const kept = [...node.get('attr')].filter(([key]) => !FUSED_ONLY.has(key));
    plain.set('op', op).set('input', inputsOf(node).slice(0, 2)).set('attr', new Map(kept));
    bias = inputsOf(node)[2];
  }
  plain.set('name', written.name());
  written.nodes.push(plain);
  const steps = [['Mul', written.scales([scales.length], scales, 'float32')]];
  if (bias) steps.push(['BiasAdd', bias]);
  if (activation) steps.push([activation]);
  let source = plain.get('name');
  steps.forEach(([step, ...argument], place) => {
    source = written.node(step, [source, ...argument], place === steps.length - 1 ? node.get('name') : undefined);
  });
}

/**
 * Add the constants of a kernel, and the nodes that decode it.
 * @type {(written: Rewritten, name: string, kernel: CodedKernel) => void}
 */
function decode(written, name, { codes, shape, op, microseconds }) {
  const [zero] = codes.zeros;
  if (microseconds === 0) {
    const [scale] = codes.scales;
    written.codes(shape, codes.codes, { min: below(zero, scale), scale }, name);
  } else if (op !== null) {
    const { unit } = asMultiples(codes);
    written.codes(shape, codes.codes, { min: below(zero, unit), scale: unit }, name);
  } else if (codes.zeroShape.length) {
    const inputs = [
      written.codes(shape, codes.codes, { min: 0n, scale: 1n }),
      written.codes(codes.zeroShape, codes.zeros, { min: 0n, scale: 1n }),
    ];
    const integers = written.node('Sub', inputs);
    written.node('Mul', [integers, written.scales(codes.scaleShape, codes.scales, codes.stored)], name);
  } else {
    const integers = written.codes(shape, codes.codes, { min: BigInt(-zero), scale: 1n });
    written.node('Mul', [integers, written.scales(codes.scaleShape, codes.scales, codes.stored)], name);
  }
}

/**
 * −zero · scale, of which Python has an integer zero without a sign.
 * @type {(zero: number, scale: number) => number}
 */
const below = (zero, scale) => (zero === 0 ? 0 : -zero * scale);

/**
 * The power of two below the largest scale, and the scales as multiples of it. Python takes the logarithm in the dtype
 * of the scales, so that it may be rounded up.
 * @param {ChannelCodes} codes
 */
function asMultiples({ scales, stored }) {
  const exponent = Math.fround(Math.log2(scales.reduce((most, scale) => Math.max(most, scale))));
  const unit = 2 ** Math.floor(stored === 'float16' ? numberOfHalf(halfOf(exponent)) : exponent);
  return { unit, multiples: scales.map((scale) => Math.fround(scale / unit)) };
}

/** @type {(document: JsonObject, weights: Written[]) => Map<string, Uint8Array>} */
function filesOf(document, weights) {
  const stored = weights.map((weight) => ({ weight, bits: bitsOf(weight) }))
    .sort((one, other) => compareText(one.weight.dtype, other.weight.dtype) || one.bits - other.bits)
    .map(({ weight }) => weight);
  const shards = new Shards(1, stored.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
  for (const { bytes } of stored) shards.add(bytes);
  const manifest = object({ paths: shards.paths, weights: stored.map(({ entry }) => entry) });
  const json = documentBytes(new Map([
    ...document, ['weightsManifest', [manifest]], ['modelTopology', sortedKeys(document.get('modelTopology'))],
  ]));
  return new Map([['model.json', json], ...shards.files()]);
}

/** Bits of the largest code; 0 for everything that is no code. @type {(weight: Written) => number} */
function bitsOf({ dtype, bytes }) {
  if (dtype !== 'uint8') return 0;
  return 32 - Math.clz32(bytes.reduce((most, code) => Math.max(most, code), 0));
}
