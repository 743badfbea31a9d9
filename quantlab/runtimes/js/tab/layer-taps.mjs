/** The tensors inside an artifact that can be read while it runs, in the order of execution. */

import { layersOf } from './layer-names.mjs';
import { modelDocument } from './ports.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {{ name: string, op: string, input?: string[] }} GraphNode */

/**
 * A tensor, the op that computes it, and its layer.
 * @typedef {{ name: string, op: string, layer: string }} TapSpec
 */

/** Why the tensors of a format cannot be read here; null if they can. */
export const UNREADABLE = Object.freeze(/** @type {Record<Artifact['format'], string | null>} */ ({
  tfjs: null,
  'tfjs-layers': null,
  tflite: 'LiteRT.js gives only the outputs of a file, and a copy with more outputs is written by the command line '
    + 'alone',
  onnx: 'onnxruntime-web gives only the outputs of a file, and a copy with more outputs is written by the command line '
    + 'alone',
}));

/**
 * @param {Artifact} artifact tfjs or tfjs-layers
 * @returns {TapSpec[]}
 */
export function listTaps({ format, files }) {
  const { modelTopology } = modelDocument(files);
  return format === 'tfjs' ? graphTaps(modelTopology.node) : layerTaps(modelTopology);
}

const NOT_TAPPED = new Set(['Const', 'Placeholder', 'PlaceholderWithDefault', 'NoOp', 'Assert']);

/** A node that decodes a weight, see `quantlab/formats/tfjs/decoded.py`. */
const ADDED = /^q\d+$/;

/**
 * The nodes that depend on an input, except for those that only decode weights.
 * @param {GraphNode[]} nodes
 * @returns {TapSpec[]}
 */
function graphTaps(nodes) {
  const ordered = inOrder(nodes);
  const fed = dependents(ordered);
  const taps = ordered.filter(({ name, op }) => fed.has(name) && !NOT_TAPPED.has(op) && !ADDED.test(name));
  const layers = layersOf(taps.map(({ name }) => name));
  for (const { name, op, input = [] } of taps) {
    // An output of the graph belongs to no layer, and has the value of the layer that produced it.
    if (!layers.get(name) && op === 'Identity') layers.set(name, layers.get(nodeOf(input[0])) ?? '');
  }
  return taps.map(({ name, op }) => ({ name, op, layer: layers.get(name) || name }));
}

/** @param {string} tensor */
function nodeOf(tensor) {
  return tensor.replace(/^\^/, '').split(':')[0];
}

/**
 * The order in which TensorFlow creates nodes: of those whose inputs are there, the first of the list.
 * @param {GraphNode[]} nodes
 */
function inOrder(nodes) {
  const places = new Map(nodes.map(({ name }, place) => [name, place]));
  const loops = new Set(nodes.filter(({ op }) => op === 'NextIteration').map(({ name }) => name));
  /** @type {number[][]} */
  const readers = nodes.map(() => []);
  const waiting = nodes.map(({ input = [] }, place) => {
    const sources = input.map(nodeOf).filter((name) => places.has(name) && !loops.has(name));
    sources.forEach((name) => readers[/** @type {number} */ (places.get(name))].push(place));
    return sources.length;
  });
  const done = nodes.map(() => false);
  const ordered = [];
  for (let place = 0; place < nodes.length;) {
    if (done[place] || waiting[place]) {
      place += 1;
      continue;
    }
    done[place] = true;
    ordered.push(nodes[place]);
    let next = place + 1;
    for (const reader of readers[place]) {
      waiting[reader] -= 1;
      if (!waiting[reader]) next = Math.min(next, reader);
    }
    place = next;
  }
  return ordered;
}

/**
 * Names of the nodes that depend on an input.
 * @param {GraphNode[]} ordered
 */
function dependents(ordered) {
  const fed = new Set();
  for (const { name, op, input = [] } of ordered) {
    if (op === 'Placeholder' || input.some((source) => fed.has(nodeOf(source)))) fed.add(name);
  }
  return fed;
}

/** @typedef {{ class_name: string, name?: string, config: { name?: string }, inbound_nodes?: unknown[] }} KerasLayer */

/**
 * The layers in the order of the configuration; one that is called twice is there twice, as `dense` and `dense:1`.
 * @param {{ model_config?: object }} topology
 * @returns {TapSpec[]}
 */
function layerTaps(topology) {
  const { config } = /** @type {{ config: KerasLayer[] | { layers: KerasLayer[] } }} */ (
    topology.model_config ?? topology);
  const layers = Array.isArray(config) ? config : config.layers;
  return layers.filter(({ class_name: kind }) => kind !== 'InputLayer').flatMap((layer) => {
    const name = layer.name ?? layer.config.name ?? '';
    const calls = Math.max(1, layer.inbound_nodes?.length ?? 1);
    return Array.from({ length: calls }, (_, call) => (
      { name: call ? `${name}:${call}` : name, op: layer.class_name, layer: name }));
  });
}
