import assert from 'node:assert/strict';
import { test } from 'node:test';

import { job, memoryPlatform, tensor } from './fixtures/jobs.mjs';
import { run } from './run.mjs';
import { openFlatbuffer } from './tflite.mjs';

/** The messages of a job for one input of two floats, by a LiteRT.js that loads files as told. */
async function runTflite(loadAndCompile) {
  const platform = memoryPlatform({ 'model.tflite': new Uint8Array(4) });
  const litert = { loadAndCompile, Tensor: null };
  const open = (asked, host) => openFlatbuffer({ litert, version: '1.2.3', build: 'compat' }, asked, host);
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
