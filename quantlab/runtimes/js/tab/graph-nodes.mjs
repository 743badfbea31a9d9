/**
 * The graph in a graph-model's `model.json`: its kernels, and an estimate of its time.
 *
 * The same as `quantlab/formats/tfjs/channels.py` and `converters/quantlab_converters/tfjs_kernel_work.py`, which say
 * where the rules and rates come from.
 */

import { countOf } from './weights.mjs';

/** @typedef {import('./json.mjs').JsonObject} JsonObject */
/** @typedef {JsonObject} Node one of `modelTopology.node` */

const KERNELS = Object.freeze(new Map(Object.entries({
  Conv2D: [3], // HWIO
  _FusedConv2D: [3],
  DepthwiseConv2dNative: [2, 3], // HWIM: output channel = input channel × multiplier
  FusedDepthwiseConv2dNative: [2, 3],
  Conv2DBackpropInput: [2], // HWOI
  Conv3D: [4], // DHWIO
  MatMul: [1], // IO
  _FusedMatMul: [1],
  GatherV2: [1], // a table: one row per index
})));

/** Calls of functions that are followed: functions that call themselves would have no end. */
const MOST_CALLS = 2000;

/** @type {(object: any, ...keys: string[]) => any} */
export function member(object, ...keys) {
  return keys.reduce((inner, key) => (inner instanceof Map ? inner.get(key) : undefined), object);
}

/** The tensors that a node reads. @type {(node: Node) => string[]} */
export const inputsOf = (node) => node.get('input') ?? [];

/** The node whose output a tensor is: `node` of `node:1`. @type {(tensor: string) => string} */
export const ownerOf = (tensor) => tensor.split(':', 1)[0];

/** Also of `^node`, which is only waited for. @type {(tensor: string) => string} */
const nameOf = (tensor) => ownerOf(tensor.startsWith('^') ? tensor.slice(1) : tensor);

/**
 * Weight → axes that together index the output channel, for kernels of convolutions and products, and tables.
 *
 * Kernels passed to the bodies of loops and conditions are included. If several ops read a kernel, the first decides.
 * @param {JsonObject} topology
 * @returns {Map<string, number[]>}
 */
export function channelAxes(topology) {
  const functions = new Map((member(topology, 'library', 'function') ?? []).map(
    (/** @type {JsonObject} */ one) => [one.get('signature').get('name'), one],
  ));
  /** @type {Map<string, number[]>} */
  const kernels = new Map();
  for (const [weight, axes] of kernelsOf(topology.get('node'), new Map(), { functions, left: MOST_CALLS })) {
    if (!kernels.has(weight)) kernels.set(weight, axes);
  }
  return kernels;
}

/**
 * @param {Node[]} nodes
 * @param {Map<string, string>} handed argument of the function → weight
 * @param {{ functions: Map<string, JsonObject>, left: number }} library and how many calls may follow
 * @returns {Generator<[string, number[]]>}
 */
function* kernelsOf(nodes, handed, library) {
  const same = new Map(nodes.filter((node) => node.get('op') === 'Identity' && inputsOf(node).length > 0)
    .map((node) => [node.get('name'), nameOf(inputsOf(node)[0])]));
  for (const node of nodes) {
    const inputs = inputsOf(node).map((tensor) => resolved(nameOf(tensor), same))
      .map((name) => handed.get(name) ?? name);
    const op = node.get('op');
    const axes = KERNELS.get(op);
    if (axes && inputs.length > 1) {
      const transposed = member(node, 'attr', 'transpose_b', 'b') ?? false;
      yield [inputs[op === 'GatherV2' ? 0 : 1], transposed ? [0] : axes];
    }
    for (const called of calledBy(node, library.functions)) {
      library.left -= 1;
      if (library.left < 0) throw new Error('its functions call one another too often');
      const names = (called.get('signature').get('inputArg') ?? []).map((/** @type {any} */ one) => one.get('name'));
      // A condition does not pass on its first input; loops and calls pass on all inputs.
      const given = names.length ? inputs.slice(-names.length) : [];
      const pairs = given.map((name, place) => /** @type {[string, string]} */ ([names[place], name]));
      yield* kernelsOf(called.get('nodeDef') ?? [], new Map(pairs), library);
    }
  }
}

/** @type {(name: string, same: Map<string, string>) => string} */
function resolved(name, same) {
  const seen = new Set([name]);
  let source = same.get(name);
  while (source !== undefined && !seen.has(source)) {
    seen.add(source);
    name = source;
    source = same.get(name);
  }
  return name;
}

/** @type {(node: Node, functions: Map<string, JsonObject>) => JsonObject[]} */
function calledBy(node, functions) {
  const attributes = [...(node.get('attr') ?? new Map()).values()];
  return attributes.map((value) => functions.get(member(value, 'func', 'name'))).filter((found) => found !== undefined);
}

const MICROSECONDS_PER_NODE = 4;
const NANOSECONDS_PER_PRODUCT = 0.065;
const DEPTHWISE = 3;
const NANOSECONDS_PER_PACKED = 10;
const NANOSECONDS_PER_OUTPUT = 0.25;

const ONE_POSITION = new Set(['Mean', 'MatMul', '_FusedMatMul']);
const LARGER = new Set(['Conv2DBackpropInput']);
const LINEAR = new Set(['MatMul', 'Conv2D', 'GatherV2', '_FusedMatMul', '_FusedConv2D']);
const ACTIVATIONS = new Set(['', 'Relu', 'Relu6', 'Elu', 'Sigmoid']);
const FREE = new Set(['Const', 'Placeholder', 'Identity']);

/** Estimated time of one sample in the main graph; sizes that the graph leaves open count as 1, and loops once. */
export class GraphWork {
  /**
   * @param {JsonObject} topology
   * @param {Map<string, number>} elements kernel → number of its elements
   * @param {Set<string>} inner kernels whose channels are not the last axis of the output
   */
  constructor(topology, elements, inner) {
    this.elements = elements;
    this.inner = inner;
    /** @type {Map<string, number>} */
    this.positions = new Map();
    /** @type {Map<string, Node[]>} */
    this.readers = new Map();
    let nodes = 0;
    let products = 0;
    for (const node of inOrder(topology.get('node'))) {
      nodes += Number(!FREE.has(node.get('op')));
      products += this.add(node);
    }
    this.microseconds = MICROSECONDS_PER_NODE * nodes + NANOSECONDS_PER_PRODUCT * products / 1000;
  }

  /** Take a node in, and return the products of its kernels. @type {(node: Node) => number} */
  add(node) {
    const [op, inputs] = [node.get('op'), inputsOf(node).map(nameOf)];
    const sources = inputs.reduce((most, name) => Math.max(most, this.positions.get(name) ?? 0), 0);
    const positions = positionsOf(node, sources);
    this.positions.set(node.get('name'), positions);
    let products = 0;
    for (const name of new Set(inputs)) {
      const elements = this.elements.get(name);
      if (elements === undefined) continue;
      this.readers.set(name, [...(this.readers.get(name) ?? []), node]);
      products += (LARGER.has(op) ? sources : positions) * elements * (op.includes('Depthwise') ? DEPTHWISE : 1);
    }
    return products;
  }

  /** Microseconds of some nodes that decode a kernel at each call. @type {(kernel: string, nodes: number) => number} */
  onKernel(kernel, nodes) {
    return nodes * MICROSECONDS_PER_NODE + NANOSECONDS_PER_PACKED * (this.elements.get(kernel) ?? 0) / 1000;
  }

  /**
   * Microseconds if the output of the op that alone reads a kernel is multiplied by scales, and the op; null if the op
   * does something else, is not the only one, or has the channels in another axis of its output.
   * @param {string} kernel
   * @param {number} channels
   * @returns {{ microseconds: number, reader: Node } | null}
   */
  onOutput(kernel, channels) {
    const readers = this.readers.get(kernel) ?? [];
    const [reader] = readers;
    if (this.inner.has(kernel) || readers.length !== 1 || !LINEAR.has(reader.get('op'))) return null;
    const activation = activationOf(reader);
    if (activation === null) return null;
    const isBiased = inputsOf(reader).length > 2 && reader.get('op').startsWith('_Fused');
    const nodes = 1 + Number(isBiased) + Number(activation !== '');
    const outputs = (this.positions.get(reader.get('name')) ?? 0) * channels;
    return { microseconds: nodes * (MICROSECONDS_PER_NODE + NANOSECONDS_PER_OUTPUT * outputs / 1000), reader };
  }
}

/**
 * The activation that is fused into an op: empty if there is none, null if it is not one that can be taken out.
 * @param {Node} node
 * @returns {string | null}
 */
export function activationOf(node) {
  const fused = (member(node, 'attr', 'fused_ops', 'list', 's') ?? []).map(atob);
  const [bias, ...rest] = fused.length ? fused : [''];
  const most = 3 + Number(node.get('op') === 'GatherV2');
  if ((bias !== '' && bias !== 'BiasAdd') || rest.length > 1 || inputsOf(node).length > most) return null;
  const [activation] = rest.length ? rest : [''];
  return ACTIVATIONS.has(activation) ? activation : null;
}

/** The product of the inner dimensions of a node's output. @type {(node: Node, sources: number) => number} */
function positionsOf(node, sources) {
  if (node.get('op') === 'Placeholder') {
    const dims = member(node, 'attr', 'shape', 'shape', 'dim') ?? [];
    const sizes = dims.map((/** @type {JsonObject} */ dim) => Number(dim.get('size') ?? 1));
    return countOf(sizes.slice(1, -1).map((/** @type {number} */ size) => Math.max(size, 1)));
  }
  if (ONE_POSITION.has(node.get('op'))) return 1;
  const steps = member(node, 'attr', 'strides', 'list', 'i') ?? [];
  const stride = Math.max(countOf(steps.map(Number)), 1);
  return LARGER.has(node.get('op')) ? sources * stride : Math.ceil(sources / stride);
}

/** Nodes after those that they read, as far as there is such an order. @type {(nodes: Node[]) => Node[]} */
function inOrder(nodes) {
  const byName = new Map(nodes.map((node) => [node.get('name'), node]));
  /** @type {Map<string, Node>} */
  const done = new Map();
  const entered = new Set(); // also of nodes that wait for their inputs: a loop leads back to them
  for (const first of nodes) {
    /** @type {[Node, boolean][]} */
    const waiting = [[first, false]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [node, expanded] = next;
      const name = node.get('name');
      if (expanded) done.set(name, node);
      if (expanded || entered.has(name)) continue;
      entered.add(name);
      waiting.push([node, true]);
      for (const source of inputsOf(node).map(nameOf)) {
        const known = byName.get(source);
        if (known && !done.has(source)) waiting.push([known, false]);
      }
    }
  }
  return [...done.values()];
}
