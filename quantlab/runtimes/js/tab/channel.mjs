/**
 * The setting `tfjs-uint8-per-channel`: which kernels of a graph-model are coded with one scale per output channel. The
 * same decisions and bytes as `converters/quantlab_converters/tfjs_per_channel.py`.
 */

import { refuseUnquantizable } from './affine.mjs';
import { encode, worstSqnrDb } from './channel-codes.mjs';
import { codedGraph, narrowed } from './coded-graph.mjs';
import { GraphWork, channelAxes, inputsOf, member, ownerOf } from './graph-nodes.mjs';
import { compareText } from './json.mjs';
import { Pauses } from './pauses.mjs';
import { countOf, decodedBytes, floatValues, isCoded, plainEntry } from './weights.mjs';

/** @typedef {import('./coded-graph.mjs').CodedKernel} CodedKernel */
/** @typedef {import('./channel-codes.mjs').ChannelCodes} ChannelCodes */
/** @typedef {import('./graph-nodes.mjs').Node} Node */
/** @typedef {import('./json.mjs').JsonObject} JsonObject */
/** @typedef {import('./weights.mjs').StoredWeight} StoredWeight */
/** @typedef {import('./weights.mjs').TfjsModel} TfjsModel */

/** Share of the graph's time that decoding may take. */
const SLOWER = 0.05;
const ALIKE_DB = 34;
const LOST_DB = 3;

/**
 * @param {TfjsModel} model a graph-model with weights in float32 or float16
 * @returns {Promise<Map<string, Uint8Array>>} the files
 * @throws {import('./types.mjs').DropError} if a kernel holds NaN or infinity
 */
export async function perChannel(model) {
  const weights = new Map(model.groups.flat().map((weight) => [weight.name, weight]));
  const topology = model.document.get('modelTopology');
  const axes = kernelAxes(topology, weights);
  const coded = await codedKernels(topology, weights, axes);
  return codedGraph(model.document, coded, others(weights, axes, coded));
}

/** @type {(topology: JsonObject, weights: Map<string, StoredWeight>) => Map<string, number[]>} */
function kernelAxes(topology, weights) {
  return new Map([...channelAxes(topology)].filter(([name, axes]) => {
    const weight = weights.get(name);
    return weight !== undefined && weight.dtype === 'float32' && weight.shape.length > Math.max(...axes)
      && countOf(weight.shape) > 0;
  }));
}

/**
 * The kernels to be coded: those first that save most bytes for their time, as long as it is little.
 * @param {JsonObject} topology
 * @param {Map<string, StoredWeight>} weights
 * @param {Map<string, number[]>} axes
 * @returns {Promise<Map<string, CodedKernel>>}
 */
async function codedKernels(topology, weights, axes) {
  const [work, pauses] = [workOf(topology, weights, axes), new Pauses()];
  const looped = new Set(topology.get('node').filter(isLooped).map((/** @type {Node} */ node) => node.get('name')));
  /** @type {Map<string, CodedKernel>} */
  const coded = new Map();
  /** @type {Map<string, CodedKernel>} */
  const candidates = new Map();
  for (const [name, channelAxis] of axes) {
    if (looped.has(name)) continue;
    const { shape } = /** @type {StoredWeight} */ (weights.get(name));
    const values = /** @type {Float32Array} */ (floatValues(/** @type {StoredWeight} */ (weights.get(name))));
    refuseUnquantizable(name, values, 'uint8');
    const [inOne, codes] = [encode(values, shape, []), encode(values, shape, channelAxis)];
    const needed = Math.min(ALIKE_DB, worstSqnrDb(values, shape, channelAxis, codes) - LOST_DB);
    const isAlike = worstSqnrDb(values, shape, channelAxis, inOne) >= needed;
    if (isAlike) coded.set(name, { codes: inOne, shape, op: null, microseconds: 0 });
    else if (!isLarger(shape, channelAxis)) candidates.set(name, placed(name, codes, shape, work));
    await pauses.worked(4 * values.byteLength); // which takes longer than other settings
  }
  return taken(coded, candidates, SLOWER * work.microseconds);
}

/** A constant in a loop belongs to it by its control dependencies. @type {(node: Node) => boolean} */
const isLooped = (node) => node.get('op') === 'Const' && inputsOf(node).length > 0;

/** @type {(topology: JsonObject, weights: Map<string, StoredWeight>, axes: Map<string, number[]>) => GraphWork} */
function workOf(topology, weights, axes) {
  const sizes = new Map([...axes.keys()].map((name) => [name, countOf(weights.get(name)?.shape ?? [])]));
  const inner = topology.get('node')
    .filter((/** @type {Node} */ node) => node.get('op') === 'GatherV2' && !isRows(node, weights))
    .map((/** @type {Node} */ node) => ownerOf(inputsOf(node)[0]));
  return new GraphWork(topology, sizes, new Set(inner));
}

/**
 * Whether a `GatherV2` gives rows of a matrix, as an embedding does.
 * @type {(node: Node, weights: Map<string, StoredWeight>) => boolean}
 */
function isRows(node, weights) {
  const [table, , axis] = inputsOf(node).map(ownerOf);
  const values = weights.get(table);
  if (values?.shape.length !== 2 || Number(member(node, 'attr', 'batch_dims', 'i') ?? 0) !== 0) return false;
  if (axis === undefined) return true;
  const place = weights.get(axis);
  return place !== undefined && place.shape.length === 0 && decodedBytes(place).every((byte) => byte === 0);
}

/**
 * A kernel that is decoded where that takes less time.
 * @type {(name: string, codes: ChannelCodes, shape: number[], work: GraphWork) => CodedKernel}
 */
function placed(name, codes, shape, work) {
  const hasOwnZeros = codes.zeroShape.length > 0;
  const onKernel = work.onKernel(name, hasOwnZeros ? 2 : 1);
  const onOutput = hasOwnZeros ? null : work.onOutput(name, codes.scales.length);
  if (onOutput === null || onKernel <= onOutput.microseconds) return { codes, shape, op: null, microseconds: onKernel };
  return { codes, shape, op: onOutput.reader.get('name'), microseconds: onOutput.microseconds };
}

/**
 * Whether half floats of a kernel take less than its codes, its scales and some 300 bytes of JSON.
 * @type {(shape: number[], axes: number[]) => boolean}
 */
function isLarger(shape, axes) {
  const size = countOf(shape);
  return 2 * size <= size + 2 * countOf(axes.map((axis) => shape[axis])) + 300;
}

/**
 * The coded kernels with those of the candidates that save most bytes for their time.
 * @param {Map<string, CodedKernel>} coded
 * @param {Map<string, CodedKernel>} candidates
 * @param {number} microseconds that they may take in all
 */
function taken(coded, candidates, microseconds) {
  const saved = (/** @type {CodedKernel} */ kernel) => countOf(kernel.shape) / kernel.microseconds;
  const ordered = [...candidates]
    .sort(([name, one], [other, two]) => saved(two) - saved(one) || compareText(name, other));
  let left = microseconds;
  for (const [name, kernel] of ordered) {
    if (kernel.microseconds > left) continue;
    coded.set(name, kernel);
    left -= kernel.microseconds;
  }
  return coded;
}

/**
 * The weights that are not coded: kernels as half floats, everything else as it is.
 * @param {Map<string, StoredWeight>} weights
 * @param {Map<string, number[]>} axes
 * @param {Map<string, CodedKernel>} coded
 */
function* others(weights, axes, coded) {
  for (const [name, weight] of weights) {
    if (coded.has(name)) continue;
    const values = axes.has(name) ? floatValues(weight) : null;
    const dtype = isCoded(weight) ? weight.dtype : weight.stored;
    yield {
      entry: plainEntry(weight.entry),
      dtype: dtype === 'string' ? 'object' : dtype, // NumPy's name, by which they are sorted
      bytes: decodedBytes(weight),
      half: values && narrowed(values),
    };
  }
}
