/** The rows of `output_figures.json`: how far each output strays, and each of its channels. */

import { constantChannels, isConstant, rangesOf, wholeSums, worstChannels } from './channels.mjs';
import { errorFigures } from './errors.mjs';

/** @typedef {import('./channels.mjs').OutputSums} OutputSums */

/** Most channels that all have a row; of more channels, the worst have one. */
const ALL_CHANNELS = 64;
const WORST_CHANNELS = 10;

/**
 * @typedef {object} Place
 * @property {string} setting
 * @property {string} runtime
 * @property {string} output
 * @property {boolean} scored
 * @property {number[]} shape of one sample
 */

/**
 * The row of an output, and those of its channels below it, as `quantlab.types.OutputRow`.
 * @param {Place} place
 * @param {OutputSums} sums
 * @returns {object[]}
 */
export function outputRows(place, sums) {
  const constant = constantChannels(sums);
  const whole = { ...figureRow(place, sums, null), constant: isConstant(sums), constant_channels: constant };
  const width = sums.channels.length;
  if (width < 2) return [whole];
  const chosen = width <= ALL_CHANNELS ? [...sums.channels.keys()] : worstChannels(sums, WORST_CHANNELS);
  return [whole, ...chosen.map((channel) => (
    { ...figureRow(place, sums, channel), constant: constant.includes(channel), constant_channels: [] }))];
}

/** @type {(place: Place, sums: OutputSums, channel: number | null) => object} */
function figureRow({ setting, runtime, output, scored, shape }, sums, channel) {
  const error = channel === null ? wholeSums(sums) : sums.channels[channel];
  const { maxAbs, meanAbs, rms, bias, sqnrDb, cosine } = errorFigures(error);
  const [[low, high], [lowCandidate, highCandidate]] = rangesOf(sums, channel);
  const known = (/** @type {number} */ figure) => (error.count ? figure : null);
  const end = (/** @type {number} */ value) => (Number.isNaN(value) ? null : value);
  return {
    setting,
    runtime,
    output,
    channel,
    scored,
    shape,
    n: sums.samples,
    count: error.count,
    left_out: error.leftOut,
    different: error.different,
    non_finite: error.nonFinite,
    max_abs_error: known(maxAbs),
    mean_abs_error: known(meanAbs),
    rms_error: known(rms),
    bias: known(bias),
    sqnr_db: known(sqnrDb),
    cosine: known(cosine),
    minimum: end(lowCandidate),
    maximum: end(highCandidate),
    reference_minimum: end(low),
    reference_maximum: end(high),
  };
}
