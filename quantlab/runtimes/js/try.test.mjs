import assert from 'node:assert/strict';
import { test } from 'node:test';

import { tryCalls } from './try.mjs';

/** A platform of files in memory that remembers what was said. */
function platformOf(files) {
  const said = [];
  return {
    said,
    readArtifact: (file) => files[file],
    writeScratch: (file, position, bytes) => { files[file] = bytes; },
    emit: (message) => said.push(message),
  };
}

/** An artifact that answers with its first input, refuses two inputs, and remembers how it was called. */
function echo(closed) {
  const passed = [];
  return {
    passed,
    open: async () => ({
      call: async (inputs, names) => {
        passed.push(names);
        if (inputs.length > 1) throw new Error('two\n  inputs');
        return [{ name: 'y', ...inputs[0] }];
      },
      close: () => closed.push(true),
    }),
  };
}

const fed = (name) => ({ name, file: 'x.bin', shape: [3], dtype: 'uint8' });
const job = { format: 'echo', backend: '' };

test('each call has its own answer, and a refusal is one line', async () => {
  const files = { 'x.bin': Uint8Array.of(1, 2, 3) };
  const platform = platformOf(files);
  const closed = [];
  const { open, passed } = echo(closed);
  const calls = [
    { inputs: [fed('x')], passed: 'by name', outputs: 'one' },
    { inputs: [fed('x'), fed('z')], passed: 'in order', outputs: 'two' },
    { inputs: [fed('x')], passed: 'in order', outputs: 'three' },
  ];
  await tryCalls({ request: 'try', job, way: '', calls }, { echo: open }, platform);
  const answer = (file) => ({
    type: 'tried', outputs: [{ name: 'y', file, shape: [3], dtype: 'uint8' }], refused: null,
  });
  assert.deepEqual(platform.said, [
    answer('one-0.bin'),
    { type: 'tried', outputs: [], refused: 'two inputs' },
    answer('three-0.bin'),
    { type: 'done' },
  ]);
  assert.deepEqual(passed, [['x'], null, null]);
  assert.deepEqual(Array.from(files['one-0.bin']), [1, 2, 3]);
  assert.deepEqual(closed, [true]);
});

test('an artifact that cannot be opened is one failure', async () => {
  const platform = platformOf({});
  const open = async () => { throw new Error('no such op'); };
  await tryCalls({ request: 'try', job, way: '', calls: [] }, { echo: open }, platform);
  assert.deepEqual(platform.said, [
    { type: 'failed', reason: 'the echo library could not run this variant: no such op' },
  ]);
});
