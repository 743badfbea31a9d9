import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encode, pairwiseSum, storedScales, worstSqnrDb } from './channel-codes.mjs';

/** @type {(length: number) => Float64Array} */
const waves = (length) => Float64Array.from({ length }, (_, place) => Math.sin(place * 12.9898) * 1000);

test('a sum in pairs is exact for integers of any number', () => {
  for (let count = 0; count <= 700; count += 1) {
    const values = Float64Array.from({ length: count + 3 }, (_, place) => place);
    assert.equal(pairwiseSum(values, 3, count), (count * (count + 5)) / 2, `${count} values`);
  }
});

test('a sum in pairs is not that of one after the other', () => {
  const values = waves(1000).map((value) => value / 3);
  assert.notEqual(pairwiseSum(values, 0, 1000), values.reduce((sum, value) => sum + value, 0));
});

for (const { name, shape, axes, scaleShape } of [
  { name: 'a convolution', shape: [3, 3, 4, 6], axes: [3], scaleShape: [6] },
  { name: 'a depthwise convolution', shape: [3, 3, 4, 2], axes: [2, 3], scaleShape: [4, 2] },
  { name: 'a transposed convolution', shape: [2, 2, 5, 7], axes: [2], scaleShape: [5, 1] },
  { name: 'a transposed product', shape: [9, 11], axes: [0], scaleShape: [9, 1] },
  { name: 'one scale in all', shape: [4, 4], axes: [], scaleShape: [] },
]) {
  test(`each value of ${name} is within a step of its code, by the scale of its channel`, () => {
    const size = shape.reduce((product, one) => product * one, 1);
    const kernel = Float32Array.from(waves(size));
    const codes = encode(kernel, shape, axes);
    assert.deepEqual(codes.scaleShape, scaleShape);
    assert.equal(codes.scales.length, scaleShape.reduce((product, one) => product * one, 1));
    assert.ok(worstSqnrDb(kernel, shape, axes, codes) > 30);
  });
}

test('channels with ranges on either side have zeros of their own', () => {
  const kernel = Float32Array.from({ length: 64 }, (_, place) => (place % 2 ? 1 : -1) * (place + 1));
  const codes = encode(kernel, [32, 2], [1]);
  assert.deepEqual([...codes.zeros], [255, 0]);
  assert.deepEqual(codes.zeroShape, [2]);
});

test('a channel of zeros has the scale 1, and is left aside', () => {
  const kernel = Float32Array.from({ length: 40 }, (_, place) => (place % 2 ? 0 : place - 20));
  const codes = encode(kernel, [20, 2], [1]);
  assert.equal(codes.scales[1], 1);
  assert.ok(worstSqnrDb(kernel, [20, 2], [1], codes) < Infinity);
  assert.equal(worstSqnrDb(new Float32Array(4), [2, 2], [1], encode(new Float32Array(4), [2, 2], [1])), -Infinity);
});

for (const { name, scales, stored, kept } of [
  { name: 'half floats, rounded up', scales: [0.1, 1], stored: 'float16', kept: [0.10003662109375, 1] },
  { name: 'floats if one is too small', scales: [6e-5, 1], stored: 'float32', kept: [6.000000212225132e-5, 1] },
  { name: 'floats if one is too large', scales: [65505, 1], stored: 'float32', kept: [65505, 1] },
]) {
  test(`scales are ${name}`, () => {
    const found = storedScales(Float64Array.from(scales));
    assert.deepEqual({ stored: found.stored, kept: [...found.scales] }, { stored, kept });
  });
}
