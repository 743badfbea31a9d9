/**
 * Confidence intervals of a share and of a paired difference, and McNemar's test, as `quantlab.statistics` computes
 * them. Intervals are two-sided shares, from 0 to 1 or −1 to 1.
 */

import { incompleteBeta, inverseIncompleteBeta, rootOf, upperNormalQuantile } from './special.mjs';

/** @typedef {{ lower: number, upper: number, confidence: number }} Interval as `quantlab.types.Interval` */

export const CONFIDENCE = 0.95;

/**
 * Wilson's score interval of successes / n (Wilson 1927, Journal of the ASA 22:209–212).
 * @param {number} successes 0 to n
 * @param {number} n at least 1
 * @param {number} [confidence]
 * @returns {Interval}
 */
export function wilson(successes, n, confidence = CONFIDENCE) {
  const share = successes / n;
  const z = upperNormalQuantile((1 - confidence) / 2);
  const denominator = 2 * (n + z ** 2);
  const center = (2 * n * share + z ** 2) / denominator;
  const half = (z / denominator) * Math.sqrt(4 * n * share * (1 - share) + z ** 2);
  return {
    lower: successes === 0 ? 0 : center - half,
    upper: successes === n ? 1 : center + half,
    confidence,
  };
}

/**
 * Exact interval of successes / n (Clopper & Pearson 1934, Biometrika 26:404–413).
 * @param {number} successes 0 to n
 * @param {number} n at least 1
 * @param {number} [confidence]
 * @returns {Interval}
 */
export function clopperPearson(successes, n, confidence = CONFIDENCE) {
  const tail = (1 - confidence) / 2;
  const failures = n - successes;
  return {
    lower: successes ? inverseIncompleteBeta(successes, failures + 1, tail) : 0,
    upper: failures ? 1 - inverseIncompleteBeta(failures, successes + 1, tail) : 1,
    confidence,
  };
}

/**
 * Tango's score interval of the paired difference (becameWrong − becameRight) / n; positive is a loss (Tango 1998,
 * Statistics in Medicine 17:891–908).
 * @param {number} becameWrong samples that are right in the reference and wrong in the variant
 * @param {number} becameRight samples that are wrong in the reference and right in the variant
 * @param {number} n all samples, changed or not
 * @param {number} [confidence]
 * @returns {Interval}
 */
export function tango(becameWrong, becameRight, n, confidence = CONFIDENCE) {
  const z = upperNormalQuantile((1 - confidence) / 2);
  // Swapping the counts changes the sign of the difference, so its lower bound gives the upper one.
  return {
    lower: tangoLower(becameWrong, becameRight, n, z),
    upper: -tangoLower(becameRight, becameWrong, n, z),
    confidence,
  };
}

/**
 * The smallest difference (forth − back) / n that the score test with the quantile z does not reject.
 * @type {(forth: number, back: number, n: number, z: number) => number}
 */
function tangoLower(forth, back, n, z) {
  // At both ends of the range, and without changed pairs, the variance is 0 at the estimate.
  if (forth + back === 0) return -(z ** 2) / (n + z ** 2);
  if (forth === n) return (n - z ** 2) / (n + z ** 2);
  if (back === n) return -1;
  // Tango's statistic minus z, multiplied by its denominator, which is 0 at −1.
  return rootOf((difference) => {
    const variance = restrictedVariance(difference, forth, back, n);
    return forth - back - n * difference - z * Math.sqrt(n * Math.max(0, variance));
  }, -1, (forth - back) / n);
}

/**
 * Variance of one pair's difference, estimated by maximum likelihood under a true difference: the probability of a
 * change back is the larger root of 2n·q² + b·q + c = 0.
 * @type {(difference: number, forth: number, back: number, n: number) => number}
 */
function restrictedVariance(difference, forth, back, n) {
  const b = (2 * n - forth + back) * difference - forth - back;
  const c = -back * difference * (1 - difference);
  const root = Math.sqrt(Math.max(0, b * b - 8 * n * c));
  const probabilityBack = (root - b) / (4 * n);
  return 2 * probabilityBack + difference * (1 - difference);
}

/**
 * One-sided p-value of the exact McNemar test that more samples became wrong than right: the probability that at least
 * so many of the changed samples became wrong, if both directions are equally likely; 1 without changes.
 * @param {number} becameWrong
 * @param {number} becameRight
 */
export function mcnemarOfLoss(becameWrong, becameRight) {
  return becameWrong > 0 ? incompleteBeta(becameWrong, becameRight + 1, 0.5) : 1;
}

/**
 * Correct p-values for their number (Holm 1979, Scandinavian Journal of Statistics 6:65–70).
 * @param {number[]} p
 * @returns {number[]} in the order of `p`
 */
export function holm(p) {
  const order = p.map((_, i) => i).sort((one, other) => p[one] - p[other]);
  const corrected = new Array(p.length);
  let most = 0;
  for (const [place, i] of order.entries()) {
    most = Math.max(most, p[i] * (p.length - place));
    corrected[i] = Math.min(1, most);
  }
  return corrected;
}
