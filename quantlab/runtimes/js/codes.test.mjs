import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decoded, encoded, valuesOfCodes } from './codes.mjs';

const UINT8 = { scale: 0.5, zero_point: 3, lowest: 0, highest: 255, offset: 0 };
const INT8 = { scale: 2 / 255, zero_point: -1, lowest: -128, highest: 127, offset: 0 };

for (const { name, values, codes, expected } of [
  { name: 'halves go away from zero', values: [0.25, -0.25, 0.75, -0.75], codes: UINT8, expected: [4, 2, 5, 1] },
  { name: 'the ends', values: [-100, 1e9, -1.5, 126], codes: UINT8, expected: [0, 255, 0, 255] },
  { name: 'infinities', values: [-Infinity, Infinity], codes: UINT8, expected: [0, 255] },
  {
    name: 'pixels from which values were computed',
    values: Float32Array.from([0, 1, 127, 128, 254, 255], (pixel) => pixel / 127.5 - 1),
    codes: { scale: 1 / 127.5, zero_point: 0, lowest: 0, highest: 255, offset: -1 },
    expected: [0, 1, 127, 128, 254, 255],
  },
]) {
  test(`codes: ${name}`, () => {
    assert.deepEqual(Array.from(encoded(values, codes)), expected);
  });
}

test('the values of codes stay where they are, however a kernel rounds', () => {
  const values = Float32Array.from({ length: 256 }, (_, pixel) => pixel / 127.5 - 1);
  const snapped = valuesOfCodes(values, INT8);
  const nearest = snapped.map((value) => value / Math.fround(INT8.scale) + INT8.zero_point);
  assert.ok(nearest.every((steps) => Math.abs(steps - Math.round(steps)) < 1e-3));
  assert.deepEqual(valuesOfCodes(snapped, INT8), snapped);
});

test('codes become values', () => {
  assert.deepEqual(Array.from(decoded(Uint8Array.of(0, 3, 255), UINT8)), [-1.5, 0, 126]);
});
