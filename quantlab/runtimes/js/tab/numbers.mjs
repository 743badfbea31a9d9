/** Elements of tensors as numbers, samples of them, and sums that do not depend on cancellation. */

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {Exclude<import('./types.mjs').TypedArray, BigInt64Array | BigUint64Array>} NumberArray */

/**
 * The elements as numbers, without a copy if they are; 64-bit integers are rounded to float64.
 * @param {Tensor} tensor
 * @returns {NumberArray}
 */
export function numbersOf({ data }) {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Float64Array.from(/** @type {Iterable<bigint>} */ (data), Number);
  }
  return data;
}

/**
 * Number of elements of one sample.
 * @param {number[]} shape with the samples first
 */
export function sampleSize(shape) {
  return shape.slice(1).reduce((product, size) => product * size, 1);
}

/**
 * Refuse two tensors of different shapes.
 * @param {Tensor} reference
 * @param {Tensor} candidate
 */
export function checkSameShape(reference, candidate) {
  if (reference.shape.join() === candidate.shape.join()) return;
  throw new RangeError(`the reference has the shape [${reference.shape.join(', ')}] and the candidate `
    + `[${candidate.shape.join(', ')}]; only outputs of the same shape can be compared`);
}

/**
 * Whether all elements of each sample are finite.
 * @param {Tensor} tensor samples first
 * @returns {boolean[]}
 */
export function finiteSamples(tensor) {
  const values = numbersOf(tensor);
  const size = sampleSize(tensor.shape);
  return Array.from({ length: tensor.shape[0] }, (_, sample) => {
    for (let i = sample * size; i < (sample + 1) * size; i += 1) if (!Number.isFinite(values[i])) return false;
    return true;
  });
}

/**
 * Some samples of a tensor; the tensor itself if they are all of them.
 * @param {Tensor} tensor samples first
 * @param {boolean[]} chosen for each sample
 * @returns {Tensor}
 */
export function selectSamples(tensor, chosen) {
  if (chosen.every(Boolean)) return tensor;
  const size = sampleSize(tensor.shape);
  const kept = chosen.flatMap((yes, sample) => (yes ? [sample] : []));
  const Elements = /** @type {Float64ArrayConstructor} */ (tensor.data.constructor);
  const data = new Elements(kept.length * size);
  kept.forEach((sample, place) => {
    data.set(/** @type {Float64Array} */ (tensor.data).subarray(sample * size, (sample + 1) * size), place * size);
  });
  return { ...tensor, shape: [kept.length, ...tensor.shape.slice(1)], data };
}

/** Elements that are added before their sum is added with compensation. */
export const BLOCK = 1024;

/** A sum that keeps the digits that a plain one loses (Neumaier 1974, Z. für angewandte Mathematik 54:39–51). */
export class Total {
  #sum = 0;

  #lost = 0;

  /** @param {number} value */
  add(value) {
    const sum = this.#sum + value;
    if (Math.abs(this.#sum) >= Math.abs(value)) this.#lost += this.#sum - sum + value;
    else this.#lost += value - sum + this.#sum;
    this.#sum = sum;
  }

  /** @returns {number} infinite or NaN if a value was, or if the sum overflows */
  get value() {
    return Number.isFinite(this.#sum) ? this.#sum + this.#lost : this.#sum;
  }
}

/**
 * The sum of some values.
 * @param {Iterable<number>} values
 */
export function sumOf(values) {
  const total = new Total();
  for (const value of values) total.add(value);
  return total.value;
}
