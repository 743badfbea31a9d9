/**
 * Inputs and outputs of both tfjs formats, from their JSON file: the same as `quantlab/formats/tfjs/artifact.py` and
 * `quantlab/formats/tfjs_layers/` find.
 */

import { member } from './graph-nodes.mjs';
import { specOf } from './specs.mjs';
import { DropError } from './types.mjs';

/** @typedef {import('./json.mjs').JsonObject} JsonObject */
/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */
/** @typedef {{ inputs: TensorSpec[], outputs: TensorSpec[] }} Ports */

/**
 * Whether a document contains a Keras configuration instead of a graph; old files do not state their format.
 * @param {JsonObject} document
 */
export function isLayersModel(document) {
  return document.get('format') === 'layers-model' || member(document, 'modelTopology', 'node') === undefined;
}

const GRAPH_DTYPES = Object.freeze(new Map([
  ['DT_FLOAT', 'float32'], ['DT_INT32', 'int32'], ['DT_INT64', 'int32'], ['DT_BOOL', 'bool'], ['DT_UINT8', 'int32'],
]));

/** Ops that compute no output, although no node may read them. */
const NO_OUTPUTS = new Set(['Const', 'Placeholder', 'PlaceholderWithDefault', 'NoOp', 'Assert']);

/**
 * Converters before 2.0 wrote no signature: then the inputs are the placeholders, and the outputs are the nodes that no
 * other node reads, as in TensorFlow.js.
 * @param {JsonObject} document of a graph-model
 * @returns {Ports}
 */
export function graphPorts(document) {
  const stated = document.get('signature') ?? member(document, 'userDefinedMetadata', 'signature');
  const signature = stated?.size ? stated : signatureOf(member(document, 'modelTopology', 'node'));
  return { inputs: portsOf(signature.get('inputs')), outputs: portsOf(signature.get('outputs')) };
}

/** @type {(nodes: JsonObject[]) => JsonObject} */
function signatureOf(nodes) {
  const sources = nodes.flatMap((node) => node.get('input') ?? []);
  const read = new Set(sources.map((source) => source.replace(/^\^/, '').split(':', 1)[0]));
  const ends = nodes.filter((node) => !read.has(node.get('name')) && !NO_OUTPUTS.has(node.get('op')));
  const placeholders = nodes.filter((node) => node.get('op') === 'Placeholder');
  return new Map([
    ['inputs', new Map(placeholders.map((node) => [node.get('name'), placeholderInfo(node)]))],
    ['outputs', new Map(ends.map((node) => [node.get('name'), new Map([['name', `${node.get('name')}:0`]])]))],
  ]);
}

/** @type {(node: JsonObject) => JsonObject} */
function placeholderInfo(node) {
  return new Map([
    ['name', `${node.get('name')}:0`],
    ['dtype', member(node, 'attr', 'dtype', 'type') ?? 'DT_FLOAT'],
    ['tensorShape', member(node, 'attr', 'shape', 'shape') ?? new Map()],
  ]);
}

/** @type {(tensors: JsonObject | undefined) => TensorSpec[]} */
function portsOf(tensors) {
  const ports = [...(tensors ?? [])].map(([key, info], place) => {
    const dims = member(info, 'tensorShape', 'dim') ?? [];
    const sizes = dims.map((/** @type {JsonObject} */ dim) => Number(dim.get('size')));
    if (sizes.some(Number.isNaN)) throw new Error(`the shape of '${key}' has a size that is no number`);
    const shape = sizes.map((/** @type {number} */ size) => (size < 0 ? null : size));
    const dtype = GRAPH_DTYPES.get(info.get('dtype') ?? 'DT_FLOAT') ?? 'float32';
    const tensor = info.get('name');
    return specOf(key.replace(/:0$/, ''), shape, { dtype, tensor, position: positionOf(tensor, place), codes: null });
  });
  return ports.sort((one, other) => one.position - other.position);
}

/** The number of a result that has lost its name. @type {(tensor: string, place: number) => number} */
function positionOf(tensor, place) {
  const numbered = /^Identity(?:_(\d+))?$/.exec(tensor.split(':', 1)[0]);
  return numbered ? Number(numbered[1] ?? 0) : place;
}

const LAYERS = new Set(`
  Activation Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
  Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose
  ConvLSTM2D ConvLSTM2DCell Cropping2D Dense DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten
  Functional GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
  GlobalMaxPooling1D GlobalMaxPooling2D InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D
  MaxPooling2D MaxPooling3D Maximum Minimum Model MultiHeadAttention Multiply PReLU Permute RNN RandomHeight
  RandomWidth ReLU RepeatVector Rescaling Reshape Resizing SeparableConv2D Sequential SimpleRNN SimpleRNNCell
  Softmax SpatialDropout1D StackedRNNCells ThresholdedReLU TimeDistributed UpSampling2D ZeroPadding2D
`.trim().split(/\s+/));

const MODELS = new Set(['Functional', 'Model', 'Sequential']);

const LAYERS_DTYPES = Object.freeze(new Map([
  ['float16', 'float32'], ['float64', 'float32'], ['int64', 'int32'], ['uint8', 'int32'],
]));

/** @typedef {{ name: string, kind: string, config: JsonObject }} Layer */

/**
 * @param {JsonObject} document of a layers-model
 * @param {string} json its name, for messages
 * @returns {Ports}
 * @throws {DropError} if it has no layers, or one that tfjs does not know
 */
export function layersPorts(document, json) {
  const topology = document.get('modelTopology') ?? new Map();
  const model = topology.get('model_config') ?? topology;
  const config = member(model, 'config');
  if (!(config instanceof Map) && !Array.isArray(config)) {
    throw new DropError(`'${json}' contains weights but no layers; convert the whole model, not only its weights.`);
  }
  refuseUnknown(model, json);
  const ports = (/** @type {[string, JsonObject][]} */ named) => named.map(([name, from], position) => {
    const dtype = String(from.get('dtype') ?? 'float32');
    const sizes = from.get('batch_input_shape') ?? [];
    const shape = sizes.map((/** @type {unknown} */ size) => (size === null ? null : Number(size)));
    return specOf(name, shape, { dtype: LAYERS_DTYPES.get(dtype) ?? dtype, tensor: name, position, codes: null });
  });
  const outputs = outputNames(model).map((name) => /** @type {[string, JsonObject]} */ ([name, new Map()]));
  return { inputs: ports(inputsOf(model).map(({ name, config: own }) => [name, own])), outputs: ports(outputs) };
}

/** @type {(model: JsonObject, json: string) => void} */
function refuseUnknown(model, json) {
  const unknown = [...layersOf(model, 0)].find(({ kind }) => !LAYERS.has(kind));
  if (!unknown) return;
  const layer = `'${unknown.name}' (${unknown.kind})`.slice(0, 100);
  throw new DropError(`'${json}' has the layer ${layer}, which tfjs layers-models do not support; convert the model to `
    + 'a graph-model.');
}

/** @type {(model: JsonObject) => JsonObject[]} */
function membersOf(model) {
  const config = model.get('config');
  return Array.isArray(config) ? config : config.get('layers') ?? [];
}

/** @type {(document: JsonObject) => Layer} */
function layerOf(document) {
  const config = document.get('config') instanceof Map ? document.get('config') : new Map();
  const name = String(config.get('name') ?? document.get('name') ?? '?');
  return { name, kind: String(document.get('class_name')), config };
}

const DEEPEST = 100;

/** @type {(model: JsonObject, depth: number) => Generator<Layer>} */
function* layersOf(model, depth) {
  if (depth > DEEPEST) throw new Error('its models are nested too deeply');
  for (const one of membersOf(model)) {
    const layer = layerOf(one);
    yield layer;
    if (MODELS.has(layer.kind)) yield* layersOf(one, depth + 1);
    const wrapped = ['layer', 'backward_layer', 'cell'].map((key) => layer.config.get(key));
    for (const inner of wrapped) if (inner instanceof Map) yield layerOf(inner);
    for (const cell of layer.config.get('cells') ?? []) yield layerOf(cell);
  }
}

/** @type {(model: JsonObject) => Layer[]} */
function inputsOf(model) {
  if (model.get('class_name') !== 'Sequential') {
    const byName = new Map(membersOf(model).map(layerOf).map((layer) => [layer.name, layer]));
    return references(model.get('config').get('input_layers')).map((name) => {
      const layer = byName.get(name);
      if (layer) return layer;
      throw new Error(`its input layer '${name}' is missing`);
    });
  }
  const [first] = membersOf(model);
  const layer = layerOf(first);
  if (layer.kind === 'InputLayer') return [layer];
  const [{ config }] = MODELS.has(layer.kind) ? inputsOf(first) : [layer];
  return [{ name: `${layer.name}_input`, kind: 'InputLayer', config }];
}

/** As Keras names them: the layer's name, with a suffix `_1`, … if repeated. @type {(model: JsonObject) => string[]} */
function outputNames(model) {
  if (model.get('class_name') === 'Sequential') return membersOf(model).slice(-1).map((one) => layerOf(one).name);
  /** @type {string[]} */
  const names = [];
  for (const layer of references(model.get('config').get('output_layers'))) {
    const count = names.filter((name) => name === layer || name.replace(/_[^_]*$/, '') === layer).length;
    names.push(names.includes(layer) ? `${layer}_${count}` : layer);
  }
  return names;
}

/** Layer names from `[[name, node, tensor], …]`, or from a single such triple. @type {(places: any) => string[]} */
function references(places) {
  if (!Array.isArray(places)) throw new Error('its inputs or outputs are not a list, and tfjs supports only lists');
  if (typeof places[0] === 'string') return [places[0]];
  return places.map((place) => {
    if (Array.isArray(place) && typeof place[0] === 'string') return place[0];
    throw new Error('its inputs or outputs are nested, and tfjs supports only one flat list');
  });
}
