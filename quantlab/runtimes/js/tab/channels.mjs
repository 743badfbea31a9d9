/**
 * Errors of an output and of each of its channels, and which of them became constant, as
 * `quantlab.statistics.scores.channels` defines them. A channel is an index of the last axis, if there are two.
 */

import { errorFigures, NO_ERRORS } from './errors.mjs';
import { checkSameShape, numbersOf, sampleSize, Total } from './numbers.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./errors.mjs').ErrorSums} ErrorSums */

/**
 * Sums of one channel, or of the whole output. Elements that are not finite in the reference, or of samples that are
 * not scored, are left out and counted.
 * @typedef {ErrorSums & { leftOut: number }} ChannelSums
 */

/** @typedef {{ low: Float64Array, high: Float64Array }} Ends for each element of a sample, over all samples */

/**
 * @typedef {object} OutputSums
 * @property {number} samples
 * @property {number} elements of one sample
 * @property {ChannelSums[]} channels
 * @property {Ends} reference
 * @property {Ends} candidate
 */

/** @typedef {[number, number]} Range NaN where no value is finite */

/**
 * An output that is constant, or one of its channels.
 * @typedef {object} Constant
 * @property {string} output
 * @property {number | null} channel null for the whole output
 */

/** With fewer elements, a channel may be constant by chance. */
const FEWEST = 10;

/** Share of the largest value by which float32 sums of a constant may differ. */
const ROUNDING = 2 ** -20;

/** Between 0 and 1, a channel that varies by less is a class that never occurs. */
const NEGLIGIBLE_PROBABILITY = 0.01;

const SUMS = Object.freeze(/** @type {const} */ (
  ['error', 'absError', 'squareError', 'squareReference', 'squareCandidate', 'product']));

/**
 * Compare an output with the reference's, channel by channel.
 * @param {Tensor} reference samples first
 * @param {Tensor} candidate the same shape
 * @param {boolean[]} scored for each sample
 * @returns {OutputSums}
 * @throws {RangeError} if the shapes differ
 */
export function sumChannels(reference, candidate, scored) {
  checkSameShape(reference, candidate);
  const { shape } = reference;
  const elements = sampleSize(shape);
  const width = elements ? (shape.length > 1 ? shape[shape.length - 1] : 1) : 0;
  const pair = /** @type {const} */ ([numbersOf(reference), numbersOf(candidate)]);
  const ends = () => (
    { low: new Float64Array(elements).fill(Infinity), high: new Float64Array(elements).fill(-Infinity) });
  /** @type {OutputSums} */
  const sums = { samples: shape[0], elements, channels: [], reference: ends(), candidate: ends() };
  for (let channel = 0; channel < width; channel += 1) {
    sums.channels.push(sumChannel(pair, { channel, width, elements }, scored, sums));
  }
  return sums;
}

/** @typedef {readonly [ArrayLike<number>, ArrayLike<number>]} Pair */
/** @typedef {{ channel: number, width: number, elements: number }} Place */

/** @type {(pair: Pair, place: Place, scored: boolean[], sums: OutputSums) => ChannelSums} */
function sumChannel([expected, actual], { channel, width, elements }, scored, { reference, candidate }) {
  const told = { ...NO_ERRORS, leftOut: 0 };
  const totals = SUMS.map(() => new Total());
  for (const [sample, isScored] of scored.entries()) {
    for (let element = channel; element < elements; element += width) {
      const place = sample * elements + element;
      const [value, other] = [expected[place], actual[place]];
      if (!isScored || !Number.isFinite(value)) {
        told.leftOut += 1;
        continue;
      }
      told.count += 1;
      if (value !== other) told.different += 1;
      widen(reference, element, value);
      if (!Number.isFinite(other)) {
        told.nonFinite += 1;
        continue;
      }
      widen(candidate, element, other);
      const error = other - value;
      told.largest = Math.max(told.largest, Math.abs(error));
      const products = [error, Math.abs(error), error * error, value * value, other * other, value * other];
      products.forEach((product, which) => totals[which].add(product));
    }
  }
  SUMS.forEach((name, which) => { told[name] = totals[which].value; });
  return told;
}

/** @type {(ends: Ends, element: number, value: number) => void} */
function widen({ low, high }, element, value) {
  if (value < low[element]) low[element] = value;
  if (value > high[element]) high[element] = value;
}

/**
 * The sums of the whole output.
 * @param {OutputSums} sums
 * @returns {ChannelSums}
 */
export function wholeSums({ channels }) {
  const names = /** @type {(keyof ChannelSums)[]} */ (['count', 'different', 'nonFinite', 'leftOut', ...SUMS]);
  const added = Object.fromEntries(names.map((name) => {
    const total = new Total();
    channels.forEach((channel) => total.add(channel[name]));
    return [name, total.value];
  }));
  const largest = channels.reduce((most, channel) => Math.max(most, channel.largest), 0);
  return { ...NO_ERRORS, leftOut: 0, ...added, largest };
}

/**
 * Smallest and largest finite value of the reference, then of the candidate.
 * @param {OutputSums} sums
 * @param {number | null} channel null for the whole output
 * @returns {[Range, Range]}
 */
export function rangesOf(sums, channel) {
  const width = sums.channels.length;
  return /** @type {[Range, Range]} */ ([sums.reference, sums.candidate].map(({ low, high }) => {
    let [least, most] = [Infinity, -Infinity];
    for (let i = channel ?? 0; i < low.length; i += channel === null ? 1 : width) {
      least = Math.min(least, low[i]);
      most = Math.max(most, high[i]);
    }
    return [finiteOr(least), finiteOr(most)];
  }));
}

/** @param {number} value */
function finiteOr(value) {
  return Number.isFinite(value) ? value : NaN;
}

/** @typedef {{ still: boolean, moves: number, largest: number }} Movement of one channel */

/**
 * Whether the candidate's channel is constant, by how much the reference's then varies, and its largest value.
 * @type {(sums: OutputSums, channel: number) => Movement}
 */
function movementOf({ samples, elements, channels, reference, candidate }, channel) {
  const { count, nonFinite } = channels[channel];
  let [least, most, same, moved, largest] = [Infinity, -Infinity, true, -Infinity, 0];
  let [low, high] = [Infinity, -Infinity];
  for (let i = channel; i < elements; i += channels.length) {
    least = Math.min(least, candidate.low[i]);
    most = Math.max(most, candidate.high[i]);
    // Where all samples are left out, the lowest value is ∞ and the highest −∞.
    same &&= candidate.low[i] >= candidate.high[i];
    low = Math.min(low, reference.low[i]);
    high = Math.max(high, reference.high[i]);
    moved = Math.max(moved, reference.high[i] - reference.low[i]);
    for (const end of [reference.low[i], reference.high[i]]) {
      if (Number.isFinite(end)) largest = Math.max(largest, Math.abs(end));
    }
  }
  const sound = count > 0 && nonFinite === 0;
  const oneValue = sound && least === most;
  return { still: oneValue || (sound && same && samples > 1), moves: oneValue ? high - low : moved, largest };
}

/**
 * Channels that are constant and vary in the reference, in order.
 * @param {OutputSums} sums
 * @returns {number[]}
 */
export function constantChannels(sums) {
  const width = sums.channels.length;
  if (!width) return [];
  const [[low, high]] = rangesOf(sums, null);
  const shares = width > 1 && low >= 0 && high <= 1;
  return sums.channels.flatMap(({ count }, channel) => {
    const { still, moves, largest } = movementOf(sums, channel);
    const least = Math.max(ROUNDING * largest, shares ? NEGLIGIBLE_PROBABILITY : 0);
    return still && moves > least && count >= FEWEST ? [channel] : [];
  });
}

/**
 * Whether the candidate gives one value, or the same values for every sample, and the reference varies.
 * @param {OutputSums} sums
 */
export function isConstant(sums) {
  if (wholeSums(sums).count < FEWEST) return false;
  if (sums.channels.length === 1) return constantChannels(sums).length > 0;
  const movements = sums.channels.map((_, channel) => movementOf(sums, channel));
  return movements.every(({ still }) => still) && movements.some(({ moves, largest }) => moves > ROUNDING * largest);
}

/**
 * What became constant of an output: itself, or channels of it in order; empty if nothing did.
 * @param {string} output
 * @param {OutputSums} sums
 * @returns {Constant[]}
 */
export function constantParts(output, sums) {
  if (isConstant(sums)) return [{ output, channel: null }];
  return constantChannels(sums).map((channel) => ({ output, channel }));
}

const NAMED_CHANNELS = 5;

/**
 * The note of a row about what became constant of one output.
 * @param {Constant[]} parts of one output, at least one
 */
export function constantNote(parts) {
  const [{ output, channel }] = parts;
  if (channel === null) return `output '${output}' is constant`;
  if (parts.length === 1) return `channel ${channel} of output '${output}' is constant`;
  const shown = parts.slice(0, NAMED_CHANNELS).map((part) => String(part.channel));
  const more = parts.length - shown.length;
  if (more) shown.push(`${more.toLocaleString('en-US')} more`);
  return `channels ${shown.slice(0, -1).join(', ')} and ${shown[shown.length - 1]} of output '${output}' are constant`;
}

/**
 * Some channels: constant ones first, then from the lowest to the highest SQNR, and silent ones last.
 * @param {OutputSums} sums
 * @param {number} number
 * @returns {number[]}
 */
export function worstChannels(sums, number) {
  const constant = new Set(constantChannels(sums));
  const ranked = sums.channels.map((channel, place) => {
    const { sqnrDb } = errorFigures(channel);
    const decibels = channel.count === 0 || Number.isNaN(sqnrDb) ? Infinity : sqnrDb;
    const silent = channel.squareReference === 0 && channel.nonFinite === 0;
    return { place, first: constant.has(place) ? 0 : 1, silent: silent ? 1 : 0, decibels, noise: channel.squareError };
  });
  ranked.sort((one, other) => one.first - other.first || one.silent - other.silent
    || compare(one.decibels, other.decibels) || other.noise - one.noise || one.place - other.place);
  return ranked.slice(0, number).map(({ place }) => place);
}

/** @type {(one: number, other: number) => number} */
function compare(one, other) {
  return one === other ? 0 : one < other ? -1 : 1;
}
