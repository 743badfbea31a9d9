import assert from 'node:assert/strict';
import { test } from 'node:test';

import { secondsLeft } from './estimate.mjs';

const FAST = { kind: 'wasm', seconds: 2 };

/** @type {(share: number) => object} */
const half = (share) => ({ finished: [], current: { kind: 'wasm', seconds: 5, share }, waiting: ['wasm'] });
const SLOW = { kind: 'webgl', seconds: 10 };
const LONG = { finished: [FAST], current: { kind: 'wasm', seconds: 9, share: 0 }, waiting: [] };

const cases = [
  ['nothing is known before the first step', { finished: [], current: null, waiting: ['wasm'] }, null],
  ['the start of a step says nothing', half(0.1), null],
  ['half a step tells the length of the next', half(0.5), 15],
  ['steps of a kind take their mean', {
    finished: [FAST, { kind: 'wasm', seconds: 4 }], current: null, waiting: ['wasm', 'wasm'],
  }, 6],
  ['an unknown kind is as slow as the slowest', { finished: [FAST, SLOW], current: null, waiting: ['webgpu'] }, 10],
  ['a step that takes longer leaves no negative time', LONG, 0],
];

for (const [name, course, expected] of cases) {
  test(`estimate: ${name}`, () => assert.equal(secondsLeft(course), expected));
}
