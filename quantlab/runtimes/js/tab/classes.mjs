/**
 * Outputs as scores of classes: top-1, top-5, changed answers and divergences, as `quantlab.statistics.scores` defines
 * them.
 */

import { numbersOf, sampleSize, sumOf } from './numbers.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {{ n: number, classes: number, values: ArrayLike<number> }} Rows (n, classes), with at least two classes */

/** The top-1 of a row that contains NaN. */
export const NO_CLASS = -1;

/** Fewest classes for top-5. */
export const TOP5_FROM_CLASSES = 10;

const MOST_ROWS = 0.95;
const SUM_TOLERANCE = 1e-3;

/**
 * Whether at least 95 % of the rows of the reference's output look like probability distributions: finite, without a
 * negative value, with a sum of 1 within 0.001; a single value counts in 0…1.
 * @param {Tensor} output
 */
export function looksLikeProbabilities(output) {
  if (output.shape.length > 2 || !output.shape[0]) return false;
  const values = numbersOf(output);
  const width = sampleSize(output.shape);
  let fitting = 0;
  for (let row = 0; row < output.shape[0]; row += 1) {
    const part = values.subarray(row * width, (row + 1) * width);
    const sum = sumOf(part);
    const whole = width === 1 ? sum <= 1 : Math.abs(sum - 1) <= SUM_TOLERANCE;
    if (whole && part.every((value) => value >= 0)) fitting += 1;
  }
  return fitting > 0 && fitting >= MOST_ROWS * output.shape[0];
}

/**
 * One column per class: of a binary classifier, (n, 1) or (n,), a probability p becomes [1 − p, p], and a logit z
 * becomes [0, z].
 * @param {Tensor} output
 * @param {boolean} probabilities
 * @returns {Rows}
 * @throws {RangeError} if the output has more axes, or no columns
 */
export function asClasses(output, probabilities) {
  const { shape } = output;
  const [n] = shape;
  const values = numbersOf(output);
  if (shape.length === 2 && shape[1] > 1) return { n, classes: shape[1], values };
  if (shape.length < 1 || shape.length > 2 || shape[1] === 0) {
    throw new RangeError(`an output of shape [${shape.join(', ')}] has no classes; a classifier's output is [samples, `
      + 'classes], or [samples, 1] for two classes');
  }
  const two = new Float64Array(2 * n);
  for (let row = 0; row < n; row += 1) {
    two[2 * row] = probabilities ? 1 - values[row] : 0;
    two[2 * row + 1] = values[row];
  }
  return { n, classes: 2, values: two };
}

/**
 * Index of the largest value of each row, the lowest among equals; `NO_CLASS` for rows with NaN.
 * @param {Rows} rows
 * @returns {Int32Array}
 */
export function top1({ n, classes, values }) {
  return Int32Array.from({ length: n }, (_, row) => {
    const start = row * classes;
    let best = 0;
    for (let i = 0; i < classes; i += 1) {
      const value = values[start + i];
      if (Number.isNaN(value)) return NO_CLASS;
      if (value > values[start + best]) best = i;
    }
    return best;
  });
}

/**
 * Whether fewer than five other classes score at least as high as the true class; false for rows with NaN.
 * @param {Rows} rows
 * @param {ArrayLike<number>} labels
 * @returns {boolean[]}
 */
export function inTop5({ n, classes, values }, labels) {
  return Array.from({ length: n }, (_, row) => {
    const start = row * classes;
    const own = values[start + labels[row]];
    let others = -1;
    for (let i = start; i < start + classes; i += 1) {
      if (Number.isNaN(values[i])) return false;
      if (values[i] >= own) others += 1;
    }
    return others < 5;
  });
}

/**
 * Divergences of each sample's probabilities: of KL(reference‖candidate), total variation and Jensen–Shannon, with
 * natural logarithms. All are NaN if a row is not a distribution.
 * @typedef {{ kl: Float64Array, totalVariation: Float64Array, jensenShannon: Float64Array }} Divergences
 */

/**
 * @param {Rows} reference
 * @param {Rows} candidate
 * @param {boolean} probabilities whether rows hold probabilities, which are divided by their sums; else softmax
 * @returns {Divergences}
 */
export function divergences(reference, candidate, probabilities) {
  const { n, classes } = reference;
  const told = {
    kl: new Float64Array(n), totalVariation: new Float64Array(n), jensenShannon: new Float64Array(n),
  };
  const distribution = probabilities ? normalized : softmax;
  for (let row = 0; row < n; row += 1) {
    const [p, q] = [reference, candidate].map(({ values }) => distribution(values, row * classes, classes));
    const apart = sumOf(p.shares.map((share, i) => Math.abs(share - q.shares[i]))) / 2;
    told.kl[row] = Math.max(divergence(p, q.logs), 0);
    told.totalVariation[row] = Math.min(apart, 1);
    // The logarithms of a softmax are rounded in another way than that of the middle; equal rows must give 0.
    told.jensenShannon[row] = apart === 0 ? 0 : jensenShannon(p, q);
  }
  return told;
}

/** @typedef {{ shares: Float64Array, logs: Float64Array }} Distribution */

/** @type {(values: ArrayLike<number>, start: number, classes: number) => Distribution} */
function normalized(values, start, classes) {
  const row = Float64Array.from({ length: classes }, (_, i) => values[start + i]);
  const sum = sumOf(row);
  const none = !Number.isFinite(sum) || !row.every((value) => value >= 0);
  // A row of zeros needs no test: 0/0 is NaN.
  const shares = row.map((value) => (none ? NaN : value / sum));
  return { shares, logs: shares.map(Math.log) };
}

/** @type {(values: ArrayLike<number>, start: number, classes: number) => Distribution} */
function softmax(values, start, classes) {
  const row = Float64Array.from({ length: classes }, (_, i) => values[start + i]);
  if (!row.every(Number.isFinite)) row.fill(NaN);
  let highest = -Infinity;
  for (const value of row) highest = Math.max(highest, value);
  const moved = row.map((value) => value - highest);
  const powers = moved.map(Math.exp);
  const sum = sumOf(powers);
  return { shares: powers.map((power) => power / sum), logs: moved.map((value) => value - Math.log(sum)) };
}

/**
 * Σ p·(ln p − ln q); 0·ln(0/q) is 0.
 * @type {(p: Distribution, logs: Float64Array) => number}
 */
function divergence({ shares, logs: own }, logs) {
  return sumOf(shares.map((share, i) => (share === 0 ? 0 : (own[i] - logs[i]) * share)));
}

/** @type {(p: Distribution, q: Distribution) => number} */
function jensenShannon(p, q) {
  const middle = p.shares.map((share, i) => Math.log(share + q.shares[i]) - Math.LN2);
  // What is outside of the range is rounding error.
  return Math.min(Math.max((divergence(p, middle) + divergence(q, middle)) / 2, 0), Math.LN2);
}
