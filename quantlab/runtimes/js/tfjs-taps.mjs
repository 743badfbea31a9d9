/**
 * Reads the tensors inside an unchanged graph-model: any node can be computed in addition to the outputs.
 *
 * Tensors that cannot be read are determined once and then left out, so that the others can be read.
 */

import { floatsOf } from './dtypes.mjs';
import { JobError } from './run.mjs';
import {
  executor, feedsOf, functionNodesOf, graphTensor, inScope, outputBytes, outputNames,
} from './tfjs-execute.mjs';

/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').Tap} Tap */
/** @typedef {import('./tfjs-execute.mjs').Tensor} Tensor */
/** @typedef {import('./tfjs-execute.mjs').Values} Values */
/** @typedef {import('./tfjs-execute.mjs').Graph} Graph */
/** @typedef {import('./tfjs-execute.mjs').GraphNode} GraphNode */
/** @typedef {import('./tfjs-execute.mjs').Topology} Topology */
/** @typedef {import('./tfjs-execute.mjs').Feeds} Feeds */
/** @typedef {Uint8Array<ArrayBuffer>[]} Inputs the bytes of each of the job's inputs */

/**
 * What is known about the taps so far.
 * @typedef {object} Known
 * @property {string[]} readable names, in the job's order
 * @property {Map<string, string>} failed reasons by name
 * @property {Map<string, number[]>} shapes of one sample, by name
 */

/** @typedef {Known & { graph: Graph, execute: ReturnType<typeof executor> }} Tapping */

/**
 * @param {Graph} graph
 * @returns {Executor['tap']}
 */
export function tapper(graph) {
  const known = screened(graph.job.taps?.names ?? [], graph.topology);
  const tapping = { ...known, graph, execute: executor(graph.model) };
  let surveyed = false;
  return async (inputs, samples) => {
    if (!surveyed) await survey(tapping, inputs, samples);
    surveyed = true;
    return inScope(graph, () => tapBatch(tapping, inputs, samples));
  };
}

/**
 * Exclude taps that cannot be read, as far as the graph shows it.
 * @param {string[]} names
 * @param {Topology} topology
 * @returns {Known}
 */
function screened(names, topology) {
  const reasonOf = screen(topology);
  /** @type {Known} */
  const known = { readable: [], failed: new Map(), shapes: new Map() };
  for (const name of names) {
    const reason = reasonOf(nodeName(name));
    if (reason) known.failed.set(name, reason);
    else known.readable.push(name);
  }
  return known;
}

/** @type {(topology: Topology) => (node: string) => string | undefined} */
function screen(topology) {
  const nodes = topology.node ?? [];
  const inGraph = new Set(nodes.map(({ name }) => name));
  const inFunctions = new Set(functionNodesOf(topology).map(({ name }) => name));
  const inLoops = loopNodes(nodes);
  return (node) => {
    if (inLoops.has(node)) return 'it is inside a loop, with a value per iteration; results of the loop can be read';
    if (inGraph.has(node)) return undefined;
    if (inFunctions.has(node)) return 'it is inside a function called by the graph, whose tensors tfjs does not return';
    return 'the graph has no node of this name';
  };
}

/**
 * The names of the nodes inside loops, that is, from the entries to the exits; the exits are outside.
 * @param {GraphNode[]} nodes
 */
function loopNodes(nodes) {
  const inside = new Set(nodes.filter(({ op }) => op === 'Enter').map(({ name }) => name));
  /** @type {Map<string, string[]>} */
  const consumers = new Map(nodes.map(({ name }) => [name, []]));
  for (const { name, op, input = [] } of nodes) {
    if (op !== 'Exit') input.forEach((source) => consumers.get(nodeName(source))?.push(name));
  }
  // Elements added to a set during iteration are visited, too.
  for (const name of inside) consumers.get(name)?.forEach((consumer) => inside.add(consumer));
  return inside;
}

/**
 * The name of the node of a tensor or a control input.
 * @param {string} tensor
 */
function nodeName(tensor) {
  return tensor.replace(/^\^/, '').split(':')[0];
}

/**
 * Run the first sample as a batch of two and then of three: tensors with a batch dimension grow; constants and shapes,
 * whose first dimension may equal the batch size by chance, do not.
 * @type {(tapping: Tapping, inputs: Inputs, samples: number) => Promise<void>}
 */
async function survey(tapping, inputs, samples) {
  const { graph } = tapping;
  // A graph with a fixed batch size would refuse them.
  if (graph.model.inputs.some(({ shape }) => (shape?.[0] ?? -1) > 0)) return;
  for (const copies of [2, 3]) {
    const repeated = inputs.map((bytes) => repeat(bytes.subarray(0, bytes.length / samples), copies));
    await inScope(graph, async () => {
      const results = await executeTapped(tapping, feedsOf(graph, repeated, copies));
      readableOf(tapping, results.slice(graph.job.outputs.length), copies);
    });
  }
}

/** @type {(bytes: Uint8Array, copies: number) => Uint8Array<ArrayBuffer>} */
function repeat(bytes, copies) {
  const repeated = new Uint8Array(copies * bytes.length);
  for (let copy = 0; copy < copies; copy += 1) repeated.set(bytes, copy * bytes.length);
  return repeated;
}

/** @type {(tapping: Tapping, inputs: Inputs, samples: number) => ReturnType<Executor['tap']>} */
async function tapBatch(tapping, inputs, samples) {
  const { job, platform } = tapping.graph;
  const feeds = feedsOf(tapping.graph, inputs, samples);
  const started = platform.now();
  const results = await executeTapped(tapping, feeds);
  const outputs = results.slice(0, job.outputs.length);
  const tapped = readableOf(tapping, results.slice(job.outputs.length), samples);
  /** @type {Values[]} */
  const downloads = await Promise.all([...outputs, ...tapped].map((tensor) => tensor.data()));
  const seconds = (platform.now() - started) / 1000;
  return {
    outputs: outputBytes(job, outputs, downloads, samples),
    taps: tapped.map((tensor, i) => tapOf(tapping.readable[i], tensor, downloads[outputs.length + i])),
    failed: tapping.failed,
    seconds,
  };
}

/** @type {(name: string, tensor: Tensor, values: Values) => Tap} */
function tapOf(name, { shape, dtype }, values) {
  return { name, shape: shape.slice(1), computed_in: dtype, ...floatsOf(values, dtype) };
}

/**
 * Compute the outputs and all readable taps in one run; if some taps fail, they are excluded and it runs again.
 * @type {(tapping: Tapping, feeds: Feeds) => Promise<Tensor[]>}
 */
async function executeTapped(tapping, feeds) {
  const { graph, execute, readable, failed } = tapping;
  try {
    return await execute(feeds, [...outputNames(graph.job), ...readable.map(graphTensor)]);
  } catch (error) {
    for (const name of readable) await tryAlone(tapping, name, feeds);
    tapping.readable = readable.filter((name) => !failed.has(name));
    if (tapping.readable.length === readable.length) throw error;
    return executeTapped(tapping, feeds);
  }
}

/** @type {(tapping: Tapping, name: string, feeds: Feeds) => Promise<void>} */
async function tryAlone({ graph, failed }, name, feeds) {
  try {
    // With its own executor: this tap may not need `executeAsync` even if the others do.
    await inScope(graph, () => executor(graph.model)(feeds, [graphTensor(name)]));
  } catch (error) {
    failed.set(name, whyNot(/** @type {Error} */ (error)));
  }
}

/** @param {Error} error */
function whyNot(error) {
  if (error instanceof JobError) return error.message;
  // Errors of tfjs for a node that was not reached, and for an output without a tensor.
  if (/Consider providing the following inputs|undefined \(reading 'id'\)/.test(error.message)) {
    return 'it has no value for these samples, because they do not take its branch';
  }
  return `tfjs could not compute it: ${error.message}`;
}

/**
 * The tensors that hold a batch of numbers; the others are excluded from now on.
 * @type {(tapping: Tapping, tensors: (Tensor | undefined)[], samples: number) => Tensor[]}
 */
function readableOf(tapping, tensors, samples) {
  const { readable, failed, shapes } = tapping;
  const kept = readable.flatMap((name, i) => {
    const tensor = tensors[i];
    const reason = tensor ? unreadable(tensor, samples, shapes.get(name)) : 'its node gives no such tensor';
    if (reason) failed.set(name, reason);
    return tensor && !reason ? [{ name, tensor }] : [];
  });
  kept.forEach(({ name, tensor }) => shapes.set(name, tensor.shape.slice(1)));
  tapping.readable = kept.map(({ name }) => name);
  return kept.map(({ tensor }) => tensor);
}

/** @type {(tensor: Tensor, samples: number, before?: number[]) => string | undefined} */
function unreadable({ shape, dtype }, samples, before) {
  if (dtype === 'string' || dtype === 'complex64') return `it is of the dtype ${dtype}, and only numbers can be read`;
  const now = shape.slice(1);
  if (shape[0] !== samples) {
    return `the first dimension of its shape is not the batch: for ${samples} samples it is [${shape.join(', ')}]`;
  }
  if (before && before.join() !== now.join()) {
    return `its shape changes: a sample was [${before.join(', ')}] before, and is [${now.join(', ')}] now`;
  }
}
