/**
 * Error of one tensor inside a variant, as sums over batches in float64, with the figures of
 * `quantlab.statistics.layers.LayerError`.
 */

import { errorFigures, NO_ERRORS } from './errors.mjs';
import { BLOCK, Total } from './numbers.mjs';

/** @typedef {import('./errors.mjs').ErrorSums} ErrorSums */

/**
 * As the same fields of `quantlab.types.LayerRow`.
 * @typedef {object} LayerFigures
 * @property {number} count
 * @property {number} different
 * @property {number} mean_abs
 * @property {number} max_abs
 * @property {number} rms
 * @property {number} relative_rms RMS of the error / RMS of the baseline
 * @property {number} sqnr_db
 * @property {number} cosine
 * @property {number} bias
 * @property {number} non_finite
 * @property {number} non_finite_baseline
 * @property {number | null} minimum
 * @property {number | null} maximum
 * @property {number | null} baseline_minimum
 * @property {number | null} baseline_maximum
 * @property {Record<string, number>} error_quantiles by percentile
 * @property {number | null} worst_channel null without channels
 * @property {number | null} worst_channel_sqnr_db
 */

const QUANTILES = Object.freeze([50, 90, 95, 99, 99.9]);

/** Mantissa bits of a float32 that a bucket leaves out: 7 remain, which gives 128 buckets per power of two. */
const DROPPED_BITS = 16;
const BUCKETS = 1 << (31 - DROPPED_BITS);
const INFINITY = 0xff << 7;

/** The sums of each block. */
const SUMS = Object.freeze(['error', 'absError', 'squareError', 'squareReference', 'squareCandidate', 'product']);

export class LayerSums {
  /** @type {ErrorSums} */
  #sums = { ...NO_ERRORS };

  #totals = SUMS.map(() => new Total());

  /** Smallest and largest finite element of the baseline, the candidate and |error|. */
  #ends = [[Infinity, -Infinity], [Infinity, -Infinity], [Infinity, -Infinity]];

  #zeros = 0;

  /** Pairs with an element that is not finite. */
  #spoiled = 0;

  #buckets = new Uint32Array(BUCKETS);

  /** @param {number} width number of channels: the size of the last axis; 0 for a tensor of one value per sample */
  constructor(width) {
    this.width = width;
    /** Σ error² of each channel, Σ baseline², and pairs that are not finite. */
    const [noise, signal, spoiled] = Array.from({ length: 3 }, () => new Float64Array(width));
    this.channels = { noise, signal, spoiled };
  }

  /**
   * Add a batch.
   * @param {Float32Array} baseline
   * @param {Float32Array} candidate the same length
   */
  add(baseline, candidate) {
    const sizes = new Float32Array(BLOCK);
    const bits = new Uint32Array(sizes.buffer);
    for (let start = 0; start < baseline.length; start += BLOCK) {
      const end = Math.min(start + BLOCK, baseline.length);
      const held = this.#addBlock(baseline, candidate, start, end, sizes);
      for (let i = 0; i < held; i += 1) this.#buckets[bits[i] >>> DROPPED_BITS] += 1;
    }
    this.#sums.count += baseline.length;
    if (this.width) this.#addChannels(baseline, candidate);
  }

  /**
   * Add a block, and write its finite |errors| that are not 0 to `sizes`; return how many these are.
   * @type {(baseline: Float32Array, candidate: Float32Array, start: number, end: number, sizes: Float32Array) => number}
   */
  #addBlock(baseline, candidate, start, end, sizes) {
    let [error, absolute, noise, signal, power, product, held] = [0, 0, 0, 0, 0, 0, 0];
    const [expectedEnds, actualEnds, errorEnds] = this.#ends;
    for (let i = start; i < end; i += 1) {
      const expected = baseline[i];
      const actual = candidate[i];
      const difference = actual - expected;
      if (!Number.isFinite(difference)) {
        this.#addSpoiled(expected, actual);
        continue;
      }
      const size = Math.abs(difference);
      if (difference === 0) this.#zeros += 1;
      else {
        this.#sums.different += 1;
        sizes[held] = size;
        held += 1;
      }
      widen(expectedEnds, expected);
      widen(actualEnds, actual);
      widen(errorEnds, size);
      error += difference;
      absolute += size;
      noise += difference * difference;
      signal += expected * expected;
      power += actual * actual;
      product += expected * actual;
    }
    [error, absolute, noise, signal, power, product].forEach((sum, which) => this.#totals[which].add(sum));
    return held;
  }

  /** @type {(expected: number, actual: number) => void} */
  #addSpoiled(expected, actual) {
    this.#spoiled += 1;
    if (expected !== actual) this.#sums.different += 1;
    if (Number.isFinite(expected)) widen(this.#ends[0], expected);
    else this.#sums.nonFiniteReference += 1;
    if (Number.isFinite(actual)) widen(this.#ends[1], actual);
    else this.#sums.nonFinite += 1;
  }

  /** @type {(baseline: Float32Array, candidate: Float32Array) => void} */
  #addChannels(baseline, candidate) {
    const { noise, signal, spoiled } = this.channels;
    for (let start = 0; start < baseline.length; start += this.width) {
      for (let channel = 0; channel < this.width; channel += 1) {
        const expected = baseline[start + channel];
        const error = candidate[start + channel] - expected;
        if (Number.isFinite(error)) {
          noise[channel] += error * error;
          signal[channel] += expected * expected;
        } else spoiled[channel] += 1;
      }
    }
  }

  /** @returns {LayerFigures} */
  figures() {
    const totals = Object.fromEntries(SUMS.map((name, which) => [name, this.#totals[which].value]));
    const sums = { ...this.#sums, ...totals, largest: Math.max(0, this.#ends[2][1]) };
    const { meanAbs, maxAbs, rms, bias, sqnrDb, cosine } = errorFigures(sums);
    const [[baselineMinimum, baselineMaximum], [minimum, maximum]] = this.#ends.map(rangeOf);
    const worst = this.#worst();
    return {
      count: sums.count,
      different: sums.different,
      mean_abs: meanAbs,
      max_abs: maxAbs,
      rms,
      relative_rms: Number.isNaN(sqnrDb) ? NaN : 10 ** (-sqnrDb / 20),
      sqnr_db: sqnrDb,
      cosine,
      bias,
      non_finite: sums.nonFinite,
      non_finite_baseline: sums.nonFiniteReference,
      minimum,
      maximum,
      baseline_minimum: baselineMinimum,
      baseline_maximum: baselineMaximum,
      error_quantiles: Object.fromEntries(QUANTILES.map((percent) => [String(percent), this.#quantile(percent / 100)])),
      worst_channel: worst?.channel ?? null,
      worst_channel_sqnr_db: worst?.decibels ?? null,
    };
  }

  /**
   * The smallest value that at least a share `q` of the |errors| does not exceed, at the middle of its bucket.
   * @param {number} q
   */
  #quantile(q) {
    const { count } = this.#sums;
    if (!count) return NaN;
    // 1 is subtracted before rounding up, as NumPy does, so that rounding errors in n·q give the same rank.
    const rank = Math.max(0, Math.ceil(count * q - 1));
    const finite = count - this.#spoiled;
    const [least, greatest] = this.#ends[2];
    if (rank >= finite) return Infinity;
    if (rank === 0) return least;
    if (rank < this.#zeros) return 0;
    if (rank === finite - 1) return greatest;
    let bucket = 0;
    for (let seen = this.#buckets[0]; seen <= rank - this.#zeros; seen += this.#buckets[bucket]) bucket += 1;
    return Math.min(Math.max(middleOf(bucket), least), greatest);
  }

  /** The channel with the lowest SQNR; one that is 0 in the baseline counts only if it is not finite, or all are 0. */
  #worst() {
    const { noise, signal, spoiled } = this.channels;
    /** @type {{ channel: number, silent: number, decibels: number, noise: number } | null} */
    let worst = null;
    for (let channel = 0; channel < this.width; channel += 1) {
      const silent = signal[channel] === 0 && spoiled[channel] === 0 ? 1 : 0;
      const decibels = channelSqnr(noise[channel], signal[channel], spoiled[channel] > 0);
      const one = { channel, silent, decibels, noise: noise[channel] };
      if (!worst || isWorse(one, worst)) worst = one;
    }
    return worst;
  }
}

/** @type {(ends: number[], value: number) => void} */
function widen(ends, value) {
  if (value < ends[0]) ends[0] = value;
  if (value > ends[1]) ends[1] = value;
}

/** @type {(ends: number[]) => [number | null, number | null]} */
function rangeOf([least, greatest]) {
  return least <= greatest ? [least, greatest] : [null, null];
}

/** @type {(noise: number, signal: number, spoiled: boolean) => number} */
function channelSqnr(noise, signal, spoiled) {
  if (spoiled || !Number.isFinite(noise + signal)) return -Infinity;
  return noise === 0 ? Infinity : 10 * (Math.log10(signal) - Math.log10(noise));
}

/** @typedef {{ silent: number, decibels: number, noise: number }} Ranked */

/** @type {(one: Ranked, other: Ranked) => boolean} */
function isWorse(one, other) {
  if (one.silent !== other.silent) return one.silent < other.silent;
  return one.decibels !== other.decibels ? one.decibels < other.decibels : one.noise > other.noise;
}

/**
 * The middle between the lowest float32 of a bucket and of the next; infinite for the last bucket.
 * @param {number} bucket
 */
function middleOf(bucket) {
  if (bucket >= INFINITY) return Infinity;
  const [low, high] = new Float32Array(Uint32Array.of(bucket << DROPPED_BITS, (bucket + 1) << DROPPED_BITS).buffer);
  return (low + (Number.isFinite(high) ? high : 2 ** 128)) / 2;
}
