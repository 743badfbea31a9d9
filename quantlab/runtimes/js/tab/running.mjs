/** Makes samples of what was dropped, runs everything, and shows the results. */

import { writeZip } from './arrays.mjs';
import { chosen, LAYER_SAMPLES } from './choices.mjs';
import { breathe } from './elements.mjs';
import { runExperiment } from './experiment.mjs';
import { count } from './shown-figures.mjs';
import { tensorOf } from './images.mjs';
import { compareLayers } from './layers.mjs';
import { measure } from './measure.mjs';
import { chosenPipeline } from './pictures.mjs';
import { drawFile, drawSample } from './pixels.mjs';
import { hostOf } from './place.mjs';
import { showResults } from './results.mjs';
import { samplesOf } from './samples.mjs';
import { AS_GIVEN, downloadBytes, makeVariant } from './settings.mjs';
import { studyFiles } from './study.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */
/** @typedef {import('./types.mjs').Drop} Drop */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./measure.mjs').Backend} Backend */
/** @typedef {import('./experiment.mjs').Result} Result */
/** @typedef {import('./experiment.mjs').Tell} Tell */
/** @typedef {import('../preprocessing.mjs').Pipeline} Pipeline */

/**
 * @typedef {object} Held
 * @property {Artifact} artifact
 * @property {Artifact[]} given
 * @property {Drop['arrays']} arrays
 * @property {DroppedFile[]} images
 * @property {Int32Array | null} imageLabels
 * @property {string[] | null} classNames
 */

/** Where the reference runs: WebAssembly, and plain JavaScript if it lacks an op. */
const REFERENCES = Object.freeze(/** @type {Record<Artifact['format'], Backend[]>} */ ({
  tfjs: ['wasm', 'cpu'], 'tfjs-layers': ['wasm', 'cpu'], tflite: ['wasm'], onnx: ['wasm'],
}));

/**
 * @param {Held} held
 * @param {HTMLElement} place for the results
 * @param {Tell} tell
 * @param {AbortSignal} signal
 */
export async function runHeld(held, place, tell, signal) {
  const { artifact, given, images } = held;
  const { settings, backends, layers, batchSize } = chosen();
  const pipeline = held.arrays ? null : chosenPipeline(artifact);
  const samples = await samplesFrom(held, pipeline, tell, signal);
  const runtimeOf = (/** @type {Backend} */ backend) => `${hostOf()}-${backend}`;
  const plan = {
    artifact, given, samples, settings, backends, references: REFERENCES[artifact.format], batchSize,
    layerSamples: layers ? Math.min(LAYER_SAMPLES, samples.n) : 0,
  };
  const engine = { makeVariant: makeOrKeep, downloadBytes, measure, compareLayers, runtimeOf };
  const result = await runExperiment(engine, plan, tell, signal);
  const [created, version] = [new Date().toISOString().replace(/\.\d+Z$/, '+00:00'), await versionOfQuantlab()];
  place.hidden = false;
  showResults(place, {
    result,
    samples,
    preprocessing: pipeline ? inWords(pipeline) : '',
    picture: (sample) => pictureOf(samples, pipeline ? images : [], sample),
    artifactZip: async (made) => writeZip(made.files),
    studyZip: async () => writeZip(studyOf(result, samples, { batchSize, source: sourceOf(held), version, created })),
  });
}

/** @type {(artifact: Artifact, setting: string) => Promise<Artifact>} */
async function makeOrKeep(artifact, setting) {
  return setting === AS_GIVEN ? artifact : makeVariant(artifact, setting);
}

/** @type {(held: Held, pipeline: Pipeline | null, tell: Tell, signal: AbortSignal) => Promise<Samples>} */
async function samplesFrom({ artifact, arrays, images, imageLabels, classNames }, pipeline, tell, signal) {
  if (!pipeline) return samplesOf(artifact, { arrays: /** @type {Map<string, Tensor>} */ (arrays), classNames });
  const tensor = await tensorOf(images, pipeline, async (done) => {
    tell(`Decoding images: ${count(done)} of ${count(images.length)}`, 0, null);
    await breathe();
    signal.throwIfAborted();
  });
  const names = images.map(({ path }) => path);
  return samplesOf(artifact, {
    arrays: new Map([[artifact.inputs[0].name, tensor]]), classNames, labels: imageLabels, names, text: 'the images',
  });
}

/** @type {(samples: Samples, images: DroppedFile[], sample: number) => Promise<HTMLCanvasElement | null>} */
async function pictureOf({ inputs, names }, images, sample) {
  const file = images.find(({ path }) => path === names[sample]);
  if (file) return drawFile(new Blob([/** @type {BlobPart} */ (await file.bytes())]));
  const [first] = inputs.values();
  return drawSample(first, sample);
}

/** @param {Pipeline} pipeline */
function inWords({ resizer, resize, size, aspect, colour, scale, offset }) {
  const numbers = (/** @type {number[]} */ values) => values.map((value) => Number(value.toPrecision(6))).join(', ');
  return `Images were decoded by this browser, resized to ${size.join('×')} (${resizer}, ${resize}, ${aspect}), in the order `
    + `${colour}, and fed as pixel × ${numbers(scale)} + ${numbers(offset)}.`.replace('+ -', '− ');
}

/** The version that `quantlab page` has written. */
async function versionOfQuantlab() {
  try {
    return String((await (await fetch('version.json')).json()).quantlab);
  } catch {
    return 'not told';
  }
}

/** The name of what was dropped as samples. @param {Held} held */
function sourceOf({ arrays, images }) {
  if (arrays) return [...arrays.keys()].join(', ');
  return images[0].path.includes('/') ? images[0].path.split('/')[0] : 'images';
}

/**
 * @type {(result: Result, samples: Samples, about: { batchSize: number, source: string, version: string, created: string })
 *   => Map<string, Uint8Array>}
 */
function studyOf({ measured, referenceRun, layers }, samples, { batchSize, source, version, created }) {
  const { trials, artifact } = measured;
  const rows = trials.filter((trial) => trial.artifact).map((trial) => ({
    artifact: { .../** @type {Artifact} */ (trial.artifact), setting: trial.setting },
    download: { gzip: Number(trial.gzip), bytes: bytesOf(/** @type {Artifact} */ (trial.artifact)) },
    runtime: trial.runtime,
    measured: trial.run,
    failure: trial.reason,
  }));
  const unmade = trials.filter((trial) => !trial.artifact).map(({ setting, reason }) => `${setting}: ${reason}`);
  const { environment } = referenceRun;
  const versions = { quantlab: version, ...(environment.tfjs ? { tfjs: environment.tfjs } : {}) };
  const compared = layers.filter(({ rows: own }) => own.length);
  const inside = compared.length ? {
    rows: compared.flatMap(({ rows: own }) => own), notes: [], samples: Math.min(LAYER_SAMPLES, samples.n),
    drawn: samples.n > LAYER_SAMPLES ? 'stratified, seed 0' : 'all',
  } : null;
  return studyFiles({
    artifact, reference: referenceRun, rows, samples, source, batchSize, versions, created, layers: inside,
    warnings: unmade,
  });
}

/** @param {Artifact} artifact */
function bytesOf({ files }) {
  return [...files.values()].reduce((sum, file) => sum + file.byteLength, 0);
}
