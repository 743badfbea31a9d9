/** Draws the two charts as SVG: loss against size, and the error of layers in the order of execution. */

import { drawn } from './elements.mjs';
import { fixed, size, withInterval } from './shown-figures.mjs';
import { lossOf } from './trials.mjs';

/** @typedef {import('./trials.mjs').Trial} Trial */

/** Below it a label beside a mark has no room for two names. */
const NARROW = 560;

const LEFT = 52;
const RIGHT = 16;
const LINE = 16;

/**
 * A scale that is linear to 1 and logarithmic beyond, so that a loss of 60 points leaves room for one of 0.2.
 * @param {number} value
 */
export function bent(value) {
  const length = Math.abs(value);
  return Math.sign(value) * (length <= 1 ? length : 1 + Math.log10(length));
}

/**
 * Places of labels beside each other: each as near to its mark as the one above it allows.
 * @param {number[]} wanted
 * @param {number} height of a label
 * @returns {number[]}
 */
export function spread(wanted, height) {
  const order = wanted.map((_, place) => place).sort((one, other) => wanted[one] - wanted[other]);
  const placed = [...wanted];
  order.forEach((place, rank) => {
    if (rank) placed[place] = Math.max(wanted[place], placed[order[rank - 1]] + height);
  });
  return placed;
}

/** Round values from the lowest to the highest, at most five. @type {(lowest: number, highest: number) => number[]} */
export function ticks(lowest, highest) {
  const all = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((one) => [one, one * 1e3, one * 1e6]);
  const within = all.filter((one) => one >= lowest && one <= highest).sort((a, b) => a - b);
  const step = Math.ceil(within.length / 5) || 1;
  return within.filter((_, place) => place % step === 0);
}

/**
 * A shape for each series, because not everybody tells colours apart.
 * @type {(x: number, y: number, series: number) => SVGElement}
 */
function mark(x, y, series) {
  const shapes = [
    () => drawn('circle', { cx: x, cy: y, r: 6, class: 'mark' }),
    () => drawn('rect', { x: x - 5, y: y - 5, width: 10, height: 10, class: 'mark' }),
    () => drawn('path', { d: `M${x} ${y - 7}l7 12h-14z`, class: 'mark' }),
    () => drawn('path', { d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z`, class: 'mark' }),
    () => drawn('path', { d: `M${x} ${y + 7}l7 -12h-14z`, class: 'mark' }),
    () => drawn('rect', { x: x - 7, y: y - 3, width: 14, height: 6, class: 'mark' }),
  ];
  return shapes[series % shapes.length]();
}

/**
 * Loss against size: of each setting the trial with the largest upper bound. Null if there are not two to compare.
 * @param {Trial[]} trials
 * @param {number} width in pixels
 * @returns {SVGElement | null}
 */
export function sizeChart(trials, width) {
  const points = worstTrials(trials);
  if (points.length < 2) return null;
  const height = 300;
  const [top, bottom] = [16, height - 48];
  const sizes = points.map(({ gzip }) => gzip / 1000);
  const [low, high] = [Math.min(...sizes) / 1.15, Math.max(...sizes) * 1.15];
  const wide = width - LEFT - RIGHT - 90;
  const x = (/** @type {number} */ kilobytes) => LEFT + 12 + wide * Math.log(kilobytes / low) / Math.log(high / low);
  const bounds = points.flatMap(({ loss }) => [loss.value, loss.interval?.lower ?? 0, loss.interval?.upper ?? 0, 0]);
  const [least, most] = [bent(Math.min(...bounds)), bent(Math.max(...bounds))];
  const span = most - least || 1;
  const y = (/** @type {number} */ loss) => top + 8 + (bottom - top - 16) * (bent(loss) - least) / span;
  const labels = spread(points.map(({ loss }) => y(loss.value)), LINE);
  const { name, unit } = points[0].loss;
  return drawn('svg', {
    class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': `Loss against size. ${points.map(inWords).join('. ')}.`,
  },
  ...lossTicks(least, most).flatMap((tick) => [
    drawn('line', { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: tick ? 'rule' : 'zero' }),
    drawn('text', { x: LEFT - 8, y: y(tick) + 4, 'text-anchor': 'end', class: 'axis' }, fixed(tick, tick % 1 ? 1 : 0)),
  ]),
  ...ticks(low, high).map((tick) => drawn('text', {
    x: x(tick), y: bottom + 16, 'text-anchor': 'middle', class: 'axis',
  }, size(tick * 1000).replace('.0 ', ' '))),
  drawn('text', { x: LEFT, y: 10, class: 'axis' }, `${name}${unit && ` in ${unit}`}: down is worse`),
  drawn('text', { x: width - RIGHT, y: height - 8, 'text-anchor': 'end', class: 'axis' }, 'size, gzipped'),
  ...points.map(({ trial, loss, gzip }, place) => drawn('g', { class: `s${place % 6}` },
    loss.interval && drawn('line', {
      x1: x(gzip / 1000), x2: x(gzip / 1000), y1: y(loss.interval.lower), y2: y(loss.interval.upper), class: 'whiskers',
    }),
    mark(x(gzip / 1000), y(loss.value), place),
    drawn('text', { x: x(gzip / 1000) + 11, y: labels[place] + 4, class: 'label' }, shortName(trial.setting)))));
}

/** Without the name of the format, which all share. @param {string} setting */
function shortName(setting) {
  return setting.replace(/^(tfjs-layers|tfjs|tflite|onnx)-/, '');
}

/** @type {(least: number, most: number) => number[]} */
function lossTicks(least, most) {
  const near = [-0.5, 0, 0.5];
  const far = [1, 3, 10, 30, 100];
  const all = [...far.map((one) => -one), ...near, ...far];
  const within = all.filter((tick) => bent(tick) >= least - 0.05 && bent(tick) <= most + 0.05);
  return within.length > 7 ? within.filter((tick) => tick % 1 === 0) : within;
}

/** @typedef {{ trial: Trial, loss: import('./trials.mjs').Loss, gzip: number }} Point */

/** @param {Point} point */
function inWords({ trial, loss, gzip }) {
  return `${trial.setting} in ${trial.runtime}: ${size(gzip)}, ${loss.name} ${
    withInterval(loss.value, loss.interval, loss.decimals)}`;
}

/** @param {Trial[]} trials */
function worstTrials(trials) {
  /** @type {Map<string, Point>} */
  const worst = new Map();
  for (const trial of trials) {
    const loss = lossOf(trial.row?.scores);
    if (!loss || trial.gzip === null || !Number.isFinite(loss.value)) continue;
    const other = worst.get(trial.setting);
    const upper = (/** @type {import('./trials.mjs').Loss} */ one) => one.interval?.upper ?? one.value;
    if (!other || upper(loss) > upper(other.loss)) worst.set(trial.setting, { trial, loss, gzip: trial.gzip });
  }
  return [...worst.values()];
}

/**
 * The interval of a loss in its cell, on a scale that all rows share.
 * @type {(loss: import('./trials.mjs').Loss, least: number, most: number) => SVGElement | null}
 */
export function whisker({ value, interval }, least, most) {
  if (!interval || !Number.isFinite(value)) return null;
  const x = (/** @type {number} */ one) => 2 + 96 * (bent(one) - least) / (most - least || 1);
  return drawn('svg', { class: 'whisker', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    drawn('line', { x1: x(0), x2: x(0), y1: 0, y2: 10, class: 'zero' }),
    drawn('line', { x1: x(interval.lower), x2: x(interval.upper), y1: 5, y2: 5 }),
    drawn('line', { x1: x(value), x2: x(value), y1: 1, y2: 9, class: 'at' }));
}

/**
 * One setting's layers: the SQNR of the accumulated error in dB, in the order of execution. ∞ where nothing differs.
 * @typedef {{ setting: string, points: { name: string, db: number }[], label: number }} LayerLine
 */

/** Below it the noise is more than 1 % of the signal's power. */
const NOISY_DB = 20;
const HIGHEST_DB = 100;

/**
 * Accumulated error along the layers; worse is lower. The layer at `label` of each line is marked, and named if there is
 * room.
 * @param {LayerLine[]} lines
 * @param {number} width in pixels
 * @returns {SVGElement}
 */
export function layerChart(lines, width) {
  const height = 320;
  const [top, bottom] = [24, height - 32];
  const finite = lines.flatMap(({ points }) => points.map(({ db }) => db)).filter(Number.isFinite);
  const lowest = Math.floor(Math.min(NOISY_DB - 10, ...finite) / 10) * 10;
  const highest = Math.min(HIGHEST_DB, Math.ceil(Math.max(60, ...finite) / 10) * 10);
  const steps = Math.max(2, ...lines.map(({ points }) => points.length));
  const x = (/** @type {number} */ place) => LEFT + 8 + (width - LEFT - RIGHT - 16) * place / (steps - 1);
  const clipped = (/** @type {number} */ db) => Math.max(lowest, Math.min(highest, Number.isNaN(db) ? lowest : db));
  const y = (/** @type {number} */ db) => top + (bottom - top) * (highest - clipped(db)) / (highest - lowest);
  const lowestLevel = Math.ceil(lowest / 20) * 20;
  const levels = Array.from({ length: (highest - lowest) / 20 + 1 }, (_, place) => lowestLevel + 20 * place)
    .filter((level) => level <= highest);
  const along = (/** @type {LayerLine['points']} */ points) => points
    .map(({ db }, place) => `${place ? 'L' : 'M'}${x(place).toFixed(1)} ${y(db).toFixed(1)}`).join('');
  return drawn('svg', {
    class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': `Error along the layers. ${lines.map(lineInWords).join('. ')}.`,
  },
  drawn('rect', {
    x: LEFT, y: y(NOISY_DB), width: width - LEFT - RIGHT, height: y(lowest) - y(NOISY_DB), class: 'band',
  }),
  ...levels.flatMap((level) => [
    drawn('line', { x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level), class: 'rule' }),
    drawn('text', { x: LEFT - 8, y: y(level) + 4, 'text-anchor': 'end', class: 'axis' }, fixed(level, 0)),
  ]),
  drawn('text', { x: LEFT, y: 12, class: 'axis' }, 'SQNR in dB: down is worse'),
  drawn('text', { x: width - RIGHT, y: height - 8, 'text-anchor': 'end', class: 'axis' }, 'layers in order of execution'),
  ...lines.map(({ points }, series) => drawn('g', { class: `s${series % 6}` },
    drawn('path', { class: 'line', d: along(points) }))),
  ...lineLabels(lines, x, y, width));
}

/** @typedef {(value: number) => number} Scale */

/** @type {(lines: LayerLine[], x: Scale, y: Scale, width: number) => SVGElement[]} */
function lineLabels(lines, x, y, width) {
  const named = lines.map((line, series) => ({ line, series })).filter(({ line }) => line.points[line.label]);
  const places = spread(named.map(({ line: { points, label } }) => y(points[label].db) + 20), LINE);
  return named.map(({ line: { setting, points, label }, series }, place) => {
    const at = x(label);
    const anchor = at < width * 0.35 ? 'start' : at > width * 0.65 ? 'end' : 'middle';
    return drawn('g', { class: `s${series % 6}` },
      mark(at, y(points[label].db), series),
      drawn('text', { x: at, y: places[place], 'text-anchor': anchor, class: 'label' },
        width < NARROW ? shortName(setting) : `${shortName(setting)}: ${points[label].name}`));
  });
}

/** @param {LayerLine} line */
function lineInWords({ setting, points, label }) {
  return points[label] ? `${setting}: lowest at ${points[label].name}, ${fixed(points[label].db, 1)} dB` : setting;
}
