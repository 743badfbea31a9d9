import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { Sha256, sha256 } from './sha256.mjs';

const BYTES = Uint8Array.from({ length: 1000 }, (_, place) => (place * 7919) % 251);
const expected = (/** @type {Uint8Array} */ bytes) => createHash('sha256').update(bytes).digest('hex');

test('the hash of any length is that of the standard', () => {
  for (let length = 0; length <= 200; length += 1) {
    assert.equal(sha256(BYTES.subarray(0, length)), expected(BYTES.subarray(0, length)), `${length} bytes`);
  }
});

test('parts of any lengths have the hash of the whole', () => {
  for (let step = 1; step < 140; step += 1) {
    const hash = new Sha256();
    for (let at = 0; at < BYTES.length; at += step) hash.update(BYTES.subarray(at, at + step));
    assert.equal(hash.digest(), expected(BYTES), `parts of ${step} bytes`);
  }
});
