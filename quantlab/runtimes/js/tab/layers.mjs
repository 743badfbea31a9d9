/** Compares the layers of a variant with those of the float artifact, in the visitor's own browser. */

import { bytesOf } from './bytes.mjs';
import { listTaps, UNREADABLE } from './layer-taps.mjs';
import { fixedBatch, jobOf } from './measure.mjs';
import { selectSamples } from './numbers.mjs';
import { environmentOf, hostOf } from './place.mjs';
import { drawnPlaces } from './subset.mjs';
import { inWorker, MeasureError } from './working.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./measure.mjs').Backend} Backend */
/** @typedef {import('./layer-comparison.mjs').Compared} Compared */
/** @typedef {import('./layer-sums.mjs').LayerFigures} LayerFigures */
/** @typedef {import('./layer-taps.mjs').TapSpec} TapSpec */

/**
 * As `quantlab.types.LayerRow`, compared with the float artifact on the same backend. The error is that of all layers
 * before, too: Python alone runs single ops, and fills `isolated_sqnr_db`.
 * @typedef {{ setting: string, runtime: string, layer: string, tensor: string, baseline: 'reference', aligned: boolean,
 *   reason: string | null, place: number, op: string, dtype: string, reference: string,
 *   relative_rms_growth: number | null } & Nullable<LayerFigures>} LayerRow
 */

/**
 * @template T
 * @typedef {{ [K in keyof T]: T[K] | null }} Nullable
 */

/**
 * @typedef {object} LayerOptions
 * @property {Backend} backend
 * @property {number} count most samples: a random part, stratified by class
 * @property {number} [batchSize] samples of one call, whose tensors are all in memory at once
 * @property {(done: number, of: number) => void} [onProgress]
 * @property {AbortSignal} [signal]
 * @property {number} [stallSeconds]
 */

const BATCH_SIZE = 8;

/**
 * The rows of all tensors, in the order of execution; a tensor that cannot be compared has a reason.
 * @param {Artifact} float
 * @param {Artifact} variant of the same format
 * @param {Samples} samples
 * @param {LayerOptions} options
 * @returns {Promise<LayerRow[]>}
 * @throws {MeasureError} if tensors of this format cannot be read here, or a run fails
 * @throws {import('./working.mjs').AbortedError} if the signal was aborted
 */
export async function compareLayers(float, variant, samples, options) {
  const { backend, count, batchSize = BATCH_SIZE, onProgress, signal, stallSeconds } = options;
  const why = UNREADABLE[variant.format];
  if (why) throw new MeasureError(`layers cannot be compared: ${why}`);
  if (float.format !== variant.format) throw new MeasureError('layers of different formats cannot be compared here');
  const drawn = drawnSamples(samples, count);
  const taps = listTaps(variant);
  const known = new Set(listTaps(float).map(({ name }) => name));
  const names = taps.map(({ name }) => name);
  const how = { backend, batchSize: fixedBatch(variant) ?? batchSize };
  const sides = [
    { files: float.files, job: tapped(jobOf(float, drawn, how), names.filter((name) => known.has(name))) },
    { files: variant.files, job: tapped(jobOf(variant, drawn, how), names) },
  ];
  const tensors = new Map(sides[1].job.inputs.map(({ name, file }) => (
    [file, bytesOf(/** @type {Tensor} */ (drawn.inputs.get(name)))])));
  const order = { order: 'layers', sides, host: hostOf(), environment: environmentOf(), tensors };
  let runtime = '';
  /** @type {Compared[]} */
  let compared = [];
  await inWorker(order, { signal, stallSeconds }, (reply) => {
    if (reply.type === 'ready') runtime = reply.ran_on;
    if (reply.type === 'progress') onProgress?.(reply.done, drawn.n);
    if (reply.type === 'layers') compared = reply.compared;
  });
  return rowsOf(taps, compared, { setting: variant.setting, runtime });
}

/**
 * A job that reads tensors, and no outputs, whose shapes may not be known.
 * @type {(job: import('../run.mjs').Job, names: string[]) => import('../run.mjs').Job}
 */
function tapped(job, names) {
  return { ...job, outputs: [], taps: { file: '', names } };
}

/**
 * How many samples `compareLayers` uses, and which, as `quantlab.types.Inside` says it.
 * @param {Samples} samples
 * @param {number} count
 * @returns {{ samples: number, drawn: string }}
 */
export function layerSamples(samples, count) {
  const { length } = drawnPlaces(samples.n, samples.labels, count);
  if (length === samples.n) return { samples: length, drawn: 'all' };
  return { samples: length, drawn: `${samples.labels ? 'stratified' : 'random'}, seed 0` };
}

/** @type {(samples: Samples, count: number) => Samples} */
function drawnSamples(samples, count) {
  const places = drawnPlaces(samples.n, samples.labels, count);
  if (places.length === samples.n) return samples;
  const chosen = Array.from({ length: samples.n }, () => false);
  places.forEach((place) => { chosen[place] = true; });
  const inputs = new Map([...samples.inputs].map(([name, tensor]) => [name, selectSamples(tensor, chosen)]));
  return { ...samples, inputs, n: places.length };
}

/**
 * Rows in the order of execution, with the growth of the relative error since the tensor before.
 * @param {TapSpec[]} taps
 * @param {Compared[]} compared in the same order
 * @param {{ setting: string, runtime: string }} where
 * @returns {LayerRow[]}
 */
export function rowsOf(taps, compared, { setting, runtime }) {
  let before = 0;
  return taps.map(({ name, op, layer }, place) => {
    const { dtype, figures, reason } = compared[place];
    const baseline = /** @type {const} */ ('reference');
    const about = { setting, runtime, layer: figures ? layer : name, tensor: name, baseline, place, op, dtype };
    if (!figures) return { ...about, ...NO_FIGURES, aligned: false, reason, reference: '', relative_rms_growth: null };
    const growth = figures.relative_rms - before;
    before = figures.relative_rms;
    const told = Number.isFinite(growth) ? growth : null;
    return { ...about, ...figures, aligned: true, reason: null, reference: name, relative_rms_growth: told };
  });
}

/** @type {Nullable<Omit<LayerFigures, 'count'>> & { count: number }} */
const NO_FIGURES = Object.freeze({
  count: 0, different: null, mean_abs: null, max_abs: null, rms: null, relative_rms: null, sqnr_db: null, cosine: null,
  bias: null, non_finite: null, non_finite_baseline: null, minimum: null, maximum: null, baseline_minimum: null,
  baseline_maximum: null, error_quantiles: null, worst_channel: null, worst_channel_sqnr_db: null,
});
