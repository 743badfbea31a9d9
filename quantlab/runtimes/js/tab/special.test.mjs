import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clopperPearson, holm, mcnemarOfLoss, tango, wilson } from './intervals.mjs';
import { incompleteBeta, inverseIncompleteBeta, rootOf, studentQuantile, upperNormalQuantile } from './special.mjs';

/** @type {(actual: number, expected: number) => void} */
function near(actual, expected) {
  const apart = Math.abs(actual - expected);
  assert.ok(apart <= 1e-13 * Math.abs(expected), `${actual} is not ${expected}`);
}

test('closed forms of the incomplete beta function', () => {
  // I_x(1, b) = 1 − (1 − x)^b, and I_x(a, 1) = x^a.
  for (const x of [1e-6, 0.1, 0.5, 0.9]) {
    near(incompleteBeta(1, 7, x), -Math.expm1(7 * Math.log1p(-x)));
    near(incompleteBeta(4, 1, x), x ** 4);
    // The arcsine distribution.
    near(incompleteBeta(0.5, 0.5, x), (2 / Math.PI) * Math.asin(Math.sqrt(x)));
  }
});

test('the ends of the incomplete beta function', () => {
  assert.deepEqual([-1, 0, 1, 2].map((x) => incompleteBeta(3, 5, x)), [0, 0, 1, 1]);
});

test('the inverse leads back', () => {
  for (const [a, b, p] of [[3, 98, 0.025], [0.5, 5000, 0.95], [40, 3, 0.5], [2, 2, 1e-9]]) {
    near(incompleteBeta(a, b, inverseIncompleteBeta(a, b, p)), p);
  }
});

test('quantiles of tables', () => {
  near(upperNormalQuantile(0.025), 1.9599639845400545);
  near(upperNormalQuantile(1e-12), 7.034483825301131);
  assert.equal(upperNormalQuantile(0.9), -upperNormalQuantile(1 - 0.9));
  near(studentQuantile(1, 0.95), 12.706204736174694);
  near(studentQuantile(10, 0.95), 2.228138851986274);
});

test('a root at an end, between two numbers, and of a falling function', () => {
  assert.equal(rootOf((x) => x, 0, 1), 0);
  assert.equal(rootOf((x) => 2 - x * x, 0, 4), Math.SQRT2);
});

test('intervals without a success or a failure', () => {
  assert.equal(wilson(0, 10).lower, 0);
  assert.equal(wilson(10, 10).upper, 1);
  assert.equal(clopperPearson(0, 10).lower, 0);
  near(clopperPearson(0, 10).upper, 1 - 0.025 ** 0.1);
});

test('the interval of a paired difference is symmetric in its counts', () => {
  const [forth, back] = [tango(5, 3, 1000), tango(3, 5, 1000)];
  assert.deepEqual([forth.lower, forth.upper], [-back.upper, -back.lower]);
  assert.ok(forth.lower < 0.002 && forth.upper > 0.002);
});

test('one-sided tests of changed answers, and their correction', () => {
  assert.deepEqual([mcnemarOfLoss(0, 0), mcnemarOfLoss(0, 9)], [1, 1]);
  near(mcnemarOfLoss(5, 0), 1 / 32);
  assert.deepEqual(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
  assert.deepEqual(holm([]), []);
});
