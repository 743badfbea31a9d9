/** Finds the layer from the name of a graph node, as `quantlab/layer_names.py` does. */

const CALL = /^(?:Stateful)?PartitionedCall(?:_\d+)?$/;
const NUMBER = /_(\d+)$/;

/** Scopes that ops open inside a layer; no default name of a Keras layer is among them. */
const INNER_SCOPES = new Set([
  'BiasAdd', 'Cast', 'Conv1D', 'Conv2D', 'FusedBatchNormV3', 'Gelu', 'MatMul', 'Reshape', 'TensorArrayUnstack',
  'TensorArrayV2Stack', 'Tensordot', 'batchnorm', 'convolution', 'depthwise', 'einsum', 'moments', 'ones',
  'strided_slice', 'while', 'zeros',
]);

/** Op names that only Keras 2 produces. */
const KERAS_2_OPS = new Set(['Conv2D', 'FusedBatchNormV3']);

/**
 * The parts of a node's name, without the output number and the enclosing function calls.
 * @param {string} name
 */
function pathOf(name) {
  return name.split(':')[0].split('/').filter((part) => part && !CALL.test(part));
}

/**
 * The path of a node's layer, from the outermost scope; empty for a node outside every layer.
 * @param {string} name
 * @returns {string[]}
 */
function layerOf(name) {
  let scopes = pathOf(name).slice(0, -1);
  if (scopes[0] === 'Func') return [];
  // A loop in a layer is that layer's; one in the model itself may hold many layers.
  const loop = scopes.findIndex((scope, place) => place > 1 && scope.replace(NUMBER, '') === 'while');
  if (loop >= 0) scopes = scopes.slice(0, loop);
  const dropped = new Set();
  // The outermost scope is kept, and so is a layer named `batchnorm` that contains the scope `batchnorm`.
  while (scopes.length > 1) {
    const scope = scopes[scopes.length - 1].replace(NUMBER, '');
    if (!INNER_SCOPES.has(scope) || dropped.has(scope)) break;
    dropped.add(scope);
    scopes.pop();
  }
  return scopes;
}

/**
 * Each node's layer as in the model's summary, for example `block/conv2d`: without the model's own scope, if every
 * layer is inside it, and without the `_1` that Keras 3 appends to every name.
 * @param {string[]} names
 * @returns {Map<string, string>}
 */
export function layersOf(names) {
  let paths = new Map(names.map((name) => [name, layerOf(name)]));
  const layers = [...paths.values()].filter((path) => path.length);
  const keras2 = names.some((name) => KERAS_2_OPS.has(pathOf(name).pop() ?? ''));
  if (!keras2 && isNumbered(layers)) {
    paths = new Map([...paths].map(([name, path]) => [name, path.map((part) => part.replace(/_1$/, ''))]));
  }
  const outermost = new Set([...paths.values()].flatMap((path) => path.slice(0, 1)));
  const shared = outermost.size === 1 && [...paths.values()].some((path) => path.length > 1);
  const inner = (/** @type {string[]} */ path) => (shared && path.length > 1 ? path.slice(1) : path);
  return new Map([...paths].map(([name, path]) => [name, inner(path).join('/')]));
}

/**
 * Whether every name has a number, and each name with another number also occurs with `_1`.
 * @param {string[][]} layers
 */
function isNumbered(layers) {
  const scopes = new Set(layers.flatMap((path) => path.map((_, depth) => path.slice(0, depth + 1).join('/'))));
  return scopes.size > 0 && [...scopes].every((scope) => (
    /_\d+$/.test(scope) && scopes.has(scope.replace(NUMBER, '_1'))));
}
