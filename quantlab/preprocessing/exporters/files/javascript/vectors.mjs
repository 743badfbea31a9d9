/** Reads the pixels and the expected tensors of `vectors.json` in Node.js. */

import fs from 'node:fs';

/** The decoded pixels of a vector. */
export function read(vector) {
  const data = new Uint8Array(fs.readFileSync(new URL(vector.pixels, import.meta.url)));
  return { data, height: vector.height, width: vector.width, channels: 3 };
}

/** The largest absolute difference from the expected tensor; NaN if any value is NaN. */
export function largestDifference(values, vector) {
  const bytes = fs.readFileSync(new URL(vector.expected, import.meta.url));
  const expected = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  if (values.length !== expected.length) return Infinity;
  return expected.reduce((largest, value, at) => Math.max(largest, Math.abs(value - values[at])), 0);
}
