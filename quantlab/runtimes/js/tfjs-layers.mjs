/** Runs a tfjs layers-model from its JSON file and shards, with the `tf` that the entry passes. */

import { bytesOf, feedOf, floatsOf } from './dtypes.mjs';
import { checkOutputShape, JobError } from './run.mjs';
import {
  artifactFiles, chooseBackend, environmentOf, readModelArtifacts, readModelDocument,
} from './tfjs-artifact.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./tfjs-artifact.mjs').ModelJSON} ModelJSON */
/** @typedef {import('@tensorflow/tfjs-core').Tensor} Tensor */
/** @typedef {import('@tensorflow/tfjs-core').DataTypeMap[import('@tensorflow/tfjs-core').NumericDataType]} Values */
/** @typedef {typeof import('@tensorflow/tfjs-layers')} Layers */
/** @typedef {import('@tensorflow/tfjs-layers').LayersModel} LayersModel */
/** @typedef {import('@tensorflow/tfjs-layers').SymbolicTensor} SymbolicTensor */
/** @typedef {LayersModel['layers'][number]} Layer */
/** @typedef {typeof import('@tensorflow/tfjs-core') & Pick<Layers, 'loadLayersModel' | 'model'>} Tf */
/** @typedef {Uint8Array<ArrayBuffer>[]} Inputs the bytes of each of the job's inputs */

/**
 * A loaded layers-model and its job.
 * @typedef {object} Loaded
 * @property {Tf} tf
 * @property {LayersModel} model
 * @property {() => string} running name of the layer that was called last
 * @property {Job} job
 * @property {Platform} platform
 */

/**
 * Load a layers-model on the job's backend.
 * @param {Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openLayersModel(tf, job, platform) {
  const model = await loadLayers(tf, job, platform);
  const loaded = { tf, model, running: follow(model.layers), job, platform };
  return {
    backend: job.backend,
    environment: await environmentOf(tf, job.backend),
    predict: predictor(loaded),
    tap: tapper(loaded),
    // Not the model's `dispose`, which does not free the weights of a layer that is called twice.
    close: () => model.weights.forEach((weight) => weight.dispose()),
  };
}

/**
 * Load a layers-model on the job's backend, for any kind of call.
 * @param {Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<LayersModel>}
 */
export async function loadLayers(tf, job, platform) {
  const files = artifactFiles(job, platform);
  const document = await readModelDocument(files);
  refuseOtherFormats(document, files.json);
  const artifacts = await readModelArtifacts(tf, document, files);
  await chooseBackend(tf, job.backend);
  return tf.loadLayersModel(tf.io.fromMemory(artifacts));
}

/** @type {(document: ModelJSON, json: string) => void} */
function refuseOtherFormats({ format, modelTopology }, json) {
  if (format !== 'graph-model' && modelTopology) return;
  throw new JobError(`${json} holds ${format === 'graph-model' ? 'a graph-model' : 'weights alone'}, and this is to `
    + 'be a layers-model; convert the model with tensorflowjs_converter --output_format=tfjs_layers_model');
}

/**
 * Record which layer runs, so that the error about a missing op can name it.
 * @param {Layer[]} layers
 */
function follow(layers) {
  let last = '';
  for (const layer of layers) {
    const call = layer.call.bind(layer);
    layer.call = (...given) => {
      last = layer.name;
      return call(...given);
    };
  }
  return () => last;
}

/**
 * @param {Loaded} loaded
 * @returns {Executor['predict']}
 */
function predictor(loaded) {
  const compute = computer(loaded, loaded.model);
  return async (inputs, samples) => {
    const { values, seconds } = await compute(inputs, samples);
    return { outputs: outputBytes(loaded.job, values, samples), seconds };
  };
}

/**
 * The outputs of layers are outputs of a second model with the same layers. The name of a tap is that of its layer,
 * with the number of the call if the model calls the layer again, for example `dense:1`.
 * @param {Loaded} loaded
 * @returns {Executor['tap']}
 */
function tapper(loaded) {
  const { tf, model, job } = loaded;
  /** @type {Map<string, string>} */
  const failed = new Map();
  /** @type {{ name: string, tensor: SymbolicTensor }[]} */
  const kept = [];
  for (const name of job.taps?.names ?? []) {
    const tensor = outputOf(model, name);
    if (typeof tensor === 'string') failed.set(name, tensor);
    else kept.push({ name, tensor });
  }
  // A set, because tfjs computes an output that is requested twice only once.
  const outputs = [...new Set([...model.outputs, ...kept.map(({ tensor }) => tensor)])];
  const compute = computer(loaded, kept.length ? tf.model({ inputs: model.inputs, outputs }) : model);
  return async (inputs, samples) => {
    const { values, seconds } = await compute(inputs, samples);
    const taps = kept.map(({ name, tensor }) => tapOf(name, values[outputs.indexOf(tensor)]));
    return { outputs: outputBytes(job, values, samples), taps, failed, seconds };
  };
}

/**
 * The tensor of a tap, or the reason why it cannot be read.
 * @type {(model: LayersModel, name: string) => SymbolicTensor | string}
 */
function outputOf(model, name) {
  const [layerName, call = '0'] = name.split(':');
  const layer = model.layers.find((candidate) => candidate.name === layerName);
  const node = layer && nodesOf(model, layer)[Number(call)];
  if (!node) return 'the model has no layer of this name';
  const [output] = node.outputTensors;
  if (node.outputTensors.length > 1) return `the layer gives ${node.outputTensors.length} outputs, which are not read`;
  if (output.shape[0] !== null) return `the first dimension of its shape [${output.shape.join(', ')}] is not the batch`;
  return output;
}

/**
 * The calls of a layer that belong to the model; a nested model has one more call from its own construction.
 * @param {LayersModel} model
 * @param {Layer} layer
 * @returns {{ outputTensors: SymbolicTensor[] }[]}
 */
function nodesOf(model, layer) {
  /** @typedef {{ containerNodes: Set<string>, model?: { containerNodes: Set<string> } }} Nodes */
  const { containerNodes, model: inner } = /** @type {Nodes} */ (/** @type {unknown} */ (model));
  // A Sequential keeps its graph in an inner model.
  const nodes = inner?.containerNodes ?? containerNodes;
  return layer.inboundNodes.filter((_, i) => nodes.has(`${layer.name}_ib-${i}`));
}

/** @typedef {{ shape: number[], dtype: string, data: Values }} Downloaded */

/**
 * Compute a model's outputs for a batch and download them.
 *
 * It uses a scope because `tidy` would end before the data are downloaded.
 * @param {Loaded} loaded
 * @param {LayersModel} model
 * @returns {(inputs: Inputs, samples: number) => Promise<{ values: Downloaded[], seconds: number }>}
 */
function computer(loaded, model) {
  const { tf, platform } = loaded;
  return async (inputs, samples) => {
    tf.engine().startScope();
    try {
      const feeds = feedsOf(loaded, inputs, samples);
      const started = platform.now();
      const results = [model.predictOnBatch(feeds)].flat();
      /** @type {Values[]} */
      const data = await Promise.all(results.map((result) => result.data()));
      const seconds = (platform.now() - started) / 1000;
      return { values: results.map(({ shape, dtype }, i) => ({ shape, dtype, data: data[i] })), seconds };
    } catch (error) {
      throw nameMissingOp(error, loaded);
    } finally {
      tf.engine().endScope();
    }
  };
}

/** @type {(loaded: Loaded, inputs: Inputs, samples: number) => Tensor[]} */
function feedsOf({ tf, model, job }, inputs, samples) {
  /** @type {Tensor[]} */
  const feeds = Array(model.inputs.length);
  for (const [i, input] of job.inputs.entries()) {
    const { values, dtype } = feedOf(inputs[i], input);
    feeds[input.position] = tf.tensor(values, [samples, ...input.shape], dtype);
  }
  return feeds;
}

/** @type {(job: Job, values: Downloaded[], samples: number) => Uint8Array[]} */
function outputBytes(job, values, samples) {
  return job.outputs.map((output) => {
    const { shape, dtype, data } = values[output.position];
    checkOutputShape(output, shape, samples);
    return bytesOf(data, dtype, output);
  });
}

/** @type {(name: string, value: Downloaded) => import('./run.mjs').Tap} */
function tapOf(name, { shape, dtype, data }) {
  return { name, shape: shape.slice(1), computed_in: dtype, ...floatsOf(data, dtype) };
}

/** @type {(error: unknown, loaded: Loaded) => unknown} */
function nameMissingOp(error, { job, running }) {
  const kernel = error instanceof Error && /^Kernel '(\w+)' not registered/.exec(error.message)?.[1];
  if (!kernel) return error;
  return new JobError(`the ${job.backend} backend of tfjs lacks the op '${kernel}', which layer '${running()}' needs`,
    kernel);
}
