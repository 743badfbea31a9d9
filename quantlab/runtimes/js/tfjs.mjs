/** Runs a tfjs graph-model from its own `model.json` and shards, with a `tf` that the entry brings. */

import { bytesOf, feedOf } from './dtypes.mjs';
import { checkOutputShape, JobError } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('@tensorflow/tfjs-core').Tensor} Tensor */
/** @typedef {import('@tensorflow/tfjs-core').io.ModelJSON} ModelJSON */
/** @typedef {import('@tensorflow/tfjs-core').io.WeightsManifestEntry} WeightsManifestEntry */
/** @typedef {import('@tensorflow/tfjs-core').io.WeightsManifestConfig[number]} WeightGroup */
/** @typedef {import('@tensorflow/tfjs-converter').GraphModel} GraphModel */
/** @typedef {typeof import('@tensorflow/tfjs-converter')} Converter */
/** @typedef {typeof import('@tensorflow/tfjs-core') & Pick<Converter, 'loadGraphModel'>} Tf */
/** @typedef {{ name: string, op: string }} GraphNode */
/** @typedef {{ node?: GraphNode[], library?: { function?: { nodeDef?: GraphNode[] }[] } }} Topology */

/**
 * Load a graph-model and give it the job's backend.
 * @param {Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openGraphModel(tf, job, platform) {
  const document = await readModelDocument(job.artifact, platform);
  const artifacts = await tf.io.getModelArtifactsForJSON(document, async (groups) => {
    const shards = [];
    for (const group of groups) shards.push(...await readShards(group, job.artifact, platform));
    return [tf.io.getWeightSpecs(groups), shards];
  });
  await chooseBackend(tf, job.backend);
  const model = await tf.loadGraphModel(tf.io.fromMemory(artifacts));
  return {
    backend: job.backend,
    environment: await environmentOf(tf, job.backend),
    predict: predictor(tf, model, /** @type {Topology} */ (document.modelTopology), job, platform),
    close: () => model.dispose(),
  };
}

/** @type {(folder: string, platform: Platform) => Promise<ModelJSON>} */
async function readModelDocument(folder, platform) {
  const text = new TextDecoder().decode(await platform.readArtifact(`${folder}/model.json`));
  const document = parseModelDocument(text);
  if (document.format !== 'graph-model' || !document.modelTopology) {
    throw new JobError(`model.json holds ${document.format ? `a ${document.format}` : 'no graph-model'}, and only `
      + 'graph-models run here; convert the model with tensorflowjs_converter --output_format=tfjs_graph_model');
  }
  return { ...document, weightsManifest: document.weightsManifest ?? [] };
}

/** @type {(text: string) => ModelJSON} */
function parseModelDocument(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new JobError(`model.json is not JSON (${/** @type {Error} */ (error).message}); convert the model again`);
  }
}

/** @type {(group: WeightGroup, folder: string, platform: Platform) => Promise<ArrayBuffer[]>} */
async function readShards(group, folder, platform) {
  group.paths.forEach(refuseClimbing);
  const shards = [];
  for (const path of group.paths) shards.push(await platform.readArtifact(`${folder}/${path}`));
  checkShardSize(group, shards.reduce((sum, shard) => sum + shard.byteLength, 0));
  return shards.map((shard) => shard.buffer.slice(shard.byteOffset, shard.byteOffset + shard.byteLength));
}

/** @type {(path: string) => void} */
function refuseClimbing(path) {
  // A browser reads %2e as a dot, and a backslash as a slash.
  const segments = path.replaceAll(/%2e/gi, '.').split(/[\\/]|%2f|%5c/i);
  if (segments[0] !== '' && !segments[0].includes(':') && !segments.includes('..')) return;
  throw new JobError(`model.json names the weight file '${path}', which lies outside the variant's folder; nothing `
    + 'outside is read, so convert the model again');
}

/** @type {(group: WeightGroup, actual: number) => void} */
function checkShardSize({ paths, weights }, actual) {
  // The length of strings is told by the shard itself.
  if (weights.some(({ dtype }) => dtype === 'string')) return;
  const expected = weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
  if (actual === expected) return;
  const files = paths.map((path) => `'${path}'`).join(', ');
  const verb = paths.length > 1 ? 'hold' : 'holds';
  throw new JobError(`${files} ${verb} ${actual} bytes, and model.json describes ${expected}; a copy was cut short `
    + 'or mixed with another, so convert the model again');
}

const STORED_BYTES = Object.freeze(/** @type {Record<string, number>} */ ({
  float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2, complex64: 8,
}));

/** @type {(weight: WeightsManifestEntry) => number} */
function weightBytes({ shape, dtype, quantization }) {
  return shape.reduce((product, size) => product * size, STORED_BYTES[quantization?.dtype ?? dtype]);
}

/** @type {(tf: Tf, backend: string) => Promise<void>} */
async function chooseBackend(tf, backend) {
  if (tf.findBackendFactory(backend) && await tf.setBackend(backend)) return;
  throw new JobError(`tfjs could not start its backend '${backend}'; 'quantlab doctor' tells which run here`);
}

/** @type {(tf: Tf, backend: string) => Promise<Record<string, string>>} */
async function environmentOf(tf, backend) {
  const versions = { tfjs: tf.version_core, backend };
  if (backend !== 'wasm') return versions;
  return { ...versions, wasm_simd: await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT') ? 'yes' : 'no' };
}

/** @type {(tf: Tf, model: GraphModel, topology: Topology, job: Job, platform: Platform) => Executor['predict']} */
function predictor(tf, model, topology, job, platform) {
  const execute = executor(model, job.outputs.map(({ tensor }) => graphTensor(tensor)));
  return async (inputs, samples) => {
    // A scope and not tidy, which would have to end before the data are here. A result may be one of the model's
    // own weights, so nothing is disposed by name.
    tf.engine().startScope();
    try {
      const feeds = Object.fromEntries(job.inputs.map((input, i) => {
        const { values, dtype } = feedOf(inputs[i], input);
        return [graphTensor(input.tensor), tf.tensor(values, [samples, ...input.shape], dtype)];
      }));
      const started = platform.now();
      const results = await execute(feeds);
      const downloads = await Promise.all(results.map((result) => result.data()));
      const seconds = (platform.now() - started) / 1000;
      const outputs = job.outputs.map((output, i) => {
        checkOutputShape(output, results[i].shape, samples);
        return bytesOf(downloads[i], results[i].dtype, output);
      });
      return { outputs, seconds };
    } catch (error) {
      throw nameMissingOp(error, topology, job.backend);
    } finally {
      tf.engine().endScope();
    }
  };
}

/** @type {(model: GraphModel, outputs: string[]) => (feeds: Record<string, Tensor>) => Promise<Tensor[]>} */
function executor(model, outputs) {
  let synchronous = true;
  return async (feeds) => {
    try {
      if (synchronous) return [model.execute(feeds, outputs)].flat();
    } catch (error) {
      // Loops, branches and ops whose output's shape depends on values say so before anything is computed.
      if (!(error instanceof Error && error.message.includes('executeAsync'))) throw error;
      synchronous = false;
    }
    return [await model.executeAsync(feeds, outputs)].flat();
  };
}

/**
 * A name that can only mean a tensor of the graph: without its `:0`, `x` could be the signature's `x` as well.
 * @param {string} tensor
 */
function graphTensor(tensor) {
  return tensor.includes(':') ? tensor : `${tensor}:0`;
}

/** @type {(error: unknown, topology: Topology, backend: string) => unknown} */
function nameMissingOp(error, topology, backend) {
  const kernel = error instanceof Error && /^Kernel '(\w+)' not registered/.exec(error.message)?.[1];
  if (!kernel) return error;
  const node = nodesOf(topology).find(needing(kernel));
  const user = node ? `node '${node.name}'` : 'this graph';
  return new JobError(`the ${backend} backend of tfjs lacks the op '${kernel}', which ${user} needs`, kernel);
}

/** @type {(topology: Topology) => GraphNode[]} */
function nodesOf({ node = [], library }) {
  return [...node, ...(library?.function ?? []).flatMap(({ nodeDef = [] }) => nodeDef)];
}

/**
 * Ops that tfjs computes with kernels of other names.
 * @type {Record<string, RegExp>}
 */
const COMPOSED = Object.freeze({
  Complex: /^(Complex|I?R?FFT)$/, Real: /^(Real|I?R?FFT)$/, Imag: /^(Imag|I?R?FFT)$/, FFT: /^R?FFT$/, IFFT: /^IR?FFT$/,
  ComplexAbs: /^(Complex)?Abs$/, UnsortedSegmentSum: /SegmentSum$/,
});

/** @type {(kernel: string) => (node: GraphNode) => boolean} */
function needing(kernel) {
  const composed = COMPOSED[kernel];
  if (composed) return ({ op }) => composed.test(op);
  // The kernel FusedConv2D computes the op _FusedConv2D, and FusedDepthwiseConv2D the op FusedDepthwiseConv2dNative.
  const plain = (/** @type {string} */ name) => name.toLowerCase().replace(/^_/, '').replace(/native$/, '');
  return ({ op }) => plain(op) === plain(kernel);
}
