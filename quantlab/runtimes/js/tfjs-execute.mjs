/** Executes a loaded graph-model on a batch, and names the missing op if that fails. */

import { bytesOf, feedOf } from './dtypes.mjs';
import { checkOutputShape, JobError } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('@tensorflow/tfjs-core').Tensor} Tensor */
/** @typedef {import('@tensorflow/tfjs-core').DataTypeMap[import('@tensorflow/tfjs-core').NumericDataType]} Values */
/** @typedef {import('@tensorflow/tfjs-converter').GraphModel} GraphModel */
/** @typedef {typeof import('@tensorflow/tfjs-converter')} Converter */
/** @typedef {typeof import('@tensorflow/tfjs-core') & Pick<Converter, 'loadGraphModel'>} Tf */
/** @typedef {{ name: string, op: string, input?: string[] }} GraphNode */
/** @typedef {{ node?: GraphNode[], library?: { function?: { nodeDef?: GraphNode[] }[] } }} Topology */
/** @typedef {Record<string, Tensor>} Feeds by the tensor's name in the graph */

/**
 * A loaded graph-model and its job.
 * @typedef {{ tf: Tf, model: GraphModel, topology: Topology, job: Job, platform: Platform }} Graph
 */

/**
 * @param {Graph} graph
 * @returns {Executor['predict']}
 */
export function predictor(graph) {
  const { job, platform } = graph;
  const execute = executor(graph.model);
  const names = outputNames(job);
  return (inputs, samples) => inScope(graph, async () => {
    const feeds = feedsOf(graph, inputs, samples);
    const started = platform.now();
    const results = await execute(feeds, names);
    const downloads = await Promise.all(results.map((result) => result.data()));
    const seconds = (platform.now() - started) / 1000;
    return { outputs: outputBytes(job, results, downloads, samples), seconds };
  });
}

/**
 * Call `work`, and dispose of its tensors afterwards.
 *
 * It uses a scope because `tidy` would end before the data are downloaded. A result may be one of the model's weights,
 * so results are not disposed of by name.
 * @template T
 * @param {Graph} graph
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inScope(graph, work) {
  const engine = graph.tf.engine();
  engine.startScope();
  try {
    return await work();
  } catch (error) {
    throw explained(error, graph);
  } finally {
    engine.endScope();
  }
}

/** @type {(graph: Graph, inputs: Uint8Array<ArrayBuffer>[], samples: number) => Feeds} */
export function feedsOf({ tf, job }, inputs, samples) {
  return Object.fromEntries(job.inputs.map((input, i) => {
    const { values, dtype } = feedOf(inputs[i], input);
    return [graphTensor(input.tensor), tf.tensor(values, [samples, ...input.shape], dtype)];
  }));
}

/** @type {(job: Job) => string[]} */
export function outputNames(job) {
  return job.outputs.map(({ tensor }) => graphTensor(tensor));
}

/** @type {(job: Job, results: Tensor[], downloads: Values[], samples: number) => Uint8Array[]} */
export function outputBytes(job, results, downloads, samples) {
  return job.outputs.map((output, i) => {
    checkOutputShape(output, results[i].shape, samples);
    return bytesOf(downloads[i], results[i].dtype, output);
  });
}

/** @type {(model: GraphModel) => (feeds: Feeds, names: string[]) => Promise<Tensor[]>} */
export function executor(model) {
  let synchronous = true;
  return async (feeds, names) => {
    try {
      if (synchronous) return [model.execute(feeds, names)].flat();
    } catch (error) {
      // Raised before any computation, for loops, branches and ops whose output shape depends on values.
      if (!(error instanceof Error && error.message.includes('executeAsync'))) throw error;
      synchronous = false;
    }
    return [await model.executeAsync(feeds, names)].flat();
  };
}

/**
 * An unambiguous name of a tensor of the graph: without `:0`, `x` could also be the `x` of the signature.
 * @param {string} tensor
 */
export function graphTensor(tensor) {
  return tensor.includes(':') ? tensor : `${tensor}:0`;
}

/** @type {(error: unknown, graph: Graph) => unknown} */
function explained(error, { topology, job }) {
  const message = error instanceof Error ? error.message : '';
  const fused = /^(\w+) only supports rank-1 bias/.exec(message)?.[1];
  if (fused) {
    return new JobError(`the ${job.backend} backend of tfjs adds only vectors in the op '${fused}', and this graph adds `
      + 'a tensor of higher rank there', fused);
  }
  if (message.startsWith('Cannot compute the outputs') && waitsForSwitch(topology)) {
    return new JobError('tfjs never enters the loop of this graph, because nodes in it wait for both branches of a '
      + 'Switch (control dependencies, as in recurrent layers of Keras 3); convert the model with quantlab, which '
      + 'removes them');
  }
  const kernel = /^Kernel '(\w+)' not registered/.exec(message)?.[1];
  if (!kernel) return error;
  const node = nodesOf(topology).find(needing(kernel));
  const user = node ? `node '${node.name}'` : 'this graph';
  return new JobError(`the ${job.backend} backend of tfjs lacks the op '${kernel}', which ${user} needs`, kernel);
}

/**
 * Whether a node has a control dependency on a Switch, of which tfjs computes one branch only.
 * @param {Topology} topology
 */
function waitsForSwitch({ node: nodes = [] }) {
  const switches = new Set(nodes.filter(({ op }) => op === 'Switch').map(({ name }) => `^${name}`));
  return nodes.some(({ input = [] }) => input.some((name) => switches.has(name)));
}

/** @type {(topology: Topology) => GraphNode[]} */
function nodesOf(topology) {
  return [...topology.node ?? [], ...functionNodesOf(topology)];
}

/** @type {(topology: Topology) => GraphNode[]} */
export function functionNodesOf({ library }) {
  return (library?.function ?? []).flatMap(({ nodeDef = [] }) => nodeDef);
}

/**
 * Ops that tfjs computes with kernels that have other names.
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
  // The kernel of the op _FusedConv2D is FusedConv2D, that of FusedDepthwiseConv2dNative is FusedDepthwiseConv2D.
  const plain = (/** @type {string} */ name) => name.toLowerCase().replace(/^_/, '').replace(/native$/, '');
  return ({ op }) => plain(op) === plain(kernel);
}
