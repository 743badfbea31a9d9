import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quantize, refuseUnquantizable } from './affine.mjs';

for (const { name, values, dtype = 'uint8', codes, min, scale } of [
  {
    name: 'a range around zero',
    values: [-1, 0, 1.55078125],
    codes: [0, 100, 255],
    min: -1.0003063725490196,
    scale: 0.010003063725490195,
  },
  { name: 'only positive values, whose line ends at them', values: [1, 2], codes: [0, 255], min: 1, scale: 1 / 255 },
  { name: 'only negative values', values: [-2, -1], codes: [0, 255], min: -2, scale: 1 / 255 },
  { name: 'one value', values: [-3, -3], codes: [0, 0], min: -3, scale: 1 },
  { name: 'zeros', values: [0, 0], codes: [0, 0], min: 0, scale: 1 },
  { name: '16 bits', values: [0, 65535, 32767.5], dtype: 'uint16', codes: [0, 65535, 32768], min: -0, scale: 1 },
]) {
  test(`codes of ${name}`, () => {
    const found = quantize(Float32Array.from(values), /** @type {'uint8' | 'uint16'} */ (dtype));
    assert.deepEqual({ codes: [...found.codes], min: found.min, scale: found.scale }, { codes, min, scale });
  });
}

test('each value is within half a step of what its code stands for, and zero is exact', () => {
  const values = Float32Array.from({ length: 1000 }, (_, place) => Math.sin(place) * (1 + place / 100));
  const { codes, min, scale } = quantize(values, 'uint8');
  values.forEach((value, place) => assert.ok(Math.abs(codes[place] * scale + min - value) <= scale * 0.5000001));
  assert.equal(Math.round(-min / scale) * scale + min, 0);
});

for (const { name, values, message } of [
  { name: 'no values', values: [], message: "The weight 'w' has no elements, which uint8 cannot store; remove its "
    + "layer." },
  {
    name: 'NaN',
    values: [NaN],
    message: "The weight 'w' holds 1 value that is NaN or infinite, and uint8 needs a finite range; train again or "
      + 'repair the model.',
  },
  {
    name: 'infinities',
    values: [Infinity, 1, -Infinity],
    message: "The weight 'w' holds 2 values that are NaN or infinite, and uint8 needs a finite range; train again or "
      + 'repair the model.',
  },
]) {
  test(`refused: ${name}`, () => {
    assert.throws(() => refuseUnquantizable('w', Float32Array.from(values), 'uint8'), { name: 'DropError', message });
  });
}

test('values at the limits of float32 are not refused', () => {
  refuseUnquantizable('w', Float32Array.of(3.4e38, -3.4e38, 1e-45, -0), 'uint8');
});
