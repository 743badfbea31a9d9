import assert from 'node:assert/strict';
import { test } from 'node:test';

import { halfOf, narrowFloats, numberOfHalf, roundHalfEven, widenHalves } from './halves.mjs';

test('every half float is itself again', () => {
  for (let bits = 0; bits < 0x10000; bits += 1) {
    const value = numberOfHalf(bits);
    assert.equal(halfOf(value), Number.isNaN(value) ? 0x7e00 : bits);
  }
});

test('the middle of two neighbours becomes the even one, and what is beside it the nearer one', () => {
  for (let bits = 0; bits < 0x7bff; bits += 1) {
    const [low, high] = [numberOfHalf(bits), numberOfHalf(bits + 1)];
    const middle = (low + high) / 2;
    assert.equal(halfOf(middle), bits % 2 ? bits + 1 : bits);
    assert.equal(halfOf(middle + (high - low) / 1024), bits + 1);
    assert.equal(halfOf(-(middle - (high - low) / 1024)), bits | 0x8000);
  }
});

const ENDS = [
  [65504, 0x7bff], [65519.99, 0x7bff], [65520, 0x7c00], [-1e300, 0xfc00], [Infinity, 0x7c00], [-0, 0x8000],
  [2 ** -25, 0], [2 ** -25 * 1.01, 1], [5e-324, 0],
];

for (const [value, bits] of ENDS) {
  test(`${Object.is(value, -0) ? '-0' : value} has the bits ${bits.toString(16)}`, () => {
    assert.equal(halfOf(value), bits);
  });
}

test('halves are rounded to the even integer', () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, 2.4999999, 254.5, 1e15 + 0.5];
  assert.deepEqual(values.map((value) => roundHalfEven(value) + 0), [0, 2, 2, 0, -2, 2, 254, 1e15]);
});

test('half floats are widened', () => {
  assert.deepEqual(widenHalves(Uint16Array.of(0x3c00, 0xc000, 0x7c00)), Float32Array.of(1, -2, Infinity));
});

test('an array is narrowed as each of its values', () => {
  const bits = Uint32Array.from({ length: 500_000 }, (_, place) => Math.imul(place, 0x9e3779b1));
  const middles = Array.from({ length: 0x7c00 }, (_, half) => (numberOfHalf(half) + numberOfHalf(half + 1)) / 2);
  // The sign of NaN is lost when it is a number.
  const plain = (/** @type {number} */ half) => ((half & 0x7fff) > 0x7c00 ? 0x7e00 : half);
  for (const values of [new Float32Array(bits.buffer), Float32Array.from([...middles, -0, 65520, 2 ** -25, 1e-45])]) {
    assert.deepEqual(narrowFloats(values).map(plain), Uint16Array.from(values, halfOf).map(plain));
  }
  assert.equal(narrowFloats(Float32Array.of(-1))[0], 0xbc00);
});
