/**
 * The scores of a row of the table: those of `quantlab.types.Scores`, by the same formulas.
 *
 * Tests compare every figure with Python's.
 */

import {
  asClasses, divergences, inTop5, looksLikeProbabilities, NO_CLASS, top1, TOP5_FROM_CLASSES,
} from './classes.mjs';
import { errorFigures, errorSums } from './errors.mjs';
import { holm, mcnemarOfLoss, tango, wilson } from './intervals.mjs';
import { checkSameShape, finiteSamples, numbersOf, sampleSize, selectSamples, sumOf } from './numbers.mjs';
import { absoluteErrors, growth, labelsShaped, meanInterval, regressionFigures } from './regression.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./intervals.mjs').Interval} Interval */
/** @typedef {import('./classes.mjs').Rows} Rows */
/** @typedef {'classification' | 'regression' | 'similarity'} Task */
/** @typedef {Int32Array | Tensor | null} Labels classes of the samples, or numbers of the output's shape */

/**
 * As `quantlab.types.Scores`, with its names and units: shares in percent, losses in percentage points. A score that
 * does not apply is null.
 * @typedef {object} Scores
 * @property {number} n
 * @property {number | null} top1
 * @property {Interval | null} top1_interval
 * @property {number | null} top5
 * @property {number | null} top1_loss_points
 * @property {Interval | null} top1_loss_interval
 * @property {number | null} top5_loss_points
 * @property {number | null} agreement
 * @property {Interval | null} agreement_interval
 * @property {number | null} right_to_wrong
 * @property {number | null} wrong_to_right
 * @property {number | null} mae
 * @property {Interval | null} mae_interval
 * @property {number | null} rmse
 * @property {number | null} mae_loss
 * @property {Interval | null} mae_loss_interval
 * @property {number | null} rmse_loss
 * @property {number | null} max_abs_error
 * @property {number | null} rms_error
 * @property {number | null} sqnr_db
 * @property {number | null} cosine
 * @property {number | null} kl_mean
 * @property {number | null} kl_standard_error
 * @property {number | null} kl_infinite
 * @property {number | null} kl_undefined
 * @property {number | null} total_variation
 * @property {number | null} jensen_shannon
 * @property {number | null} non_finite
 * @property {number | null} left_out
 * @property {number | null} left_out_equal
 */

/** @type {Readonly<Omit<Scores, 'n'>>} */
const NO_SCORES = Object.freeze({
  top1: null, top1_interval: null, top5: null, top1_loss_points: null, top1_loss_interval: null, top5_loss_points: null,
  agreement: null, agreement_interval: null, right_to_wrong: null, wrong_to_right: null, mae: null, mae_interval: null,
  rmse: null, mae_loss: null, mae_loss_interval: null, rmse_loss: null, max_abs_error: null, rms_error: null,
  sqnr_db: null, cosine: null, kl_mean: null, kl_standard_error: null, kl_infinite: null, kl_undefined: null,
  total_variation: null, jensen_shannon: null, non_finite: null, left_out: null, left_out_equal: null,
});

/**
 * A sample whose top-1 changed. Classes are numbers; −1 where the row holds NaN.
 * @typedef {object} Changed
 * @property {number} index among all samples
 * @property {number | null} label
 * @property {number} reference top-1 of the reference
 * @property {number} candidate top-1 of the variant
 * @property {'became wrong' | 'became right' | 'other'} change `other`: wrong before and after, or without labels
 * @property {number} divergence KL(reference‖variant) in nats
 */

/**
 * The scores of a variant, and what else its row tells.
 * @typedef {object} Row
 * @property {Scores} scores
 * @property {string[]} notes as in the table of `quantlab show`
 * @property {Changed[]} changed samples with another top-1, the largest divergence first; empty without classes
 */

/**
 * How an output is compared: decided from the reference alone, so that no variant can change how it is scored.
 * @typedef {object} Compared
 * @property {Task} task
 * @property {boolean} classes whether the columns are classes
 * @property {boolean} probabilities whether they hold probabilities; otherwise softmax is applied
 * @property {boolean[]} finite for each sample, whether the reference is finite; the others are not scored
 */

/**
 * The task of an output with these labels, as Python decides it.
 * @param {Labels} labels
 * @returns {Task}
 */
export function taskOf(labels) {
  if (labels === null) return 'similarity';
  return labels instanceof Int32Array ? 'classification' : 'regression';
}

/**
 * @param {Tensor} reference the scored output, samples first
 * @param {Task} task
 * @returns {Compared}
 */
export function comparedAs(reference, task) {
  const finite = finiteSamples(reference);
  const scored = selectSamples(reference, finite);
  const rows = reference.shape.length === 2 && reference.dtype.startsWith('float');
  const probabilities = rows && looksLikeProbabilities(scored);
  const classes = task === 'classification' || (task === 'similarity' && probabilities && reference.shape[1] > 1);
  return { task, classes, probabilities, finite };
}

/**
 * Score a variant against the reference, sample by sample.
 * @param {Tensor} reference the reference's scored output, samples first
 * @param {Tensor} outputs the variant's, of the same shape
 * @param {Labels} labels
 * @param {Task} task
 * @param {string[]} [classNames] in the order of the labels, for notes
 * @returns {Row}
 * @throws {RangeError} if shapes differ, a label is out of range, or task and labels contradict each other
 */
export function scoreRow(reference, outputs, labels, task, classNames = []) {
  checkSameShape(reference, outputs);
  const compared = comparedAs(reference, task);
  const pair = pairOf(reference, outputs, labels, compared);
  const scores = scoresOf(pair, compared);
  if (!compared.finite.every(Boolean)) {
    scores.left_out = count(compared.finite, (finite) => !finite);
    scores.left_out_equal = countEqualPlaces(reference, outputs, compared.finite);
  }
  return {
    scores,
    notes: [...losingNotes(pair, classNames), ...leftOutNotes(scores)],
    changed: pair.rows ? changedSamples(pair.rows, pair, compared) : [],
  };
}

/**
 * The reference's own scores; those that compare with the reference are null.
 * @param {Tensor} reference
 * @param {Labels} labels
 * @param {Task} task
 * @returns {Scores}
 */
export function scoreReference(reference, labels, task) {
  const compared = comparedAs(reference, task);
  const { n, top1: share, top1_interval, top5, mae, mae_interval, rmse, non_finite, left_out } = scoresOf(
    pairOf(reference, reference, labels, compared), compared);
  const own = { n, ...NO_SCORES, top1: share, top1_interval, top5, mae, mae_interval, rmse, non_finite, left_out };
  const leftOut = count(compared.finite, (finite) => !finite);
  if (!leftOut) return own;
  const spoiled = count(numbersOf(reference), (value) => !Number.isFinite(value));
  return { ...own, non_finite: spoiled, left_out: leftOut };
}

/**
 * The scored samples of both sides.
 * @typedef {object} Pair
 * @property {number} n
 * @property {Tensor} reference
 * @property {Tensor} candidate
 * @property {Labels} labels
 * @property {{ reference: Rows, candidate: Rows, before: Int32Array, after: Int32Array } | null} rows of classes, with
 *   their top-1
 */

/** @type {(reference: Tensor, outputs: Tensor, labels: Labels, compared: Compared) => Pair} */
function pairOf(reference, outputs, labels, { task, classes, probabilities, finite }) {
  checkLabels(reference, labels, task);
  const [expected, actual] = [reference, outputs].map((tensor) => selectSamples(tensor, finite));
  const pair = { n: expected.shape[0], reference: expected, candidate: actual, labels: chosenLabels(labels, finite) };
  if (!classes) return { ...pair, rows: null };
  const [before, after] = [expected, actual].map((tensor) => asClasses(tensor, probabilities));
  return { ...pair, rows: { reference: before, candidate: after, before: top1(before), after: top1(after) } };
}

/** @type {(labels: Labels, finite: boolean[]) => Labels} */
function chosenLabels(labels, finite) {
  if (labels === null) return null;
  return labels instanceof Int32Array ? labels.filter((_, i) => finite[i]) : selectSamples(labels, finite);
}

/** @type {(reference: Tensor, labels: Labels, task: Task) => void} */
function checkLabels(reference, labels, task) {
  if (taskOf(labels) !== task) {
    throw new RangeError(task === 'similarity'
      ? "the task 'similarity' takes no labels; choose another task, or leave the labels out"
      : `the task '${task}' needs ${task === 'classification' ? 'classes' : 'numbers'} as labels`);
  }
  const n = labels === null ? reference.shape[0] : labels instanceof Int32Array ? labels.length : labels.shape[0];
  if (n !== reference.shape[0]) {
    throw new RangeError(`there are ${n} labels for ${reference.shape[0]} samples; every sample needs one label`);
  }
  if (!(labels instanceof Int32Array)) return;
  const classes = Math.max(2, reference.shape[1] ?? 0);
  const outside = labels.find((label) => label < 0 || label >= classes);
  if (outside === undefined) return;
  throw new RangeError(`the label ${outside} is out of range; with ${classes} classes labels go from 0 to `
    + `${classes - 1}`);
}

/** @type {(pair: Pair, compared: Compared) => Scores} */
function scoresOf(pair, { task, probabilities }) {
  const scores = { n: pair.n, ...NO_SCORES };
  const sums = errorSums(pair.reference, pair.candidate);
  if (sums.count) {
    const { maxAbs, rms, sqnrDb, cosine } = errorFigures(sums);
    Object.assign(scores, {
      max_abs_error: maxAbs, rms_error: rms, sqnr_db: sqnrDb, cosine, non_finite: sums.nonFinite,
    });
  }
  if (pair.rows && pair.n) {
    Object.assign(scores, agreementScores(pair.rows), divergenceScores(pair.rows, probabilities));
    if (pair.labels instanceof Int32Array) Object.assign(scores, accuracyScores(pair.rows, pair.labels));
  }
  if (task === 'regression' && sums.count) Object.assign(scores, regressionScores(pair));
  return scores;
}

/** @type {(rows: NonNullable<Pair['rows']>) => Partial<Scores>} */
function agreementScores({ before, after }) {
  const same = count(before, (label, i) => label === after[i] && label !== NO_CLASS);
  return { agreement: percent(same, before.length), agreement_interval: scaled(wilson(same, before.length)) };
}

/** @type {(rows: NonNullable<Pair['rows']>, probabilities: boolean) => Partial<Scores>} */
function divergenceScores({ reference, candidate }, probabilities) {
  const { kl, totalVariation, jensenShannon } = divergences(reference, candidate, probabilities);
  const n = kl.length;
  const undefinedRows = count(kl, Number.isNaN);
  const infinite = count(kl, (value) => value === Infinity);
  const total = sumOf(kl);
  const mean = infinite || undefinedRows ? null : total / n;
  const deviations = mean === null ? 0 : Math.max(0, sumOf(kl.map((value) => value * value)) - total * mean);
  return {
    kl_mean: mean,
    kl_standard_error: mean === null || n < 2 ? null : Math.sqrt(deviations / (n - 1) / n),
    kl_infinite: infinite,
    kl_undefined: undefinedRows,
    total_variation: undefinedRows ? null : sumOf(totalVariation) / n,
    jensen_shannon: undefinedRows ? null : sumOf(jensenShannon) / n,
  };
}

/** @type {(rows: NonNullable<Pair['rows']>, labels: Int32Array) => Partial<Scores>} */
function accuracyScores({ reference, candidate, before, after }, labels) {
  const n = labels.length;
  const right = count(labels, (label, i) => label === after[i]);
  const becameWrong = count(labels, (label, i) => label === before[i] && label !== after[i]);
  const becameRight = count(labels, (label, i) => label !== before[i] && label === after[i]);
  const ranked = reference.classes >= TOP5_FROM_CLASSES;
  const [top5Before, top5After] = ranked
    ? [reference, candidate].map((rows) => inTop5(rows, labels).filter(Boolean).length) : [0, 0];
  return {
    top1: percent(right, n),
    top1_interval: scaled(wilson(right, n)),
    top1_loss_points: percent(becameWrong - becameRight, n),
    top1_loss_interval: scaled(tango(becameWrong, becameRight, n)),
    right_to_wrong: becameWrong,
    wrong_to_right: becameRight,
    top5: ranked ? percent(top5After, n) : null,
    top5_loss_points: ranked ? percent(top5Before - top5After, n) : null,
  };
}

/** @type {(pair: Pair) => Partial<Scores>} */
function regressionScores({ reference, candidate, labels }) {
  const truth = labelsShaped(/** @type {Tensor} */ (labels), reference.shape);
  const [before, after] = [reference, candidate].map((tensor) => regressionFigures(truth, tensor));
  const [errorsBefore, errorsAfter] = [reference, candidate].map((tensor) => absoluteErrors(truth, tensor));
  return {
    mae: after.mae,
    mae_interval: after.maeInterval,
    rmse: after.rmse,
    mae_loss: growth(after.mae, before.mae),
    mae_loss_interval: meanInterval(errorsAfter.map((error, i) => error - errorsBefore[i])),
    rmse_loss: growth(after.rmse, before.rmse),
  };
}

/**
 * Samples that are not finite on both sides in the same places; NaN, ∞ and −∞ are told apart.
 * @type {(reference: Tensor, candidate: Tensor, finite: boolean[]) => number}
 */
function countEqualPlaces(reference, candidate, finite) {
  const [expected, actual] = [numbersOf(reference), numbersOf(candidate)];
  const size = sampleSize(reference.shape);
  return count(finite, (isFinite, sample) => {
    if (isFinite) return false;
    for (let i = sample * size; i < (sample + 1) * size; i += 1) {
      if (kind(expected[i]) !== kind(actual[i])) return false;
    }
    return true;
  });
}

/** @param {number} value */
function kind(value) {
  if (Number.isNaN(value)) return 2;
  return Number.isFinite(value) ? 0 : Math.sign(value);
}

const NAMED_CLASSES = 3;

/**
 * Classes with a significant loss of accuracy, after Holm's correction, even if the total has none.
 * @type {(pair: Pair, names: string[]) => string[]}
 */
function losingNotes({ rows, labels }, names) {
  if (!rows || !(labels instanceof Int32Array) || !labels.length) return [];
  const classes = [...new Set(labels)].sort((one, other) => one - other).map((label) => {
    const own = /** @type {number[]} */ ([]);
    labels.forEach((value, i) => value === label && own.push(i));
    const lost = own.filter((i) => rows.before[i] === label && rows.after[i] !== label).length;
    const gained = own.filter((i) => rows.before[i] !== label && rows.after[i] === label).length;
    return { label, n: own.length, lost, gained };
  });
  const corrected = holm(classes.map(({ lost, gained }) => mcnemarOfLoss(lost, gained)));
  return classes.map((one, i) => ({ ...one, p: corrected[i] }))
    .filter(({ p }) => p < 1 - 0.95)
    .sort((one, other) => one.p - other.p)
    .slice(0, NAMED_CLASSES)
    .map(({ label, n, lost, gained, p }) => `class ${label}${names[label] ? ` (${names[label]})` : ''} loses ${
      oneDecimal(100 * (lost - gained) / n)} points `
      + `(${lost} lost, ${gained} gained of ${n.toLocaleString('en-US')}; p = ${oneDigit(p)}, Holm)`);
}

/**
 * A small probability as Python's `.1g` writes it.
 * @param {number} p
 */
function oneDigit(p) {
  const [digits, power] = p.toExponential(0).split('e');
  if (Number(power) >= -4) return String(Number(`${digits}e${power}`));
  return `${digits}e-${power.slice(1).padStart(2, '0')}`;
}

/**
 * A number with one decimal as Python's `.1f` writes it: of two that are as near, the even one.
 * @param {number} value
 */
function oneDecimal(value) {
  const tenths = value * 10;
  const tie = tenths % 1 === 0.5 && Math.floor(tenths) % 2 === 0 && tenths / 10 === value;
  return (tie ? Math.floor(tenths) / 10 : value).toFixed(1);
}

/** @param {Scores} scores */
function leftOutNotes({ left_out: leftOut, left_out_equal: equal }) {
  if (!leftOut || equal === null || equal === leftOut) return [];
  const words = [leftOut - equal, leftOut].map((number) => number.toLocaleString('en-US'));
  return [`NaN or infinite in other places than the model's output on ${words[0]} of ${words[1]} samples that are left `
    + 'out'];
}

/** @type {(rows: NonNullable<Pair['rows']>, pair: Pair, compared: Compared) => Changed[]} */
function changedSamples({ reference, candidate, before, after }, { labels }, { probabilities, finite }) {
  const { kl } = divergences(reference, candidate, probabilities);
  const indices = finite.flatMap((isFinite, sample) => (isFinite ? [sample] : []));
  const changed = indices.flatMap((index, i) => {
    if (before[i] === after[i] && before[i] !== NO_CLASS) return [];
    const label = labels instanceof Int32Array ? labels[i] : null;
    const change = changeOf(label, before[i], after[i]);
    return [{ index, label, reference: before[i], candidate: after[i], change, divergence: kl[i] }];
  });
  // NaN, which no order has, comes first.
  const rank = (/** @type {number} */ value) => (Number.isNaN(value) ? Infinity : value);
  return changed.sort((one, other) => rank(other.divergence) - rank(one.divergence) || one.index - other.index);
}

/** @type {(label: number | null, before: number, after: number) => Changed['change']} */
function changeOf(label, before, after) {
  if (label === before && label !== after) return 'became wrong';
  return label !== before && label === after ? 'became right' : 'other';
}

/** @type {<T>(values: ArrayLike<T>, fits: (value: T, place: number) => boolean) => number} */
function count(values, fits) {
  let found = 0;
  for (let i = 0; i < values.length; i += 1) if (fits(values[i], i)) found += 1;
  return found;
}

/** @type {(part: number, n: number) => number} */
function percent(part, n) {
  return 100 * part / n;
}

/** @type {(interval: Interval) => Interval} */
function scaled({ lower, upper, confidence }) {
  return { lower: 100 * lower, upper: 100 * upper, confidence };
}
