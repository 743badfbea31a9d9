/** Labels as classes: the forms that `quantlab.samples.labels.to_labels` accepts for one class per sample. */

import { DropError } from './types.mjs';
import { countOf } from './weights.mjs';

/** @typedef {import('./types.mjs').Tensor} Tensor */

/**
 * The class of each sample: integers or booleans, with or without a last axis of size 1, or one-hot of any dtype.
 * @param {Tensor} raw
 * @param {number} n samples
 * @param {string} text what was dropped, for messages
 * @returns {Int32Array | null} null for labels of another form: classes of positions, and regression targets
 * @throws {DropError} if there is not one label per sample, or a class is too large
 */
export function classesOf({ shape, dtype, data }, n, text) {
  const count = shape.length ? shape[0] : 1;
  if (!shape.length || count !== n) {
    const [samples, labels] = [n, count].map((number) => number.toLocaleString('en-US'));
    throw new DropError(`'${text}' holds ${samples} sample${n === 1 ? '' : 's'} but ${labels} label`
      + `${count === 1 ? '' : 's'}; give one label per sample.`);
  }
  const classes = countOf(shape.slice(1));
  if (shape.length === 2 && classes >= 2) return oneHot(data, n, classes);
  if (shape.length > 2 || classes !== 1 || dtype.startsWith('float')) return null;
  return Int32Array.from(/** @type {Iterable<number | bigint>} */ (data), (label) => {
    const number = Number(label);
    if (Math.abs(number) < 2 ** 31) return number;
    throw new DropError(`The label ${label} of '${text}' is too large for a class number; number the classes from 0.`);
  });
}

/** @type {(data: Tensor['data'], n: number, classes: number) => Int32Array | null} */
function oneHot(data, n, classes) {
  const labels = new Int32Array(n).fill(-1);
  for (let at = 0; at < n * classes; at += 1) {
    const value = Number(data[at]);
    const row = Math.floor(at / classes);
    if (value !== 0 && (value !== 1 || labels[row] >= 0)) return null;
    if (value === 1) labels[row] = at % classes;
  }
  return labels.includes(-1) ? null : labels;
}
