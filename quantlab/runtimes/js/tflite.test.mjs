import assert from 'node:assert/strict';
import { test } from 'node:test';

import { job, memoryPlatform, npy, tensor } from './fixtures/jobs.mjs';
import { run } from './run.mjs';
import { openFlatbuffer } from './tflite.mjs';

/** The messages of a job for one input of two floats, by a LiteRT.js that loads files as told. */
async function runTflite(loadAndCompile, takeErrors = () => []) {
  const platform = memoryPlatform({ 'model.tflite': new Uint8Array(4), 'x.npy': npy(new Float32Array(2)) });
  const litert = { loadAndCompile, Tensor: { fromTypedArray: () => ({ delete: () => {} }) } };
  const open = (asked, host) => openFlatbuffer(
    { litert, version: '1.2.3', build: 'compat', takeErrors }, asked, host,
  );
  const fields = { format: 'tflite', artifact: 'model.tflite', inputs: [tensor('x', 'float32', [2])], outputs: [] };
  await run(job(fields), { tflite: open }, platform);
  return platform.messages;
}

test('a model that does not fit its job is freed', async () => {
  let deleted = 0;
  const model = {
    getInputDetails: () => [{ name: 'x', index: 0, dtype: 'float32', shape: [1, 3] }],
    getOutputDetails: () => [],
    delete: () => { deleted += 1; },
  };
  assert.deepEqual(await runTflite(async () => model), [{
    type: 'failed',
    reason: "the file's input 'x' takes [1, 3], and one sample is [1, 2]; convert the model with a batch of 1",
  }]);
  assert.equal(deleted, 1);
});

test('a file that does not load is a reason to leave this very runtime out', async () => {
  const refuse = async () => { throw new Error('Unsupported op'); };
  assert.deepEqual(await runTflite(refuse), [{
    type: 'failed',
    reason: 'LiteRT.js could not load the file (Unsupported op); if it runs in python, leave test-wasm out for this '
      + 'setting, and otherwise convert the model again',
  }]);
});

test('a file with a state is told by what LiteRT.js writes', async () => {
  const errors = [[], ['ERROR: [model_load.cc:290] Variable tensors not yet supported.']];
  const refuse = async () => { throw new Error('Failed to load model from buffer'); };
  assert.deepEqual(await runTflite(refuse, () => errors.shift() ?? []), [{
    type: 'failed',
    reason: 'the file keeps a state between calls in variable tensors, as an LSTM of Keras 2 does, and LiteRT.js does '
      + 'not support them; run it in python only, or build the layer with unroll=True or in Keras 3',
  }]);
});

for (const { name, lines, reason } of [
  {
    name: 'an op that fails',
    lines: [
      'ERROR: SquaredDifference only supports FLOAT32 and INT32 now, got 7.',
      'ERROR: Node number 21 (SQUARED_DIFFERENCE) failed to invoke.',
      'ERROR: [litert_compiled_model.cc:164] Failed to invoke',
    ],
    reason: 'LiteRT.js cannot run the op SQUARED_DIFFERENCE (node 21) as it is in this file (SquaredDifference only '
      + 'supports FLOAT32 and INT32 now, got int16); replace the layer that uses it, or leave this setting out',
  },
  {
    name: 'an output of a computed size',
    lines: [
      'ERROR: [compiled_model.cc:1714] Failed to set custom allocation for output tensor  (index 285): 1',
      'ERROR: [litert_compiled_model.cc:164] Failed to register output tensor buffer: Failed to set custom allocation '
        + 'for output',
    ],
    reason: 'LiteRT.js cannot return an output whose size is computed while the file runs; convert the model with a '
      + 'batch of 1, or run it in python only',
  },
  {
    name: 'another error',
    lines: ['WARNING: slow', 'ERROR: out of luck'],
    reason: 'LiteRT.js failed to run the file (ERROR: out of luck); if it runs in python, leave this runtime out for this '
      + 'setting',
  },
]) {
  test(`${name} is no result, although LiteRT.js gives one`, async () => {
    const errors = [[], lines];
    const model = {
      getInputDetails: () => [{ name: 'x', index: 0, dtype: 'float32', shape: [1, 2] }],
      getOutputDetails: () => [],
      run: async () => [],
      delete: () => {},
    };
    const [, last] = await runTflite(async () => model, () => errors.shift() ?? []);
    assert.deepEqual(last, { type: 'failed', reason });
  });
}
