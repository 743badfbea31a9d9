import assert from 'node:assert/strict';
import { test } from 'node:test';

import { gzipSize } from './gzip-size.mjs';

/** Sizes that `zlib.compressobj(level=9, wbits=31)` of Python gives, zlib 1.2.13. */
const SIZES = [
  { name: 'nothing', bytes: 0, byte: () => 0, size: 20 },
  { name: 'one byte', bytes: 1, byte: () => 65, size: 21 },
  { name: 'zeros', bytes: 100_000, byte: () => 0, size: 132 },
  { name: 'a period', bytes: 70_000, byte: (/** @type {number} */ at) => (at % 1000) % 251, size: 663 },
  { name: 'noise, which is stored', bytes: 70_000, byte: noise, size: 70_043 },
  { name: 'noise of few bits', bytes: 140_000, byte: (/** @type {number} */ at) => noise(at) >> 4, size: 80_198 },
  {
    name: 'mostly one byte',
    bytes: 300_000,
    byte: (/** @type {number} */ at) => (noise(at) > 250 ? noise(at * 7) : 128),
    size: 16_771,
  },
  { name: 'short texts', bytes: 300, byte: (/** @type {number} */ at) => 97 + (at * at) % 23, size: 48 },
];

/** @type {(at: number) => number} */
function noise(at) {
  let mixed = Math.imul(at + 1, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 24;
}

for (const { name, bytes, byte, size } of SIZES) {
  test(`the size of ${name}`, async () => {
    assert.equal(await gzipSize(Uint8Array.from({ length: bytes }, (_, at) => byte(at))), size);
  });
}
