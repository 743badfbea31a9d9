/** Converts between values and the codes of a quantized input or output, in float64 as `quantlab.worker.litert` does. */

/** @typedef {import('./run.mjs').Codes} Codes */

/**
 * The codes of uint8 for values.
 * @param {ArrayLike<number>} values
 * @param {Codes} codes
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encoded(values, codes) {
  return Uint8Array.from(values, (value) => codeOf(value, codes));
}

/**
 * The values of the codes for values: those that a QUANTIZE op with this scale and zero point turns into these codes,
 * however it rounds.
 * @param {ArrayLike<number>} values
 * @param {Codes} codes
 * @returns {Float32Array<ArrayBuffer>}
 */
export function valuesOfCodes(values, codes) {
  return Float32Array.from(values, (value) => valueOf(codeOf(value, codes), codes));
}

/**
 * The values of codes.
 * @param {ArrayLike<number>} read
 * @param {Codes} codes
 * @returns {Float32Array<ArrayBuffer>}
 */
export function decoded(read, codes) {
  return Float32Array.from(read, (code) => valueOf(code, codes));
}

/** @type {(value: number, codes: Codes) => number} */
function codeOf(value, { scale, zero_point: zeroPoint, lowest, highest, offset }) {
  const steps = (value - offset) / scale;
  // Half away from zero, as TFLite's AffineQuantize.
  const code = Math.trunc(steps + (steps < 0 ? -0.5 : 0.5)) + zeroPoint;
  return Math.min(Math.max(code, lowest), highest);
}

/** @type {(code: number, codes: Codes) => number} */
function valueOf(code, { scale, zero_point: zeroPoint, offset }) {
  return (code - zeroPoint) * scale + offset;
}
