import assert from 'node:assert/strict';
import { test } from 'node:test';

import { graphModel, job, memoryPlatform, node, npy, placeholder, runTfjs, tensor } from './fixtures/jobs.mjs';
import { run } from './run.mjs';

const PORTS = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])] };
const FIVE = Float32Array.from([1, 0, 0, 1, 1, 1, 2, 0, 0, 2]);

/**
 * An executor that answers with its inputs, changed by `change(values, call)`, where calls count from 1.
 * @param {(values: Float32Array, call: number) => Float32Array} change
 */
function changing(change) {
  let calls = 0;
  return async () => ({
    backend: 'wasm',
    environment: {},
    predict: async ([bytes]) => {
      calls += 1;
      const values = new Float32Array(bytes.slice().buffer);
      return { outputs: [new Uint8Array(change(values, calls).buffer)], seconds: 0 };
    },
    close: () => {},
  });
}

async function repeatedOf(change, fields = {}) {
  const files = { 'x.npy': npy(FIVE), 'y.npy': npy(new Float32Array(10)) };
  const platform = memoryPlatform(files);
  await run(job({ ...PORTS, batch_size: 2, stop: 5, ...fields }), { tfjs: changing(change) }, platform);
  return platform.messages.slice(-2);
}

const REPEATED = { type: 'repeated', way: 'again', samples: 2 };

for (const [what, change, figures] of [
  ['one that is right only on the first call', (values, call) => values.map((value) => (call > 1 ? 0 : value)),
    { differing: 2, largest: 1, scale: 1 }],
  ['one that counts its calls', (values, call) => Float32Array.of(values[0] + call, ...values.slice(1)),
    { differing: 1, largest: 3, scale: 2 }],
  ['one that is NaN later', (values, call) => values.map((value) => (call > 1 && value ? NaN : value)),
    { differing: 2, largest: null, scale: 1 }],
  ['one that is NaN from the start', (values) => values.map(() => NaN), { differing: 0, largest: 0, scale: 0 }],
  ['one that keeps no state', (values) => values, { differing: 0, largest: 0, scale: 1 }],
]) {
  test(`the first samples run again: ${what}`, async () => {
    assert.deepEqual(await repeatedOf(change), [{ ...REPEATED, ...figures }, { type: 'done' }]);
  });
}

test('a job of one batch runs it twice', async () => {
  const [repeated] = await repeatedOf((values, call) => values.map((value) => value * call), { stop: 2 });
  assert.deepEqual(repeated, { ...REPEATED, differing: 2, largest: 1, scale: 1 });
});

test('one that fails the second time says so', async () => {
  const [, failed] = await repeatedOf((values, call) => {
    if (call > 3) throw new Error('the device is lost');
    return values;
  });
  assert.deepEqual(failed, {
    type: 'failed',
    reason: 'all samples ran, but the first of them failed when they ran once more: the device is lost',
  });
});

test('a graph-model that throws dice gives other outputs in tfjs itself', async () => {
  const model = graphModel(
    [
      placeholder('x', 'float32', [2]),
      node('shape', 'Shape', ['x'], { out_type: { type: 'DT_INT32' } }),
      node('dice', 'RandomUniform', ['shape'], { dtype: { type: 'DT_FLOAT' }, seed: { i: '0' }, seed2: { i: '0' } }),
      node('y', 'AddV2', ['x', 'dice']),
    ],
  );
  const files = { ...model, 'x.npy': npy(FIVE), 'y.npy': npy(new Float32Array(10)) };
  const messages = await runTfjs({ ...PORTS, batch_size: 2, stop: 5 }, files);
  const { differing, largest } = messages.at(-2);
  assert.equal(differing, 2);
  assert.ok(largest > 0 && largest < 1);
});
