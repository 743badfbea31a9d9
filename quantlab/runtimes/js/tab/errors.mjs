/** Error of one tensor against the reference, as sums that add, as `quantlab.statistics.tensors` defines it. */

import { BLOCK, checkSameShape, numbersOf, Total } from './numbers.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./numbers.mjs').NumberArray} NumberArray */

/**
 * Sums over pairs that are finite on both sides, with error = candidate − reference. Other elements are counted.
 * @typedef {object} ErrorSums
 * @property {number} count elements compared
 * @property {number} different elements whose values differ; NaN differs from everything, and −0 equals 0
 * @property {number} nonFinite NaN and infinite elements of the candidate
 * @property {number} nonFiniteReference NaN and infinite elements of the reference
 * @property {number} error Σ error
 * @property {number} absError Σ |error|
 * @property {number} squareError Σ error²
 * @property {number} squareReference Σ reference²
 * @property {number} squareCandidate Σ candidate²
 * @property {number} product Σ reference · candidate
 * @property {number} largest largest |error| of the finite pairs
 */

/** @type {Readonly<ErrorSums>} */
export const NO_ERRORS = Object.freeze({
  count: 0, different: 0, nonFinite: 0, nonFiniteReference: 0, error: 0, absError: 0, squareError: 0,
  squareReference: 0, squareCandidate: 0, product: 0, largest: 0,
});

/**
 * Compare two tensors of the same shape, element by element, in float64.
 * @param {Tensor} reference
 * @param {Tensor} candidate
 * @returns {ErrorSums}
 * @throws {RangeError} if the shapes differ
 */
export function errorSums(reference, candidate) {
  checkSameShape(reference, candidate);
  return errorSumsOf(numbersOf(reference), numbersOf(candidate), 1, 0);
}

/**
 * The same of every `stride`-th element from `first`: of one channel, if `stride` is their number.
 * @param {NumberArray} expected
 * @param {NumberArray} actual
 * @param {number} stride
 * @param {number} first
 * @returns {ErrorSums}
 */
export function errorSumsOf(expected, actual, stride, first) {
  const sums = { ...NO_ERRORS };
  const totals = Array.from({ length: 6 }, () => new Total());
  const block = new Float64Array(6);
  for (let start = first; start < expected.length; start += BLOCK * stride) {
    block.fill(0);
    const end = Math.min(expected.length, start + BLOCK * stride);
    for (let i = start; i < end; i += stride) addPair(expected[i], actual[i], sums, block);
    totals.forEach((total, which) => total.add(block[which]));
  }
  const [error, absError, squareError, squareReference, squareCandidate, product] = totals.map(({ value }) => value);
  return { ...sums, error, absError, squareError, squareReference, squareCandidate, product };
}

/** @type {(expected: number, actual: number, sums: ErrorSums, block: Float64Array) => void} */
function addPair(expected, actual, sums, block) {
  sums.count += 1;
  if (expected !== actual) sums.different += 1;
  const [known, usable] = [Number.isFinite(expected), Number.isFinite(actual)];
  if (!known) sums.nonFiniteReference += 1;
  if (!usable) sums.nonFinite += 1;
  if (!known || !usable) return;
  const error = actual - expected;
  const size = Math.abs(error);
  if (size > sums.largest) sums.largest = size;
  block[0] += error;
  block[1] += size;
  block[2] += error * error;
  block[3] += expected * expected;
  block[4] += actual * actual;
  block[5] += expected * actual;
}

/**
 * Add the sums of two batches.
 * @param {ErrorSums} one
 * @param {ErrorSums} other
 * @returns {ErrorSums}
 */
export function addErrors(one, other) {
  const keys = /** @type {(keyof ErrorSums)[]} */ (Object.keys(NO_ERRORS));
  const added = Object.fromEntries(keys.map((key) => [key, one[key] + other[key]]));
  return /** @type {ErrorSums} */ ({ ...added, largest: Math.max(one.largest, other.largest) });
}

/**
 * Figures of the sums; with an element that is not finite they are as bad as can be, and without elements NaN.
 * @typedef {object} ErrorFigures
 * @property {number} meanAbs
 * @property {number} maxAbs
 * @property {number} rms
 * @property {number} bias mean error
 * @property {number} sqnrDb 10·log₁₀(Σ reference² / Σ error²): ∞ without error, −∞ for an error on zeros
 * @property {number} cosine NaN if either side is all zeros
 */

/**
 * @param {ErrorSums} sums
 * @returns {ErrorFigures}
 */
export function errorFigures(sums) {
  if (isSpoiled(sums)) {
    return { meanAbs: Infinity, maxAbs: Infinity, rms: Infinity, bias: NaN, sqnrDb: -Infinity, cosine: NaN };
  }
  return {
    meanAbs: sums.absError / sums.count,
    maxAbs: sums.count ? sums.largest : NaN,
    rms: Math.sqrt(sums.squareError / sums.count),
    bias: sums.error / sums.count,
    sqnrDb: sqnrDb(sums),
    cosine: cosineOf(sums),
  };
}

/** @param {ErrorSums} sums */
function isSpoiled({ nonFinite, nonFiniteReference, squareError, squareReference, squareCandidate }) {
  return nonFinite + nonFiniteReference > 0 || !Number.isFinite(squareError + squareReference + squareCandidate);
}

/** @param {ErrorSums} sums */
function sqnrDb({ count, squareError, squareReference }) {
  if (!count) return NaN;
  if (squareError === 0) return Infinity;
  if (squareReference === 0) return -Infinity;
  // The quotient could leave float64's range.
  return 10 * (Math.log10(squareReference) - Math.log10(squareError));
}

/** @param {ErrorSums} sums */
function cosineOf({ squareReference, squareCandidate, product }) {
  if (squareReference === 0 || squareCandidate === 0) return NaN;
  // What is beyond ±1 is rounding error.
  return Math.max(-1, Math.min(1, product / Math.sqrt(squareReference) / Math.sqrt(squareCandidate)));
}
