/** The rows of the table, and the sentences that are computed from them. */

import { count, counted, fixed, joined, number, size, withInterval } from './shown-figures.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./statistics.mjs').Row} Row */
/** @typedef {import('./statistics.mjs').Scores} Scores */

/**
 * One variant in one runtime.
 * @typedef {object} Trial
 * @property {string} setting
 * @property {string} runtime
 * @property {string} backend
 * @property {Artifact | null} artifact null if the variant could not be made
 * @property {number | null} gzip download size in bytes
 * @property {Row | null} row null if it failed
 * @property {string | null} reason why it failed
 * @property {Map<string, Tensor> | null} outputs
 * @property {Record<string, string>} environment
 * @property {string | null} ranOn
 * @property {import('./measure.mjs').Measured | null} run
 * @property {number | null} milliseconds of the model's calls for one sample; null if they say nothing
 * @property {string[]} notes
 */

/**
 * What a run has measured.
 * @typedef {object} Measured
 * @property {Artifact} artifact the reference
 * @property {number} gzip download size of the reference in bytes
 * @property {Scores | null} reference
 * @property {import('./statistics.mjs').Task} task
 * @property {Trial[]} trials
 * @property {boolean} stopped
 */

/**
 * The loss that the table is read by.
 * @typedef {{ name: string, value: number, interval: { lower: number, upper: number } | null, decimals: number,
 *   unit: string }} Loss
 */

/**
 * Points of top-1, growth of the error, or the share of samples with another top-1; null without any of them.
 * @param {Scores | null | undefined} scores
 * @returns {Loss | null}
 */
export function lossOf(scores) {
  if (!scores) return null;
  if (scores.top1_loss_points !== null) {
    return {
      name: 'loss of top-1', value: scores.top1_loss_points, interval: scores.top1_loss_interval, decimals: 2,
      unit: 'points',
    };
  }
  if (scores.mae_loss !== null) {
    return { name: 'loss of MAE', value: scores.mae_loss, interval: scores.mae_loss_interval, decimals: 4, unit: '' };
  }
  if (scores.agreement === null || !scores.agreement_interval) return null;
  const { lower, upper } = scores.agreement_interval;
  return {
    name: 'other top-1', value: 100 - scores.agreement, interval: { lower: 100 - upper, upper: 100 - lower },
    decimals: 2, unit: 'points',
  };
}

/**
 * Whether the variant is quantized: neither the float32 baseline nor what was dropped.
 * @param {{ setting: string }} trial
 */
export function isQuantized({ setting }) {
  return !/-float32$|^as-given$/.test(setting);
}

/**
 * The two sentences at the top: the smallest quantized setting of those that failed in the fewest runtimes, and its
 * largest loss.
 * @param {Measured} measured
 * @returns {{ claim: string, evidence: string }}
 */
export function headline({ artifact, gzip, trials }) {
  const ran = trials.filter(({ row }) => row);
  const failed = (/** @type {string} */ setting) => trials.filter((one) => one.setting === setting && !one.row)
    .map(({ runtime }) => runtime);
  const quantized = smallestFirst(ran.filter(isQuantized))
    .sort((one, other) => failed(one.setting).length - failed(other.setting).length);
  if (!ran.length) return { claim: `Nothing of ${artifact.name} could be measured.`, evidence: 'Each row says why.' };
  const [smallest] = quantized;
  if (!smallest) return { claim: `${artifact.name} runs here.`, evidence: alike(ran) };
  const worst = worstOf(quantized.filter(({ setting }) => setting === smallest.setting));
  const loss = lossOf(worst.row?.scores);
  const n = /** @type {Row} */ (worst.row).scores.n;
  const part = smallest.gzip === null ? '' : `, ${fixed(100 * smallest.gzip / gzip, 0)} % of what was dropped`;
  const weight = smallest.gzip === null ? '' : `: ${size(smallest.gzip)} gzipped${part}`;
  const lacking = failed(smallest.setting);
  const claim = `The smallest setting is ${smallest.setting}${weight}${
    lacking.length ? `; it failed in ${joined(lacking)}` : ''}.`;
  if (!loss) {
    const sqnr = fixed(worst.row?.scores.sqnr_db, 1);
    return { claim, evidence: `Its outputs have an SQNR of ${sqnr} dB, n = ${count(n)}.` };
  }
  const within = loss.interval === null ? '' : lossInWords(loss);
  const figures = `${withInterval(loss.value, loss.interval, loss.decimals)}${loss.unit && ` ${loss.unit}`}`;
  const evidence = `Its ${loss.name} is ${figures} in ${worst.runtime}, n = ${count(n)}${within}.`;
  return { claim, evidence: `${evidence}${smallestWithoutLoss(quantized, smallest)}` };
}

/**
 * The smallest setting of which no runtime shows a loss, if the smallest of all shows one.
 * @type {(quantized: Trial[], smallest: Trial) => string}
 */
function smallestWithoutLoss(quantized, smallest) {
  const shows = (/** @type {string} */ setting) => quantized.some((one) => {
    const lower = one.setting === setting ? lossOf(one.row?.scores)?.interval?.lower : null;
    return lower !== null && lower !== undefined && lower > 0;
  });
  if (!shows(smallest.setting)) return '';
  const other = quantized.find(({ setting }) => !shows(setting));
  if (!other) return ' Every other setting shows a loss, too.';
  const worst = worstOf(quantized.filter(({ setting }) => setting === other.setting));
  const { value, interval, decimals } = /** @type {Loss} */ (lossOf(worst.row?.scores));
  return ` The smallest of which the samples show no loss is ${other.setting}${
    other.gzip === null ? '' : `, ${size(other.gzip)}`}: ${withInterval(value, interval, decimals)}.`;
}

/** @param {Loss} loss */
function lossInWords({ interval, unit, name, decimals }) {
  const { lower, upper } = /** @type {{ lower: number, upper: number }} */ (interval);
  const bound = `${fixed(upper, decimals)}${unit && ` ${unit}`}`;
  if (name === 'other top-1') return `: at most ${bound} of the answers differ, with 95 % confidence`;
  return lower > 0 ? `: it loses, and at most ${bound}, with 95 % confidence`
    : `: the samples show no loss, and exclude one of more than ${bound}`;
}

/** @param {Trial[]} ran */
function alike(ran) {
  const changed = Math.max(...ran.map(({ row }) => row?.changed.length ?? 0));
  const runtimes = joined([...new Set(ran.map(({ runtime }) => runtime))]);
  return changed
    ? `In ${runtimes}, up to ${counted(changed, 'sample gets', 'samples get')} another answer than the reference.`
    : `In ${runtimes}, no answer differs from the reference.`;
}

/** @param {Trial[]} trials */
function smallestFirst(trials) {
  return [...trials].sort((one, other) => (one.gzip ?? Infinity) - (other.gzip ?? Infinity));
}

/** The runtime with the largest bound of the loss. @param {Trial[]} trials */
function worstOf(trials) {
  const bound = (/** @type {Trial} */ { row }) => {
    const loss = lossOf(row?.scores);
    const most = loss ? loss.interval?.upper ?? loss.value : -(row?.scores.sqnr_db ?? 0);
    return Number.isNaN(most) ? Infinity : most; // what is not known may be anything
  };
  return trials.reduce((worst, one) => (bound(one) > bound(worst) ? one : worst));
}

/**
 * What must be said about rows: why they failed, and their notes. What is true of all settings in a runtime, or of a
 * setting in all runtimes, is said once.
 * @param {Trial[]} trials
 * @returns {{ failures: string[], notes: string[] }}
 */
export function sentences(trials) {
  const failures = trials.filter(({ reason }) => reason !== null).map((trial) => ({ trial, text: String(trial.reason) }));
  const notes = trials.flatMap((trial) => [...trial.notes, ...trial.row?.notes ?? []].map((text) => ({ trial, text })));
  return { failures: grouped(failures, trials), notes: grouped(notes, trials.filter(({ row }) => row)) };
}

/** @type {(told: { trial: Trial, text: string }[], trials: Trial[]) => string[]} */
function grouped(told, trials) {
  return [...new Set(told.map(({ text }) => text))].flatMap((text) => {
    const own = told.filter((one) => one.text === text).map(({ trial }) => trial);
    for (const key of /** @type {const} */ (['runtime', 'setting'])) {
      const values = [...new Set(own.map((trial) => trial[key]))];
      const isWhole = own.length > 1 && own.length === trials.filter((trial) => values.includes(trial[key])).length;
      if (isWhole && values.every(Boolean)) return [`${joined(values)}: ${text}`];
    }
    return own.map(({ setting, runtime }) => `${setting}${runtime ? ` in ${runtime}` : ''}: ${text}`);
  });
}

/**
 * A column of the table: its heading, and the text of a trial.
 * @typedef {{ name: string, numeric: boolean, text: (trial: Trial) => string }} Column
 */

/** @type {(name: string, text: (scores: Scores) => string) => Column} */
function figure(name, text) {
  return { name, numeric: true, text: ({ row }) => (row ? text(row.scores) : '') };
}

/**
 * The columns of `quantlab show`, in its words; those that apply to no trial are left out.
 * @param {Measured} measured
 * @returns {Column[]}
 */
export function columnsOf({ trials, task }) {
  /** @type {Record<string, Column[]>} */
  const metrics = {
    classification: [
      figure('top-1 %', ({ top1 }) => fixed(top1, 2)),
      figure('loss, points [95 %]', (scores) => withInterval(scores.top1_loss_points, scores.top1_loss_interval, 2)),
      figure('became wrong / right', ({ right_to_wrong: wrong, wrong_to_right: right }) => `${wrong}/${right}`),
    ],
    regression: [
      figure('MAE', ({ mae }) => number(mae, 4)),
      figure('MAE loss [95 %]', ({ mae_loss: loss, mae_loss_interval: interval }) => `${number(loss)}${
        interval ? ` [${number(interval.lower)}, ${number(interval.upper)}]` : ''}`),
    ],
    similarity: [],
  };
  const classes = trials.some(({ row }) => row?.scores.agreement !== null && row?.scores.agreement !== undefined);
  const agreement = figure('same top-1 % [95 %]', (scores) => withInterval(
    scores.agreement, scores.agreement_interval, 2));
  return [
    { name: 'setting', numeric: false, text: ({ setting }) => setting },
    { name: 'runtime', numeric: false, text: ({ runtime }) => runtime },
    { name: 'gzip KB', numeric: true, text: ({ gzip }) => (gzip === null ? '' : fixed(gzip / 1000, 1)) },
    ...metrics[task],
    ...(classes ? [agreement] : []),
    figure('SQNR dB', ({ sqnr_db: sqnr }) => fixed(sqnr, 1)),
    figure('max error', ({ max_abs_error: error }) => number(error, 2)),
    {
      name: 'ms/sample',
      numeric: true,
      text: ({ milliseconds, row }) => (row ? fixed(milliseconds, Number(milliseconds) >= 10 ? 1 : 3) : ''),
    },
  ];
}
