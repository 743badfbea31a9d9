import assert from 'node:assert/strict';
import { test } from 'node:test';

import { count, counted, duration, fixed, joined, number, size, withInterval } from './shown-figures.mjs';

const cases = [
  ['two decimals', fixed(0.084, 2), '0.08'],
  ['a true minus sign', fixed(-1.5, 1), '−1.5'],
  ['no sign of a zero', fixed(-0.001, 2), '0.00'],
  ['no figure', fixed(null, 2), '–'],
  ['infinity', fixed(-Infinity, 1), '−∞'],
  ['NaN', number(NaN), 'NaN'],
  ['three digits', number(0.00012345), '0.000123'],
  ['a small number with its exponent', number(-1.2345e-7, 2), '−1.2e−7'],
  ['a large number without exponent', number(103_342, 4), '103300'],
  ['a very large number', number(1.5e9), '1.5e+9'],
  ['an interval', withInterval(0.21, { lower: -0.31, upper: 0.84 }, 2), '0.21 [−0.31, 0.84]'],
  ['no interval', withInterval(0.21, null, 2), '0.21'],
  ['thousands', count(1197), '1,197'],
  ['one of them', counted(1, 'sample', 'samples'), '1 sample'],
  ['kilobytes', size(7_250), '7.3 KB'],
  ['gigabytes', size(2e9), '2.0 GB'],
  ['a short time', duration(3), 'a few seconds'],
  ['tens of seconds', duration(41), '50 seconds'],
  ['minutes', duration(130), '2 minutes'],
  ['a list', joined(['a', 'b', 'c']), 'a, b and c'],
];

for (const [name, actual, expected] of cases) {
  test(`figures: ${name}`, () => assert.equal(actual, expected));
}
