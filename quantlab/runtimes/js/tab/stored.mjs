/** The files of a study's samples, artifacts and outputs, with the records beside them. */

import { rawBytes, writeNpy } from './arrays.mjs';
import { compareText } from './json.mjs';
import { ARTIFACT } from './memory.mjs';
import { portOf } from './ports.mjs';
import { recordBytes } from './records.mjs';
import { Sha256, sha256 } from './sha256.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./measure.mjs').Measured} Measured */
/** @typedef {import('./statistics.mjs').Labels} Labels */
/** @typedef {Map<string, Uint8Array>} Files by their paths below the study */

const KEY_DIGITS = 16;

/** @param {string} text */
const utf8 = (text) => new TextEncoder().encode(text);

/**
 * A name as part of a file's, as `urllib.parse.quote` escapes it.
 * @param {string} name
 */
export function quoted(name) {
  return encodeURIComponent(name).replace(/[!*'()]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * JSON as Python's `json.dumps` writes plain texts and numbers, for hashes.
 * @param {unknown} value
 * @returns {string}
 */
function dumped(value) {
  const escape = (/** @type {string} */ unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  if (Array.isArray(value)) return `[${value.map(dumped).join(', ')}]`;
  return JSON.stringify(value).replace(/[^ -~]/g, escape);
}

/**
 * Write the samples, and return their record, as `quantlab.types.SampleSet`.
 * @param {Files} files receives them
 * @param {Samples} samples
 * @param {Labels} labels
 * @param {string} source name of what was dropped
 */
export function storeSamples(files, samples, labels, source) {
  const inputs = Array.from(samples.inputs, ([name, { shape, dtype }]) => (
    { name, shape: [null, ...shape.slice(1)], dtype }));
  const truth = labelTensor(labels);
  const identity = [...samples.inputs].map(([name, tensor]) => (
    [name, tensor.dtype, tensor.shape, sha256(rawBytes(tensor))]));
  const whole = sha256(utf8(dumped(truth ? [...identity, aboutLabels(truth)] : identity)));
  const folder = `samples/data/${whole.slice(0, 12)}`;
  for (const [name, tensor] of samples.inputs) files.set(`${folder}/input-${quoted(name)}.npy`, writeNpy(tensor));
  if (truth) files.set(`${folder}/labels.npy`, writeNpy(truth));
  return {
    folder,
    inputs,
    n: samples.n,
    labelled: truth !== null,
    sha256: whole,
    source,
    available: samples.available,
    drawn: samples.n === samples.available ? 'all' : `${samples.labels ? 'stratified' : 'random'}, seed 0`,
    classes: samples.classNames ?? [],
    labels_sha256: truth ? sha256(utf8(dumped(aboutLabels(truth)))) : '',
    origins_sha256: storeOrigins(files, folder, samples),
  };
}

/**
 * Labels as Python stores them: classes are int64.
 * @type {(labels: Labels) => Tensor | null}
 */
function labelTensor(labels) {
  if (!(labels instanceof Int32Array)) return labels;
  return { shape: [labels.length], dtype: 'int64', data: BigInt64Array.from(labels, BigInt) };
}

/** @param {Tensor} labels */
function aboutLabels(labels) {
  const codes = /** @type {Record<string, string>} */ ({ int64: '<i8', float32: '<f4', float64: '<f8', int32: '<i4' });
  return ['labels', codes[labels.dtype], labels.shape, sha256(rawBytes(labels))];
}

/** @type {(files: Files, folder: string, samples: Samples) => string} */
function storeOrigins(files, folder, { n, places, names }) {
  const digest = new Sha256();
  const indices = BigInt64Array.from(places, BigInt);
  const positions = writeNpy({ shape: [n], dtype: 'int64', data: indices });
  files.set(`${folder}/indices.npy`, positions);
  digest.update(positions);
  // Samples of arrays have numbers as names.
  if (names.length === n && !names.every((name) => /^\d+$/.test(name))) {
    const told = utf8(JSON.stringify(names));
    files.set(`${folder}/files.json`, told);
    digest.update(told);
  }
  return digest.digest();
}

/**
 * The SHA-256 of an artifact: of all served files with their names and sizes; the file that is the artifact has no name.
 * @param {Artifact} artifact
 */
export function artifactSha256(artifact) {
  const digest = new Sha256();
  for (const [path, bytes] of servedFiles(artifact)) {
    digest.update(utf8(`${path === fileOf(artifact) ? '' : path}\0${bytes.length}\0`)).update(bytes);
  }
  return digest.digest();
}

/**
 * The file that is the artifact; null if that is a folder, which has a `model.json`.
 * @param {Artifact} artifact
 */
function fileOf(artifact) {
  const [main] = artifact.files.keys();
  return isFolder(artifact) && main === 'model.json' ? null : main;
}

/** @param {Artifact} artifact */
function isFolder({ format }) {
  return format === 'tfjs' || format === 'tfjs-layers';
}

/**
 * The files in the order in which Python hashes them: those of a folder by their names.
 * @param {Artifact} artifact
 */
function servedFiles(artifact) {
  const files = [...artifact.files];
  return isFolder(artifact) ? files.sort(([one], [other]) => compareText(one, other)) : files;
}

/**
 * The SHA-256 of an artifact as a model: of the only file, or of the hashes of several.
 * @param {Artifact} artifact
 */
export function modelSha256(artifact) {
  const hashes = servedFiles(artifact).map(([, bytes]) => sha256(bytes));
  return hashes.length === 1 ? hashes[0] : sha256(utf8(hashes.join('')));
}

/**
 * Write an artifact, and return its record, as `quantlab.types.Variant`.
 * @param {Files} files receives it
 * @param {Artifact} artifact
 * @param {{ gzip: number, bytes: number }} download
 * @param {boolean} given whether it is no setting
 */
export function storeVariant(files, artifact, download, given) {
  const hash = artifactSha256(artifact);
  const folder = `variants/${artifact.setting}/${hash.slice(0, KEY_DIGITS)}`;
  const file = fileOf(artifact);
  const variant = {
    name: artifact.setting,
    format: artifact.format,
    path: file === null ? `${folder}/${ARTIFACT}` : `${folder}/${ARTIFACT}/${file}`,
    sha256: hash,
    size_bytes: download.bytes,
    gzip_bytes: download.gzip,
    inputs: artifact.inputs.map(portOf),
    outputs: artifact.outputs.map(portOf),
    weights: artifact.stored,
    given,
  };
  for (const [path, bytes] of artifact.files) files.set(`${folder}/${ARTIFACT}/${path}`, bytes);
  files.set(`${folder}/variant.json`, recordBytes(variant));
  return variant;
}

/**
 * Write the outputs of a run, and return what a row tells of them.
 * @param {Files} files receives them
 * @param {string} setting
 * @param {string} runtime
 * @param {Measured} measured
 */
export function storeOutputs(files, setting, runtime, measured) {
  const arrays = [...measured.outputs].map(([name, tensor]) => /** @type {const} */ ([name, writeNpy(tensor)]));
  const digest = new Sha256();
  arrays.forEach(([, bytes]) => digest.update(bytes));
  const folder = `outputs/${setting}/${runtime}/${digest.digest().slice(0, KEY_DIGITS)}`;
  const paths = Object.fromEntries(arrays.map(([name]) => [name, `${folder}/${quoted(name)}.npy`]));
  for (const [name, bytes] of arrays) files.set(paths[name], bytes);
  const { environment, timedSamples, seconds } = measured;
  const timing = { samples: timedSamples, seconds };
  const repeated = measured.repeated.map(({ type: _, ...told }) => told);
  const hashes = Object.fromEntries(arrays.map(([name, bytes]) => [name, sha256(bytes)]));
  files.set(`${folder}/outputs.json`, recordBytes({
    files: paths, ran_on: measured.ranOn, environment, timing, sha256: hashes, repeated,
  }));
  return { paths, environment, timing: measured.timed ? timing : null, repeated };
}
