/** The vectors of `vectors.json`, for `node --test`; `@tensorflow/tfjs` is that of your application. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, test } from 'node:test';

import * as tf from '@tensorflow/tfjs';

import { preprocess, PIPELINE_SHA256 } from './preprocess.mjs';
import { largestDifference, read } from './vectors.mjs';

const vectors = JSON.parse(fs.readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

before(() => tf.ready());

test('the vectors belong to this pipeline', () => {
  assert.equal(vectors.pipeline_sha256, PIPELINE_SHA256, 'vectors.json was made for another pipeline; export both again');
});

for (const vector of vectors.vectors) {
  test(`${vector.image} becomes the expected tensor`, () => {
    const tensor = preprocess(tf, read(vector));
    assert.deepEqual(tensor.shape, [1, ...vector.shape]);
    const difference = largestDifference(tensor.dataSync(), vector);
    assert.ok(difference <= vectors.tolerance, `a value differs by ${difference}, more than ${vectors.tolerance}`);
  });
}
