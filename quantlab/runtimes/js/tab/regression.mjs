/** Errors of reference and variant against numeric labels, as `quantlab.statistics.scores.regression` defines them. */

import { errorFigures, errorSums } from './errors.mjs';
import { CONFIDENCE } from './intervals.mjs';
import { numbersOf, sampleSize, sumOf } from './numbers.mjs';
import { studentQuantile } from './special.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./intervals.mjs').Interval} Interval */

/** Share of a sum of squares that may be a rounding error of the sum. */
const ROUNDING = 1e-13;

/**
 * Errors against the labels: of the output, of the reference, and of one minus the other.
 * @typedef {object} RegressionFigures
 * @property {number} mae
 * @property {Interval | null} maeInterval
 * @property {number} rmse
 */

/**
 * Labels in the shape of an output, from which they may differ in axes of size 1 only.
 * @param {Tensor} labels
 * @param {number[]} shape
 * @returns {Tensor}
 * @throws {RangeError} if the shapes differ otherwise
 */
export function labelsShaped(labels, shape) {
  const [own, wanted] = [labels.shape, shape].map((sizes) => sizes.filter((size) => size !== 1).join());
  if (own === wanted) return { ...labels, shape };
  throw new RangeError(`the labels have the shape [${labels.shape.join(', ')}] and the outputs [${shape.join(', ')}]; `
    + 'every output element needs one label');
}

/**
 * @param {Tensor} labels of the output's shape
 * @param {Tensor} output
 * @returns {RegressionFigures}
 */
export function regressionFigures(labels, output) {
  const { meanAbs, rms } = errorFigures(errorSums(labels, output));
  return { mae: meanAbs, maeInterval: meanInterval(absoluteErrors(labels, output)), rmse: rms };
}

/**
 * Mean absolute error of each sample; infinite or NaN where a value is not finite.
 * @param {Tensor} labels of the output's shape
 * @param {Tensor} output
 * @returns {Float64Array}
 */
export function absoluteErrors(labels, output) {
  const [truth, values] = [numbersOf(labels), numbersOf(output)];
  const size = sampleSize(output.shape);
  return Float64Array.from({ length: output.shape[0] }, (_, sample) => {
    const start = sample * size;
    return sumOf(Array.from({ length: size }, (__, i) => Math.abs(values[start + i] - truth[start + i]))) / size;
  });
}

/**
 * Student's two-sided interval of a mean; null for fewer than two values, if one is not finite, or if all are the same.
 * @param {Float64Array} values one for each sample
 * @returns {Interval | null}
 */
export function meanInterval(values) {
  const n = values.length;
  if (n < 2 || !values.every(Number.isFinite)) return null;
  const mean = sumOf(values) / n;
  const totalSquare = sumOf(values.map((value) => value * value));
  const squares = totalSquare - n * mean * mean;
  if (squares <= ROUNDING * totalSquare) return null;
  const half = studentQuantile(n - 1, CONFIDENCE) * Math.sqrt(squares / (n - 1) / n);
  return { lower: mean - half, upper: mean + half, confidence: CONFIDENCE };
}

/**
 * candidate − reference; NaN for an infinite reference, because any candidate would be a gain.
 * @param {number} candidate
 * @param {number} reference
 */
export function growth(candidate, reference) {
  return Number.isFinite(reference) ? candidate - reference : NaN;
}
