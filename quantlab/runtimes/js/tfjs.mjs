/** Runs a tfjs graph-model from its JSON file and shards, with the `tf` that the entry passes. */

import { JobError } from './run.mjs';
import {
  artifactFiles, chooseBackend, environmentOf, readModelArtifacts, readModelDocument,
} from './tfjs-artifact.mjs';
import { predictor } from './tfjs-execute.mjs';
import { tapper } from './tfjs-taps.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./tfjs-execute.mjs').Tf} Tf */
/** @typedef {import('./tfjs-execute.mjs').Topology} Topology */

/**
 * Load a graph-model on the job's backend.
 * @param {Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<Executor>}
 */
export async function openGraphModel(tf, job, platform) {
  const { model, document } = await loadGraph(tf, job, platform);
  const graph = { tf, model, topology: /** @type {Topology} */ (document.modelTopology), job, platform };
  return {
    backend: job.backend,
    environment: await environmentOf(tf, job.backend),
    predict: predictor(graph),
    tap: tapper(graph),
    close: () => model.dispose(),
  };
}

/**
 * Load a graph-model on the job's backend, for any kind of call.
 * @param {Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 */
export async function loadGraph(tf, job, platform) {
  const files = artifactFiles(job, platform);
  const document = await readModelDocument(files);
  refuseOtherFormats(document, files.json);
  refuseCapturedInputs(document);
  const artifacts = await readModelArtifacts(tf, document, files);
  await chooseBackend(tf, job.backend);
  return { model: await tf.loadGraphModel(tf.io.fromMemory(artifacts)), document };
}

/** @type {(document: import('./tfjs-artifact.mjs').ModelJSON, json: string) => void} */
function refuseOtherFormats({ format, modelTopology }, json) {
  // Early converters do not state the format; a graph has nodes.
  if (format === 'graph-model' && modelTopology) return;
  if (!format && /** @type {Topology} */ (modelTopology)?.node) return;
  throw new JobError(`${json} holds ${format ? `a ${format}` : 'no graph-model'}, and this is to be a graph-model; `
    + 'convert the model with tensorflowjs_converter --output_format=tfjs_graph_model');
}

/**
 * Inputs that the model computes itself when it is first called: the scope of a call would free them.
 * @type {(document: import('./tfjs-artifact.mjs').ModelJSON) => void}
 */
function refuseCapturedInputs({ modelInitializer, signature, userDefinedMetadata }) {
  const { inputs = {} } = /** @type {{ inputs?: Record<string, object> }} */ (
    signature ?? /** @type {{ signature?: object }} */ (userDefinedMetadata)?.signature ?? {});
  if (!modelInitializer || !Object.values(inputs).some((info) => 'resourceId' in info)) return;
  // As in worker/tfjs_graph.py.
  throw new JobError('the model computes weights in a modelInitializer when it is first called, and TensorFlow.js frees '
    + 'them if that is inside tf.tidy; store them in the main graph, as tfjs-uint8-per-channel does');
}
