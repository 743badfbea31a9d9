import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asClasses, looksLikeProbabilities, top1 } from './classes.mjs';
import { scoreReference, scoreRow } from './statistics.mjs';

/** @type {(rows: number[][]) => import('./types.mjs').Tensor} */
function tensor(rows) {
  return { shape: [rows.length, rows[0].length], dtype: 'float32', data: Float32Array.from(rows.flat()) };
}

const MODEL = tensor([[1, 2, 0], [3, 0, 1], [0, 0, 5], [1, 0, 0]]);

test('the top-1 is the first of the largest, and a row with NaN has none', () => {
  const { values, n } = { values: [1, 1, 0, NaN, 9, 9, -Infinity, -Infinity, -Infinity], n: 3 };
  assert.deepEqual([...top1({ n, classes: 3, values })], [0, -1, 0]);
});

test('one score of two classes', () => {
  const scores = { shape: [3], dtype: 'float32', data: Float32Array.of(0.25, 0.5, 0.75) };
  assert.deepEqual([...top1(asClasses(scores, true))], [0, 0, 1]);
  const logits = { shape: [3, 1], dtype: 'float32', data: Float32Array.of(-1, 0, 1) };
  assert.deepEqual([...top1(asClasses(logits, false))], [0, 0, 1]);
});

test('an image has no classes', () => {
  const image = { shape: [1, 2, 2], dtype: 'float32', data: new Float32Array(4) };
  assert.throws(() => asClasses(image, false), {
    message: "an output of shape [1, 2, 2] has no classes; a classifier's output is [samples, classes], or [samples, 1] "
      + 'for two classes',
  });
});

test('one odd row of twenty decides nothing', () => {
  const rows = Array.from({ length: 20 }, (_, i) => (i ? [0.25, 0.75] : [3, 4]));
  assert.equal(looksLikeProbabilities(tensor(rows)), true);
  assert.equal(looksLikeProbabilities(tensor([...rows, [1, 1]])), false);
  assert.equal(looksLikeProbabilities(tensor([[NaN, 1]])), false);
});

test('changed samples, with what became of each', () => {
  const variant = tensor([[1, 0, 0], [3, 0, 1], [9, 0, 5], [0, 1, 0]]);
  const { scores, changed } = scoreRow(MODEL, variant, Int32Array.of(1, 0, 0, 2), 'classification');
  assert.deepEqual([scores.right_to_wrong, scores.wrong_to_right, scores.top1_loss_points], [1, 1, 0]);
  const told = new Map(changed.map(({ index, change, reference, candidate }) => [index, [change, reference, candidate]]));
  assert.deepEqual(told, new Map([
    [2, ['became right', 2, 0]], [0, ['became wrong', 1, 0]], [3, ['other', 0, 1]],
  ]));
  const divergences = changed.map(({ divergence }) => divergence);
  assert.deepEqual(divergences, [...divergences].sort((one, other) => other - one));
});

test('a variant with NaN is as bad as can be', () => {
  const variant = tensor([[1, 2, 0], [3, NaN, 1], [0, 0, 5], [1, 0, 0]]);
  const { scores, changed } = scoreRow(MODEL, variant, Int32Array.of(1, 0, 2, 0), 'classification');
  assert.deepEqual(
    [scores.sqnr_db, scores.max_abs_error, scores.cosine, scores.non_finite, scores.kl_mean, scores.kl_undefined],
    [-Infinity, Infinity, NaN, 1, null, 1]);
  assert.deepEqual([scores.top1, scores.agreement], [75, 75]);
  assert.deepEqual(changed.map(({ index, candidate }) => [index, candidate]), [[1, -1]]);
});

test('samples on which the model is not finite are left out, and counted', () => {
  const model = tensor([[1, 2], [NaN, 0], [Infinity, 0], [0, 1]]);
  const { scores, notes } = scoreRow(model, tensor([[1, 2], [NaN, 9], [0, 0], [1, 0]]), null, 'similarity');
  assert.deepEqual([scores.n, scores.left_out, scores.left_out_equal], [2, 2, 1]);
  assert.deepEqual(notes, ["NaN or infinite in other places than the model's output on 1 of 2 samples that are left out"]);
  const own = scoreReference(model, null, 'similarity');
  assert.deepEqual([own.non_finite, own.n], [2, 2]);
});

test('nothing is scored of no samples', () => {
  const { scores } = scoreRow(tensor([[NaN, 1]]), tensor([[0, 1]]), null, 'similarity');
  assert.deepEqual([scores.n, scores.sqnr_db, scores.max_abs_error], [0, null, null]);
});

const WRONG = {
  'another shape': [tensor([[1, 2]]), null, 'similarity', 'the reference has the shape [4, 3] and the candidate [1, 2]; only '
    + 'outputs of the same shape can be compared'],
  'a label that is no class': [MODEL, Int32Array.of(0, 1, 2, 3), 'classification', 'the label 3 is out of range; with 3 '
    + 'classes labels go from 0 to 2'],
  'a label too few': [MODEL, Int32Array.of(0, 1, 2), 'classification', 'there are 3 labels for 4 samples; every sample needs '
    + 'one label'],
  'no labels': [MODEL, null, 'classification', "the task 'classification' needs classes as labels"],
  'numbers of another shape': [MODEL, tensor([[1], [2], [3], [4]]), 'regression', 'the labels have the shape [4, 1] and the '
    + 'outputs [4, 3]; every output element needs one label'],
};

for (const [name, [outputs, labels, task, message]] of Object.entries(WRONG)) {
  test(`${name} is refused`, () => {
    const given = /** @type {[any, any, any]} */ ([outputs, labels, task]);
    assert.throws(() => scoreRow(MODEL, ...given), { name: 'RangeError', message });
  });
}
