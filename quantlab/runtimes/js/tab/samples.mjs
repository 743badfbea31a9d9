/**
 * Samples for an artifact's inputs, by the rules of `quantlab.samples`: names, shapes, dtypes, labels, and the hash.
 *
 * Integers stay exact, floats may be rounded. A sample that no input accepts is refused with its position.
 */

import { rawBytes } from './arrays.mjs';
import { classesOf } from './labels.mjs';
import { halfOf, numberOfHalf } from './halves.mjs';
import { writeJson } from './json.mjs';
import { Sha256, sha256 } from './sha256.mjs';
import { drawnPlaces } from './subset.mjs';
import { DropError } from './types.mjs';
import { bytesOf, countOf } from './weights.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */
/** @typedef {import('./types.mjs').TypedArray} TypedArray */

/** More samples, or more bytes of inputs, are not held in a tab: a random part of them is taken. */
export const MOST_SAMPLES = 20_000;
const MOST_INPUT_BYTES = 600e6;

const LABEL_NAMES = ['y', 'labels'];

/**
 * Arrays by name, and of decoded images their labels, the names of their files and of their classes. `text` is what the
 * user dropped, for messages.
 * @typedef {object} Given
 * @property {Map<string, Tensor>} arrays
 * @property {Int32Array | null} [labels]
 * @property {string[]} [names]
 * @property {string[] | null} [classNames]
 * @property {string} [text]
 */

/**
 * @param {Artifact} artifact
 * @param {Given} given
 * @param {{ limit?: number }} [choice] `limit`: the most samples that are taken, a random part stratified by label
 * @returns {Samples}
 * @throws {DropError} in one sentence, if the arrays are not samples of this artifact
 */
export function samplesOf(artifact, given, { limit = MOST_SAMPLES } = {}) {
  const text = given.text ?? 'the samples';
  const { inputs: matched, labels: labelName, notes } = matchNames([...given.arrays.keys()], artifact.inputs, text);
  const held = matched.map((name) => /** @type {Tensor} */ (given.arrays.get(name)));
  const available = sampleCount(held, matched, text);
  held.forEach((tensor, place) => checkTensor(artifact.inputs[place], tensor, text));
  const raw = labelName === null ? null : /** @type {Tensor} */ (given.arrays.get(labelName));
  const labels = labelsOf(artifact, { raw, own: given.labels ?? null, n: available, text }, notes);
  const places = drawnPlaces(available, labels, Math.min(limit, mostSamples(held, artifact.inputs)));
  if (places.length < available) {
    notes.push(`${words(places.length)} of ${words(available)} samples are scored: a random part${
      labels ? ', stratified by label' : ''}.`);
  }
  const chosen = { places, text };
  const inputs = new Map(artifact.inputs.map((spec, at) => [spec.name, converted(held[at], spec, chosen)]));
  const kept = labels && Int32Array.from(places, (place) => labels[place]);
  return {
    inputs,
    n: places.length,
    available,
    places,
    labels: kept,
    names: Array.from(places, (place) => given.names?.[place] ?? String(place)),
    classNames: given.classNames ?? null,
    sha256: samplesSha256(inputs, kept),
    notes,
  };
}

/** @type {(count: number) => string} */
const words = (count) => count.toLocaleString('en-US');

/** @type {(names: string[]) => string} */
const listed = (names) => names.map((name) => `'${name}'`).join(', ') || 'no arrays';

/**
 * The array of each input, and that of the labels. Arrays that are neither are ignored if there are labels, and refused
 * if there are none: one of them may be the labels under another name.
 * @param {string[]} held
 * @param {TensorSpec[]} specs
 * @param {string} text
 * @returns {{ inputs: string[], labels: string | null, notes: string[] }}
 */
function matchNames(held, specs, text) {
  const wanted = specs.map(({ name }) => name);
  const others = held.filter((name) => !LABEL_NAMES.includes(name));
  const [only] = wanted.length === 1 ? wanted : [];
  let inputs = wanted;
  if (only !== undefined && held.includes('x') && (!held.includes(only) || LABEL_NAMES.includes(only))) inputs = ['x'];
  else if (only !== undefined && !held.includes(only) && others.length === 1) inputs = others;
  if (inputs.some((name) => !held.includes(name))) {
    const alone = wanted.length === 1 ? ", or 'x'" : '';
    throw new DropError(`'${text}' holds ${listed(held)}, but the model's inputs are ${listed(wanted)}; name the `
      + `arrays after the model's inputs${alone}, and the labels 'y'.`);
  }
  const rest = held.filter((name) => !inputs.includes(name));
  const labels = LABEL_NAMES.find((name) => rest.includes(name)) ?? null;
  if (rest.length && labels === null) {
    throw new DropError(`'${text}' holds ${listed(rest)}, which is neither an input of the model (${listed(wanted)}) `
      + "nor labels; name the labels 'y', or leave out arrays that are not needed.");
  }
  const renamed = inputs[0] === wanted[0] || inputs[0] === 'x' || wanted.length > 1;
  return { inputs, labels, notes: renamed ? [] : [`The array '${inputs[0]}' is taken for the input '${wanted[0]}'.`] };
}

/** @type {(shape: (number | null)[]) => string} */
function shapeWords(shape) {
  const sizes = shape.map((size) => size ?? '?').join(', ');
  return shape.length === 1 ? `(${sizes},)` : `(${sizes})`;
}

/** @type {(shape: (number | null)[], wanted: (number | null)[]) => boolean} */
function fits(shape, wanted) {
  return shape.length === wanted.length && wanted.every((size, axis) => size === null || size === shape[axis]);
}

/** @type {(spec: TensorSpec, held: Tensor, text: string) => void} */
function checkTensor(spec, held, text) {
  if (!RANGES.has(spec.dtype)) {
    throw new DropError(`The input '${spec.name}' expects ${spec.dtype}, and samples can only be booleans, integers or `
      + 'floats; export the model with such an input.');
  }
  if (!held.shape.length) {
    throw new DropError(`'${text}' holds a single number for the input '${spec.name}'; give an array of samples, with `
      + 'the samples along the first dimension.');
  }
  const shape = held.shape.slice(1);
  const isKnown = spec.batch !== undefined; // the artifact may state no shape
  if (isKnown && !fits(shape, spec.shape)) {
    throw new DropError(`The input '${spec.name}' expects samples of shape ${shapeWords(spec.shape)}, but those of `
      + `'${text}' have shape ${shapeWords(shape)}; ${shapeRemedy(shape, spec.shape)}.`);
  }
  if (isFloat(held.dtype) && !isFloat(spec.dtype)) {
    throw new DropError(`The input '${spec.name}' expects ${spec.dtype}, but '${text}' holds ${held.dtype}; if the `
      + `values are integers, store them with .astype('${spec.dtype}').`);
  }
}

/** @type {(shape: number[], wanted: (number | null)[]) => string} */
function shapeRemedy(shape, wanted) {
  if (fits([...shape, 1], wanted)) return 'add the channel dimension with x[..., None]';
  if (shape.at(-1) === 1 && fits(shape.slice(0, -1), wanted)) return 'remove the channel dimension with x[..., 0]';
  if (shape.length === 3 && fits([shape[1], shape[2], shape[0]], wanted)) {
    return 'channels come first, so move them to the end with numpy.moveaxis(x, 1, -1)';
  }
  if (shape.length === 3 && fits([shape[2], shape[0], shape[1]], wanted)) {
    return 'channels come last, so move them to the front with numpy.moveaxis(x, -1, 1)';
  }
  const sizes = /** @type {number[]} */ (wanted);
  if (!wanted.includes(null) && countOf(sizes) === countOf(shape)) {
    return `the number of values matches, so if their order does too, use x.reshape(-1, ${sizes.join(', ')})`;
  }
  return 'give samples of the shape that the model was trained on';
}

/** @type {(held: Tensor[], names: string[], text: string) => number} */
function sampleCount(held, names, text) {
  const [n] = held.map(({ shape }) => shape[0]);
  const other = held.findIndex(({ shape }) => shape[0] !== n);
  if (other > 0) {
    throw new DropError(`'${text}' holds ${words(n)} samples of '${names[0]}' but ${words(held[other].shape[0])} of `
      + `'${names[other]}'; give the same number of samples for every input.`);
  }
  if (n) return n;
  throw new DropError(`'${text}' holds no samples; give at least one, and several hundred for meaningful figures.`);
}

/** @type {(held: Tensor[], specs: TensorSpec[]) => number} */
function mostSamples(held, specs) {
  const sizes = held.map(({ shape }, place) => countOf(shape.slice(1)) * itemBytes(specs[place].dtype));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return Math.max(1, Math.min(MOST_SAMPLES, Math.floor(MOST_INPUT_BYTES / Math.max(bytes, 1))));
}

/**
 * @param {Artifact} artifact
 * @param {{ raw: Tensor | null, own: Int32Array | null, n: number, text: string }} given `raw`: labels as an array;
 *   `own`: those of images
 * @param {string[]} notes to which a sentence is added
 * @returns {Int32Array | null}
 */
function labelsOf({ outputs }, { raw, own, n, text }, notes) {
  const labels = raw ? classesOf(raw, n, text) : own;
  if (raw && !labels) {
    notes.push(`The labels of '${text}' are not one class per sample, so that this page scores without them.`);
  }
  if (!labels || outputs.length !== 1) return labels;
  const width = outputs[0].shape.at(-1);
  if (outputs[0].shape.length !== 1 || width === null || width === undefined) return labels;
  const classes = Math.max(2, width);
  const [low, high] = [Math.min, Math.max].map((end) => labels.reduce((one, two) => end(one, two)));
  if (low >= 0 && high < classes) return labels;
  throw new DropError(`The labels go from ${low} to ${high}, but the output '${outputs[0].name}' has ${classes} `
    + `classes; number the classes from 0 to ${classes - 1}.`);
}

/** The lowest and highest integer of the range in which a dtype represents every integer. */
const RANGES = Object.freeze(new Map(/** @type {[string, [bigint, bigint]][]} */ ([
  ['bool', [0n, 1n]], ['int8', [-128n, 127n]], ['uint8', [0n, 255n]], ['int16', [-32768n, 32767n]],
  ['uint16', [0n, 65535n]], ['int32', [-(2n ** 31n), 2n ** 31n - 1n]], ['uint32', [0n, 2n ** 32n - 1n]],
  ['int64', [-(2n ** 63n), 2n ** 63n - 1n]], ['uint64', [0n, 2n ** 64n - 1n]], ['float16', [-(2n ** 11n), 2n ** 11n]],
  ['float32', [-(2n ** 24n), 2n ** 24n]], ['float64', [-(2n ** 53n), 2n ** 53n]],
])));

/** @type {(dtype: string) => boolean} */
const isFloat = (dtype) => dtype.startsWith('float');

/** @type {(dtype: string) => number} */
const itemBytes = (dtype) => (dtype === 'bool' ? 1 : Number(dtype.replace(/\D/g, '')) / 8);

const ARRAYS = Object.freeze(new Map(/** @type {[string, any][]} */ ([
  ['bool', Uint8Array], ['int8', Int8Array], ['uint8', Uint8Array], ['int16', Int16Array], ['uint16', Uint16Array],
  ['int32', Int32Array], ['uint32', Uint32Array], ['int64', BigInt64Array], ['uint64', BigUint64Array],
  ['float16', Float32Array], ['float32', Float32Array], ['float64', Float64Array],
])));

/** @type {Record<string, (value: any) => any>} */
const CONVERSIONS = Object.freeze({
  int64: BigInt,
  uint64: BigInt,
  float16: (value) => numberOfHalf(halfOf(Number(value))),
});

/**
 * Some samples in the dtype of an input.
 * @param {Tensor} held
 * @param {TensorSpec} spec
 * @param {{ places: Uint32Array, text: string }} chosen
 * @returns {Tensor}
 */
function converted(held, spec, { places, text }) {
  const row = countOf(held.shape.slice(1));
  const isWhole = places.length === held.shape[0];
  refuseWrong(held, spec, { places, text, row });
  const shape = [places.length, ...held.shape.slice(1)];
  if (isWhole && held.dtype === spec.dtype) return { shape, dtype: spec.dtype, data: held.data };
  const data = new (ARRAYS.get(spec.dtype))(row * places.length);
  const convert = CONVERSIONS[spec.dtype] ?? Number;
  places.forEach((place, at) => {
    for (let index = 0; index < row; index += 1) data[at * row + index] = convert(held.data[place * row + index]);
  });
  return { shape, dtype: spec.dtype, data };
}

/** @type {(held: Tensor, spec: TensorSpec, chosen: { places: Uint32Array, text: string, row: number }) => void} */
function refuseWrong({ dtype, data }, spec, { places, text, row }) {
  const reason = isFloat(dtype) ? floatReason(spec.dtype) : integerReason(dtype, spec.dtype);
  if (!reason) return;
  for (const place of places) {
    for (let at = place * row; at < (place + 1) * row; at += 1) {
      const why = reason(data[at]);
      if (!why) continue;
      throw new DropError(`Sample ${place} (counted from 0) of '${text}' holds ${why[0]} in the input '${spec.name}'`
        + `${why[1]}.`);
    }
  }
}

/**
 * Why a float is refused: what it is, and the end of the sentence.
 * @type {(dtype: string) => (value: any) => [string, string] | null}
 */
function floatReason(dtype) {
  const [most] = { float16: [65520], float32: [3.4028235677973366e38] }[dtype] ?? [Infinity];
  return (value) => {
    if (!Number.isFinite(value)) {
      const what = Number.isNaN(value) ? 'NaN' : 'infinity';
      return [what, '; correct or remove it, since it would make every score invalid'];
    }
    if (Math.abs(value) < most) return null;
    return [String(value), `, which expects ${dtype}, where it would become infinite; scale the values`];
  };
}

/** @type {(from: string, to: string) => ((value: any) => [string, string] | null) | null} */
function integerReason(from, to) {
  const [low, high] = RANGES.get(to) ?? [0n, 0n];
  const [ownLow, ownHigh] = RANGES.get(from) ?? [0n, 0n];
  if (low <= ownLow && ownHigh <= high) return null;
  const why = `, which expects ${to}, exact for integers from ${low} to ${high}; scale the values to that range`;
  // Only 64 bits are BigInts, with which numbers are slowly compared.
  const [least, most] = from.endsWith('64') ? [low, high] : [Number(low), Number(high)];
  return (value) => (value >= least && value <= most ? null : [String(value), why]);
}

/**
 * Python's hash of samples: of each tensor and of the labels, as `quantlab.samples.hashes` computes it.
 * @param {Map<string, Tensor>} inputs in the order of the artifact's
 * @param {Int32Array | null} labels
 * @returns {string}
 */
export function samplesSha256(inputs, labels) {
  const about = [...inputs].map(([name, { dtype, shape, data }]) => [
    name, dtype, shape.map(BigInt), new Sha256().update(rawBytes({ dtype, data })).digest(),
  ]);
  if (labels) {
    const stored = bytesOf(BigInt64Array.from(labels, BigInt));
    about.push(['labels', '<i8', [BigInt(labels.length)], sha256(stored)]);
  }
  return sha256(new TextEncoder().encode(writeJson(about)));
}
