/** Writes a study that `quantlab show`, `report` and `verify` open, from what was measured in the page. */

import { constantNote, constantParts, sumChannels } from './channels.mjs';
import { outputRows } from './figures.mjs';
import { recordBytes } from './records.mjs';
import { comparedAs, scoreReference, scoreRow, taskOf } from './statistics.mjs';
import { modelSha256, storeOutputs, storeSamples, storeVariant } from './stored.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./measure.mjs').Measured} Measured */
/** @typedef {import('./statistics.mjs').Labels} Labels */
/** @typedef {import('./statistics.mjs').Compared} Compared */

/**
 * One variant on one backend.
 * @typedef {object} StudyRow
 * @property {string} [setting] by default that of the artifact
 * @property {Artifact | null} artifact null if it could not be made
 * @property {{ gzip: number, bytes: number }} download
 * @property {string} runtime what was asked for, for example `chromium-webgl`
 * @property {Measured | null} measured null if it failed
 * @property {string | null} failure why, in one sentence
 */

/**
 * The comparison of layers of all rows.
 * @typedef {object} StudyLayers
 * @property {object[]} rows as `quantlab.types.LayerRow`
 * @property {string[]} notes
 * @property {number} samples on which they were compared
 * @property {string} drawn which these are, in words
 */

/**
 * @typedef {object} StudyParts
 * @property {Artifact} artifact the float artifact that is the reference
 * @property {Measured} reference its run
 * @property {StudyRow[]} rows in the order of the table
 * @property {Samples} samples
 * @property {Labels} [labels] numbers of a regression; by default the classes of the samples
 * @property {string} [scored] name of the scored output; by default the first
 * @property {string} source name of what was dropped as samples
 * @property {string} [preprocessing] how files were turned into tensors, in words
 * @property {number} batchSize
 * @property {Record<string, string>} versions of quantlab, the libraries and the browser
 * @property {string} created time in UTC, ISO 8601
 * @property {StudyLayers | null} [layers]
 * @property {string[]} [warnings] sentences above the table
 */

/** What `kind` of a model an artifact is in Python. */
const KINDS = Object.freeze(/** @type {Record<Artifact['format'], string>} */ ({
  tfjs: 'graph-model', 'tfjs-layers': 'layers-model', tflite: 'TFLite', onnx: 'ONNX',
}));

const REFERENCE = 'reference';
const AS_GIVEN = 'as-given';

/**
 * The files of a study, by their paths below its folder.
 * @param {StudyParts} parts
 * @returns {Map<string, Uint8Array>}
 * @throws {RangeError} if outputs of different shapes are compared, or labels do not fit
 */
export function studyFiles(parts) {
  const { artifact, reference, samples } = parts;
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const labels = parts.labels === undefined ? samples.labels : parts.labels;
  const scored = parts.scored ?? artifact.outputs[0].name;
  const truth = outputOf(reference, scored);
  const compared = comparedAs(truth, taskOf(labels));
  const scoring = { scored, labels, truth, compared };
  const hash = modelSha256(artifact);
  files.set('model/sha256', new TextEncoder().encode(`${hash}\n`));
  const rows = parts.rows.map((row) => trialOf(files, row, parts, scoring));
  const binary = compared.classes && (truth.shape[1] ?? 1) === 1;
  const study = {
    model: modelOf(parts, hash),
    samples: { ...storeSamples(files, samples, labels, parts.source), preprocessing: parts.preprocessing ?? '' },
    calibration: null,
    task: compared.task,
    scored_output: scored,
    classes: compared.classes,
    probabilities: compared.probabilities,
    batch_size: parts.batchSize,
    seed: 0,
    reference: referenceOf(files, parts, scoring),
    trials: rows.map(({ trial }) => trial),
    warnings: [whereMeasured(reference), ...parts.warnings ?? []],
    versions: parts.versions,
    created: parts.created,
    schema: 1,
    threshold: binary ? (compared.probabilities ? 0.5 : 0) : null,
  };
  files.set('study.json', recordBytes(study));
  files.set('output_figures.json', recordBytes({ rows: rows.flatMap(({ figures }) => figures), schema: 1 }));
  if (parts.layers) files.set('inside.json', recordBytes(insideOf(parts.layers)));
  return files;
}

/** @typedef {{ scored: string, labels: Labels, truth: Tensor, compared: Compared }} Scoring */

/**
 * What tells such a study from one of the command line, whose reference runs in Python.
 * @param {Measured} reference
 */
function whereMeasured({ ranOn }) {
  return `measured in a browser tab: the reference ran in ${ranOn} and not in python, so what the browser itself `
    + 'changes is not in these figures';
}

/** @type {(measured: Measured, name: string) => Tensor} */
function outputOf({ outputs }, name) {
  const output = outputs.get(name);
  if (output) return output;
  throw new RangeError(`there is no output '${name}'; the run gave ${[...outputs.keys()].join(', ')}`);
}

/** @type {(parts: StudyParts, hash: string) => object} */
function modelOf({ artifact, reference, samples }, hash) {
  const specs = (/** @type {Map<string, Tensor>} */ tensors) => Array.from(tensors, ([name, { shape, dtype }]) => (
    { name, shape: [null, ...shape.slice(1)], dtype }));
  return {
    path: artifact.name, kind: KINDS[artifact.format], sha256: hash, inputs: specs(samples.inputs),
    outputs: specs(reference.outputs), parameters: null,
  };
}

/** @type {(files: Map<string, Uint8Array>, parts: StudyParts, scoring: Scoring) => object} */
function referenceOf(files, { reference }, { labels, truth, compared }) {
  const { paths, environment, timing, repeated } = storeOutputs(files, REFERENCE, reference.ranOn, reference);
  return {
    setting: REFERENCE,
    runtime: reference.ranOn,
    ran_on: reference.ranOn,
    scores: scoreReference(truth, labels, compared.task),
    timing,
    environment,
    outputs: paths,
    repeated,
    notes: reference.notes,
  };
}

/**
 * The trial of a row, and the figures of its outputs.
 * @type {(files: Map<string, Uint8Array>, row: StudyRow, parts: StudyParts, scoring: Scoring) => {
 *   trial: object, figures: object[] }}
 */
function trialOf(files, row, { reference, samples }, scoring) {
  const { artifact, download, runtime, measured, failure } = row;
  const setting = row.setting ?? artifact?.setting ?? '';
  const variant = artifact && storeVariant(files, { ...artifact, setting }, download, setting === AS_GIVEN);
  if (!measured) {
    const told = { reason: failure ?? 'it was not run', stage: artifact ? 'run' : 'conversion' };
    return { trial: { setting, runtime, variant, failure: told }, figures: [] };
  }
  const { scored, labels, truth, compared } = scoring;
  const { scores, notes } = scoreRow(
    truth, outputOf(measured, scored), labels, compared.task, samples.classNames ?? []);
  const sums = [...measured.outputs].map(([name, output]) => (
    { name, shape: output.shape.slice(1), sums: sumChannels(outputOf(reference, name), output, compared.finite) }));
  const constant = sums.flatMap((one) => constantParts(one.name, one.sums));
  const byOutput = sums.map(({ name }) => constant.filter(({ output }) => output === name)).filter((one) => one.length);
  const { paths, environment, timing, repeated } = storeOutputs(files, setting, runtime, measured);
  const trial = {
    setting,
    runtime,
    variant,
    ran_on: measured.ranOn,
    scores,
    timing,
    environment,
    outputs: paths,
    constant_outputs: constant.map(({ output, channel }) => (channel === null ? output : `${output}[${channel}]`)),
    repeated,
    notes: [...measured.notes, ...notes, ...byOutput.map(constantNote)],
  };
  const figures = sums.flatMap((one) => outputRows(
    { setting, runtime, output: one.name, scored: one.name === scored, shape: one.shape }, one.sums));
  return { trial, figures };
}

/** @param {StudyLayers} layers */
function insideOf({ rows, notes, samples, drawn }) {
  return { layers: rows, weights: [], ops: [], split: [], samples, drawn, notes, schema: 1 };
}
