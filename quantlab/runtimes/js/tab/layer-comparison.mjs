/** Reads the same tensors of two artifacts on the same samples, batch by batch, and sums their errors. */

import { openExecutor, inputBuffers, readInputs } from '../run.mjs';
import { LayerSums } from './layer-sums.mjs';

/** @typedef {import('../run.mjs').Job} Job */
/** @typedef {import('../run.mjs').OpenExecutor} OpenExecutor */
/** @typedef {import('../run.mjs').Platform} Platform */
/** @typedef {import('../run.mjs').Tap} Tap */
/** @typedef {import('./layer-sums.mjs').LayerFigures} LayerFigures */

/**
 * What is known of a tensor: its figures, or the reason why it is not compared.
 * @typedef {{ name: string, dtype: string, figures: LayerFigures | null, reason: string | null }} Compared
 */

/** @typedef {{ job: Job, platform: Platform }} Side */

/**
 * Compare the taps of the variant's job with those of the same names in the float artifact.
 * @param {Side} float
 * @param {Side} variant
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {(done: number, batch: number) => void} tell called after each batch
 * @returns {Promise<Compared[]>} in the order of the job's taps
 */
export async function compareTaps(float, variant, executors, tell) {
  const opened = [];
  try {
    for (const { job, platform } of [float, variant]) opened.push(await openExecutor(job, executors, platform));
    const [expected, actual] = opened;
    const comparison = new Comparison(variant.job.taps?.names ?? []);
    const buffers = inputBuffers(variant.job);
    const { stop, batch_size: size } = variant.job;
    for (let first = 0; first < stop; first += size) {
      const samples = Math.min(size, stop - first);
      const inputs = await readInputs(variant.job, buffers, first, samples, variant.platform);
      comparison.add(await expected.tap(inputs, samples), await actual.tap(inputs, samples));
      tell(first + samples, samples);
    }
    return comparison.rows();
  } finally {
    for (const executor of opened) await executor.close();
  }
}

/** @typedef {Pick<import('../run.mjs').TappedPrediction, 'taps' | 'failed'>} Reading */

class Comparison {
  /** @type {Map<string, LayerSums>} */
  #sums = new Map();

  /** @type {Map<string, string>} */
  #dtypes = new Map();

  /** @type {Map<string, string>} */
  #reasons = new Map();

  /** @param {string[]} names */
  constructor(names) {
    this.names = names;
  }

  /** @type {(float: Reading, variant: Reading) => void} */
  add(float, variant) {
    const expected = new Map(float.taps.map((tap) => [tap.name, tap]));
    for (const [name, reason] of variant.failed) this.#reasons.set(name, reason);
    for (const tap of variant.taps) {
      this.#dtypes.set(tap.name, tap.computed_in);
      const reason = whyNot(tap, expected.get(tap.name), float.failed.get(tap.name));
      if (reason) this.#reasons.set(tap.name, reason);
      else this.#addTap(tap, /** @type {Tap} */ (expected.get(tap.name)));
    }
  }

  /** @type {(tap: Tap, baseline: Tap) => void} */
  #addTap({ name, shape, values }, baseline) {
    const sums = this.#sums.get(name) ?? new LayerSums(shape.length ? shape[shape.length - 1] : 0);
    this.#sums.set(name, sums);
    sums.add(baseline.values, values);
  }

  /** @returns {Compared[]} */
  rows() {
    return this.names.map((name) => {
      const reason = this.#reasons.get(name) ?? (this.#sums.has(name) ? null : 'it could not be read');
      const figures = reason === null ? /** @type {LayerSums} */ (this.#sums.get(name)).figures() : null;
      return { name, dtype: this.#dtypes.get(name) ?? '', figures, reason };
    });
  }
}

/** @type {(tap: Tap, baseline: Tap | undefined, failed: string | undefined) => string | null} */
function whyNot({ computed_in: dtype, shape }, baseline, failed) {
  if (!dtype.startsWith('float')) return `not a float tensor: ${dtype}`;
  if (!baseline) return failed ?? 'the float artifact has no tensor of this name';
  if (baseline.shape.join() === shape.join()) return null;
  return `its shape is [${shape.join(', ')}] a sample, and [${baseline.shape.join(', ')}] in the float artifact`;
}
