/**
 * 8-bit codes of kernels, with one scale per output channel and integer zeros: the same values as
 * `converters/quantlab_converters/channel_codes.py`, whose sums are those of NumPy.
 */

import { HALF_MAX, HALF_NORMAL, halfOf, numberOfHalf, roundHalfEven } from './halves.mjs';
import { countOf } from './weights.mjs';

/**
 * A kernel as codes: (codes − zeros) · scales. The shapes of scales and zeros broadcast against the kernel; that of one
 * zero for all channels is empty.
 * @typedef {object} ChannelCodes
 * @property {Uint8Array} codes
 * @property {Float64Array} scales
 * @property {'float16' | 'float32'} stored the dtype in which the scales are exact
 * @property {Uint8Array} zeros
 * @property {number[]} scaleShape
 * @property {number[]} zeroShape
 */

const HIGHEST = 255;
const COMMON_ZERO_LOSS = 2;

/**
 * How the channels lie in a kernel: `run` elements of the first one, as many of the next, and so on, again and again.
 * @typedef {{ count: number, run: number, shape: number[] }} Channels
 */

/** The axes are next to each other. @type {(shape: number[], axes: number[]) => Channels} */
function channelsOf(shape, axes) {
  const sizes = shape.map((size, axis) => (axes.includes(axis) ? size : 1));
  const count = countOf(sizes);
  // Without channels all axes are one run, as in NumPy's iterator.
  return { count, run: countOf(count === 1 ? shape : shape.slice(Math.max(...axes) + 1)), shape: sizes };
}

/**
 * Encode a kernel in 8 bits, rounding to the nearest code. The range of a channel includes 0, which is exact.
 * @param {Float32Array} kernel at least one value, all finite
 * @param {number[]} shape
 * @param {number[]} axes that together index the channel; empty for one scale in all
 * @returns {ChannelCodes}
 */
export function encode(kernel, shape, axes) {
  const channels = channelsOf(shape, axes);
  const { lowest, highest } = rangesOf(kernel, channels);
  const { zeros, scales, isCommon } = zerosAndScales(lowest, highest);
  const { scales: kept, stored } = storedScales(scales.map((scale) => (scale > 0 ? scale : 1)));
  const codes = nearestCodes(kernel, channels, { scales: kept, zeros });
  const scaleShape = axes.length ? channels.shape.slice(Math.min(...axes)) : [];
  return {
    codes,
    scales: kept,
    stored,
    zeros: Uint8Array.from(isCommon ? zeros.subarray(0, 1) : zeros),
    scaleShape,
    zeroShape: isCommon ? [] : scaleShape,
  };
}

/**
 * The range of each channel with 0.
 * @param {Float32Array} kernel
 * @param {Channels} channels
 */
function rangesOf(kernel, { count, run }) {
  const [lowest, highest] = [new Float64Array(count), new Float64Array(count)];
  for (let place = 0; place < kernel.length;) {
    for (let channel = 0; channel < count; channel += 1) {
      for (const end = place + run; place < end; place += 1) {
        const value = kernel[place];
        if (value < lowest[channel]) lowest[channel] = value;
        if (value > highest[channel]) highest[channel] = value;
      }
    }
  }
  return { lowest, highest };
}

/**
 * @param {Float32Array} kernel
 * @param {Channels} channels
 * @param {{ scales: Float64Array, zeros: Float64Array }} line of each channel
 */
function nearestCodes(kernel, { count, run }, { scales, zeros }) {
  const codes = new Uint8Array(kernel.length);
  for (let place = 0; place < kernel.length;) {
    for (let channel = 0; channel < count; channel += 1) {
      const [scale, zero] = [scales[channel], zeros[channel]];
      for (const end = place + run; place < end; place += 1) {
        codes[place] = Math.min(Math.max(roundHalfEven(kernel[place] / scale) + zero, 0), HIGHEST);
      }
    }
  }
  return codes;
}

/**
 * Zeros, one in all or one per channel, and the scales with which the range of every channel is in reach.
 * @param {Float64Array} lowest
 * @param {Float64Array} highest
 * @returns {{ zeros: Float64Array, scales: Float64Array, isCommon: boolean }}
 */
function zerosAndScales(lowest, highest) {
  const own = lowest.map((low, channel) => (highest[channel] - low) / HIGHEST);
  const ranged = Math.max(own.reduce((count, step) => count + Number(step !== 0), 0), 1);
  const squares = new Float64Array(own.length);
  let best = 0;
  let least = Infinity;
  for (let zero = 0; zero <= HIGHEST; zero += 1) {
    for (let channel = 0; channel < own.length; channel += 1) {
      // Relative to the channel's own step, so that a large channel does not decide for the others.
      const ratio = own[channel] > 0 ? reaching(lowest[channel], highest[channel], zero) / own[channel] : 0;
      squares[channel] = ratio * ratio;
    }
    const mean = pairwiseSum(squares, 0, squares.length) / ranged;
    if (mean < least) [best, least] = [zero, mean];
  }
  if (least <= COMMON_ZERO_LOSS) {
    const scales = own.map((_, channel) => reaching(lowest[channel], highest[channel], best));
    return { zeros: own.map(() => best), scales, isCommon: true };
  }
  const zeros = own.map((step, channel) => (step > 0 ? roundHalfEven(-lowest[channel] / step) : 0));
  return { zeros, scales: own, isCommon: false };
}

/**
 * The scale with which a range is in reach of codes with this zero.
 * @type {(low: number, high: number, zero: number) => number}
 */
function reaching(low, high, zero) {
  const below = low < 0 ? -low / zero : 0;
  const above = high > 0 ? high / (HIGHEST - zero) : 0;
  return Math.max(below, above);
}

/**
 * Scales as they are stored, rounded up, so that the ends of the ranges stay in reach: as half floats, unless one of
 * them is too small or too large.
 * @param {Float64Array} scales above 0
 * @returns {{ scales: Float64Array, stored: 'float16' | 'float32' }}
 */
export function storedScales(scales) {
  const isNarrow = scales.every((scale) => scale >= HALF_NORMAL && scale <= HALF_MAX);
  return { scales: scales.map(isNarrow ? halfAbove : floatAbove), stored: isNarrow ? 'float16' : 'float32' };
}

/** @type {(scale: number) => number} */
function halfAbove(scale) {
  const bits = halfOf(scale);
  const rounded = numberOfHalf(bits);
  return rounded < scale ? numberOfHalf(bits + 1) : rounded;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** @type {(scale: number) => number} */
function floatAbove(scale) {
  [FLOAT[0]] = [scale];
  if (FLOAT[0] < scale) BITS[0] += 1;
  return FLOAT[0];
}

/**
 * The lowest SQNR of a channel in decibels, channels of zeros aside; −∞ if there is no other.
 * @param {Float32Array} kernel
 * @param {number[]} shape
 * @param {number[]} axes that together index the channel
 * @param {ChannelCodes} encoded with one scale for each channel, or one in all
 */
export function worstSqnrDb(kernel, shape, axes, { codes, scales, zeros }) {
  const channels = channelsOf(shape, axes);
  const errors = channelSums(kernel.length, channels, (squares, begin, first) => {
    for (let at = 0; at < squares.length; at += 1) {
      const channel = channels.run > 1 ? first : at;
      const [scale, zero] = [scales[scales.length > 1 ? channel : 0], zeros[zeros.length > 1 ? channel : 0]];
      const error = (codes[begin + at] - zero) * scale - kernel[begin + at];
      squares[at] = error * error;
    }
  });
  const powers = channelSums(kernel.length, channels, (squares, begin) => {
    for (let at = 0; at < squares.length; at += 1) squares[at] = kernel[begin + at] * kernel[begin + at];
  });
  const decibels = Array.from(powers, (power, channel) => (power > 0 ? 10 * Math.log10(power / errors[channel]) : null))
    .filter((value) => value !== null);
  return decibels.length ? decibels.reduce((worst, value) => Math.min(worst, value)) : -Infinity;
}

/**
 * Sums over the elements of each channel, of which `fill` computes some: a run of one channel, or one of each.
 * @param {number} length
 * @param {Channels} channels
 * @param {(values: Float64Array, begin: number, channel: number) => void} fill
 * @returns {Float64Array}
 */
function channelSums(length, { count, run }, fill) {
  const sums = new Float64Array(count);
  const values = new Float64Array(run > 1 ? run : count);
  for (let begin = 0, channel = 0; begin < length; begin += values.length) {
    fill(values, begin, channel);
    if (run > 1) {
      sums[channel] += pairwiseSum(values, 0, run);
      channel = (channel + 1) % count;
    } else {
      for (let at = 0; at < count; at += 1) sums[at] += values[at];
    }
  }
  return sums;
}

/**
 * The sum as NumPy computes it: eight sums side by side in blocks of 128, which are added in pairs (numpy,
 * `loops_utils.h.src`, `pairwise_sum`).
 * @param {Float64Array} values
 * @param {number} begin
 * @param {number} count
 * @returns {number}
 */
export function pairwiseSum(values, begin, count) {
  if (count < 8) {
    let sum = 0;
    for (let place = begin; place < begin + count; place += 1) sum += values[place];
    return sum;
  }
  if (count > 128) {
    const half = Math.floor(count / 2);
    const first = half - (half % 8);
    return pairwiseSum(values, begin, first) + pairwiseSum(values, begin + first, count - first);
  }
  const lanes = values.slice(begin, begin + 8);
  const whole = count - (count % 8);
  for (let place = 8; place < whole; place += 8) {
    for (let lane = 0; lane < 8; lane += 1) lanes[lane] += values[begin + place + lane];
  }
  let sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (let place = whole; place < count; place += 1) sum += values[begin + place];
  return sum;
}
