/** Inputs and outputs of artifacts, as all formats describe them. */

/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */

/**
 * @param {string} name
 * @param {(number | null)[]} shape with the batch axis first; empty if it is not known
 * @param {Pick<TensorSpec, 'dtype' | 'tensor' | 'position' | 'codes'>} rest
 * @returns {TensorSpec}
 */
export function specOf(name, shape, rest) {
  return { name, shape: shape.slice(1), batch: shape.length ? shape[0] : undefined, ...rest };
}
