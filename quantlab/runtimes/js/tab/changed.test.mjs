import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cardsOf, conclusionOf, probabilitiesOf } from './changed.mjs';
import { bent, spread, ticks } from './chart.mjs';
import { scoreRow } from './statistics.mjs';

/** @param {number[][]} rows */
function tensor(rows) {
  return { shape: [rows.length, rows[0].length], dtype: 'float32', data: Float32Array.from(rows.flat()) };
}

const BEFORE = tensor([[0.75, 0.25], [0.625, 0.375], [0.875, 0.125], [0.25, 0.75], [0.5, 0.5]]);
const AFTER = tensor([[0.25, 0.75], [0.375, 0.625], [0.125, 0.875], [0.75, 0.25], [0.5, 0.5]]);
const LABELS = Int32Array.from([0, 0, 1, 0, 0]);

function trial() {
  return { setting: 'uint8', runtime: 'wasm', row: scoreRow(BEFORE, AFTER, LABELS, 'classification') };
}

test('changed: became wrong first, those the reference was most sure of first', () => {
  const cards = cardsOf(trial(), BEFORE, AFTER, LABELS);
  assert.deepEqual(cards.map(({ index, change, before, after }) => [index, change, before, after]), [
    [0, 'became wrong', 0.75, 0.75], [1, 'became wrong', 0.625, 0.625], [2, 'became right', 0.875, 0.875],
    [3, 'became right', 0.75, 0.75],
  ]);
});

test('changed: the sentence counts them', () => {
  const cards = cardsOf(trial(), BEFORE, AFTER, LABELS);
  assert.equal(conclusionOf(trial(), cards), 'Of 5 samples, 4 get another answer from uint8 in wasm: 2 became wrong, 2 '
    + 'became right.');
  assert.equal(conclusionOf(trial(), []), 'Of 5 samples, none gets another answer from uint8 in wasm.');
});

for (const { name, rows, probabilities, expected } of [
  { name: 'probabilities as they are', rows: [[0.25, 0.75]], probabilities: true, expected: [0.25, 0.75] },
  { name: 'softmax of logits', rows: [[0, Math.log(3)]], probabilities: false, expected: [0.25, 0.75] },
  { name: 'one probability of two classes', rows: [[0.25]], probabilities: true, expected: [0.75, 0.25] },
  { name: 'one logit of two classes', rows: [[0]], probabilities: false, expected: [0.5, 0.5] },
]) {
  test(`changed: ${name}`, () => {
    const actual = probabilitiesOf(tensor(rows), 0, probabilities);
    actual.forEach((value, place) => assert.ok(Math.abs(value - expected[place]) < 1e-6, `${value}`));
    assert.equal(actual.length, expected.length);
  });
}

test('chart: the scale is linear to 1 and logarithmic beyond', () => {
  assert.deepEqual([0, 0.5, 1, 10, -100].map(bent), [0, 0.5, 1, 2, -3]);
});

test('chart: labels keep their distance and their order', () => {
  assert.deepEqual(spread([10, 0, 11], 5), [10, 0, 15]);
});

test('chart: at most five round ticks', () => {
  assert.deepEqual(ticks(7, 25), [10, 20]);
  assert.deepEqual(ticks(0.5, 600), [1, 5, 20, 100, 500]);
});
