/** The vectors of `vectors.json`, for `node --test`; a canvas needs a browser, so these begin with decoded pixels. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

import { preprocessImage, PIPELINE_SHA256 } from './preprocess.mjs';
import { largestDifference, read } from './vectors.mjs';

const vectors = JSON.parse(fs.readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

test('the vectors belong to this pipeline', () => {
  assert.equal(vectors.pipeline_sha256, PIPELINE_SHA256, 'vectors.json was made for another pipeline; export both again');
});

for (const vector of vectors.vectors) {
  test(`${vector.image} becomes the expected tensor`, () => {
    const { data, shape } = preprocessImage(read(vector));
    assert.deepEqual(shape, vector.shape);
    const difference = largestDifference(data, vector);
    assert.ok(difference <= vectors.tolerance, `a value differs by ${difference}, more than ${vectors.tolerance}`);
  });
}
