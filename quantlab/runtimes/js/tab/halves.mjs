/** Half floats (IEEE 754 binary16) as their 16 bits: before 2025 browsers had no array of them. */

const SCRATCH = new Float64Array(1);
const WORDS = new Uint32Array(SCRATCH.buffer);
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const HIGH = LITTLE ? 1 : 0;

export const HALF_MAX = 65504;
/** The smallest half float with all its digits. */
export const HALF_NORMAL = 2 ** -14;

/**
 * The nearest half float of a number, ties to even; above the largest, infinity.
 * @param {number} value
 */
export function halfOf(value) {
  SCRATCH[0] = value;
  const sign = (WORDS[HIGH] >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00; // the middle between the largest and the next, which would be even
  // A sum with a power of two whose last digit is that of the result rounds as is asked for.
  const exponent = Math.max(((WORDS[HIGH] >>> 20) & 0x7ff) - 1023, -14);
  const unit = 2 ** (exponent - 10);
  const steps = roundHalfEven(size / unit);
  // The steps of a normal number begin at 1024, of which the exponent is counted once; a carry goes into it.
  return sign | (((exponent + 14) << 10) + steps);
}

/**
 * The nearest integer; the even one of two, as NumPy's `round` and `rint`.
 * @param {number} value
 */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * @param {number} bits
 * @returns {number}
 */
export function numberOfHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

/** @type {Float32Array | undefined} the numbers of all half floats */
let numbers;

/**
 * @param {Uint16Array} halves
 * @returns {Float32Array}
 */
export function widenHalves(halves) {
  numbers ??= Float32Array.from({ length: 0x10000 }, (_, bits) => numberOfHalf(bits));
  const widened = new Float32Array(halves.length);
  for (let at = 0; at < halves.length; at += 1) widened[at] = numbers[halves[at]];
  return widened;
}

/**
 * The nearest half floats, as `halfOf` gives them; from the bits of the values, which is ten times as fast.
 * @param {Float32Array} values
 * @returns {Uint16Array}
 */
export function narrowFloats(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let at = 0; at < bits.length; at += 1) {
    const size = bits[at] & 0x7fffffff;
    halves[at] = ((bits[at] >>> 16) & 0x8000) | halfOfSize(size);
  }
  return halves;
}

/** The half float of a float32 without its sign, both as bits. @type {(size: number) => number} */
function halfOfSize(size) {
  if (size >= 0x47800000) return size > 0x7f800000 ? 0x7e00 : 0x7c00; // from 65536: infinity, and NaN
  // From 2^-14: the bits that go are rounded to even, and the exponent counts from 15 and not from 127.
  if (size >= 0x38800000) return (size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13;
  if (size <= 0x33000000) return 0; // up to 2^-25
  const shift = 126 - (size >>> 23);
  const digits = (size & 0x7fffff) | 0x800000;
  const [kept, rest, middle] = [digits >>> shift, digits & ((1 << shift) - 1), 1 << (shift - 1)];
  return kept + Number(rest > middle || (rest === middle && kept % 2 === 1));
}
