/**
 * Distribution functions that the intervals need, in float64: the incomplete beta function and its inverse, and the
 * quantiles of the normal and of Student's distribution.
 *
 * Python takes them from SciPy. Here they are computed from their definitions in the Digital Library of Mathematical
 * Functions (DLMF), to a relative error of at most 1e-11, and mostly 1e-14; tests compare both.
 */

/** Relative step at which an iteration ends. */
const SAME = 2 ** -52;
const MOST_TERMS = 200_000;

/**
 * Solve f(x) = 0 for a function that falls or rises through zero once between two ends, to the last bit.
 *
 * The interval is halved until its middle equals an end, which takes at most some 1,100 evaluations next to 0, and
 * about 55 elsewhere.
 * @param {(x: number) => number} f
 * @param {number} low
 * @param {number} high
 * @returns {number} the end at which f is nearer to zero
 */
export function rootOf(f, low, high) {
  const rising = f(high) > f(low);
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return Math.abs(f(low)) < Math.abs(f(high)) ? low : high;
    const value = f(middle);
    if (value === 0) return middle;
    if (value > 0 === rising) high = middle;
    else low = middle;
  }
}

/**
 * ln(1 + x) − x, without the cancellation of the two for small x.
 * @param {number} x above −1
 * @param {number} ratio 1 + x, with the digits that 1 + x loses next to −1
 */
function logPlusOneMinus(x, ratio) {
  if (Math.abs(x) > 0.1) return Math.log(ratio) - x;
  // −x²/2 + x³/3 − …
  let power = x;
  let sum = 0;
  for (let k = 2; k < 60; k += 1) {
    power *= -x;
    const before = sum;
    sum += power / k;
    if (sum === before) break;
  }
  return sum;
}

/**
 * ln Γ(z) minus Stirling's formula, (z − ½)·ln z − z + ½·ln 2π (DLMF 5.11.1).
 * @param {number} z above 0
 * @returns {number}
 */
function stirlingError(z) {
  // From Γ(z + 1) = z·Γ(z).
  if (z < 16) return stirlingError(z + 1) + (z + 0.5) * Math.log1p(1 / z) - 1;
  const square = 1 / (z * z);
  return (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188
    - square * (691 / 360360 - square / 156)))))) / z;
}

/**
 * x^a · (1 − x)^b / B(a, b), with both a and b above 0.
 *
 * The factors of Stirling's formula are combined before anything is exponentiated, so that large parameters do not
 * cancel (Loader 2000, Fast and accurate computation of binomial probabilities).
 * @param {number} x between 0 and 1
 * @param {number} a
 * @param {number} b
 */
function betaTerm(x, a, b) {
  const n = a + b;
  // x·n − a, of which a large a would take digits.
  const apart = x * b - (1 - x) * a;
  const near = a * logPlusOneMinus(apart / a, (x * n) / a) + b * logPlusOneMinus(-apart / b, ((1 - x) * n) / b);
  const stirling = stirlingError(n) - stirlingError(a) - stirlingError(b);
  return Math.sqrt((a / n) * b / (2 * Math.PI)) * Math.exp(near + stirling);
}

/**
 * The regularized incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22) with Lentz's algorithm.
 * @param {number} a above 0
 * @param {number} b above 0
 * @param {number} x 0 to 1
 * @returns {number}
 */
export function incompleteBeta(a, b, x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // On the other side the fraction converges slowly.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  return (betaTerm(x, a, b) / a) * betaFraction(a, b, x);
}

/** @type {(a: number, b: number, x: number) => number} */
function betaFraction(a, b, x) {
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1), tiny);
  let fraction = d;
  for (let m = 1; m < MOST_TERMS; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d, tiny);
    c = nonZero(1 + even / c, tiny);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d, tiny);
    c = nonZero(1 + odd / c, tiny);
    fraction *= d * c;
    if (Math.abs(d * c - 1) <= SAME) break;
  }
  return fraction;
}

/** @type {(value: number, tiny: number) => number} */
function nonZero(value, tiny) {
  return Math.abs(value) < tiny ? tiny : value;
}

/**
 * The x with I_x(a, b) = p.
 * @param {number} a above 0
 * @param {number} b above 0
 * @param {number} p between 0 and 1
 * @returns {number}
 */
export function inverseIncompleteBeta(a, b, p) {
  return rootOf((x) => incompleteBeta(a, b, x) - p, 0, 1);
}

/**
 * The normal quantile z with a probability above it.
 *
 * The tail is ½·(1 − erf(z/√2)): of small z by the series of erf (DLMF 7.6.2), of large z by the continued fraction of
 * erfc (DLMF 7.9.3).
 * @param {number} probability between 0 and 1
 * @returns {number}
 */
export function upperNormalQuantile(probability) {
  if (probability > 0.5) return -upperNormalQuantile(1 - probability);
  return rootOf((z) => normalTail(z) - probability, 0, 40);
}

/**
 * The probability that a standard normal value is above z.
 * @param {number} z at least 0
 */
function normalTail(z) {
  const density = Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let k = 3; term > sum * SAME; k += 2) {
      term *= z * z / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  // Mills' ratio, 1/(z + 1/(z + 2/(z + 3/(z + …)))).
  let fraction = z;
  for (let k = 200; k >= 1; k -= 1) fraction = z + k / fraction;
  return density / fraction;
}

/**
 * Student's quantile t with a probability of `confidence` between −t and t.
 *
 * t² / (t² + degrees) has a beta distribution with the parameters ½ and degrees / 2 (DLMF 8.17.5 and the definition of
 * the distribution).
 * @param {number} degrees of freedom, at least 1
 * @param {number} confidence between 0 and 1
 * @returns {number}
 */
export function studentQuantile(degrees, confidence) {
  const share = inverseIncompleteBeta(0.5, degrees / 2, confidence);
  return Math.sqrt(degrees * share / (1 - share));
}
