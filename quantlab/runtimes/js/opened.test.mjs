import assert from 'node:assert/strict';
import { test } from 'node:test';

import { elementsOf, job, memoryPlatform, npy, tensor } from './fixtures/jobs.mjs';
import { runAndKeepOpen } from './opened.mjs';
import { JobError } from './run.mjs';

const PORTS = { inputs: [tensor('x', 'float32', [1])], outputs: [tensor('y', 'float32', [1])] };

/** Answers requests with an executor that adds 10 to its inputs; `events` tells what was opened and closed. */
function opening({ fails = '' } = {}) {
  const events = [];
  const files = { 'x.npy': npy(Float32Array.from([1, 2, 3, 4])), 'y.npy': npy(new Float32Array(4)) };
  const platforms = [];
  const executors = {
    tfjs: async ({ artifact }) => {
      events.push(`open ${artifact}`);
      return {
        backend: 'wasm',
        environment: { kernels: artifact },
        predict: async ([bytes]) => {
          if (artifact === fails) throw new JobError('it cannot run');
          const values = new Float32Array(bytes.slice().buffer).map((value) => value + 10);
          return { outputs: [new Uint8Array(values.buffer)], seconds: 0 };
        },
        close: () => events.push(`close ${artifact}`),
      };
    },
  };
  const answer = runAndKeepOpen(executors, () => {
    platforms.push({ ...memoryPlatform(files), closeFiles: () => events.push('close files') });
    return platforms.at(-1);
  });
  const runPart = async (artifact, opened, [start, stop]) => {
    await answer({ request: 'run', job: job({ ...PORTS, artifact, batch_size: 2, start, stop }), opened });
    return platforms.at(-1).messages;
  };
  return { events, files, runPart };
}

const types = (messages) => messages.map(({ type }) => type);

const READY = { type: 'ready', ran_on: 'test-wasm', environment: { kernels: 'a' } };

test('parts of one name are run by one opened variant, and each is answered as if it were opened for it', async () => {
  const { events, files, runPart } = opening();
  for (const range of [[0, 2], [2, 4]]) {
    const messages = await runPart('a', 'A', range);
    assert.deepEqual(messages[0], READY);
    assert.deepEqual(types(messages), ['ready', 'progress', 'repeated', 'done']);
  }
  assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [11, 12, 13, 14]);
  assert.deepEqual(events, ['open a', 'close files', 'close files']);
});

test('another variant is opened after the one before is closed', async () => {
  const { events, runPart } = opening();
  for (const [artifact, name] of [['a', 'A'], ['b', 'B'], ['a', 'A']]) await runPart(artifact, name, [0, 2]);
  assert.deepEqual(events.filter((event) => event !== 'close files'), [
    'open a', 'close a', 'open b', 'close b', 'open a',
  ]);
});

test('a variant without a name is opened for its run alone', async () => {
  const { events, runPart } = opening();
  await runPart('a', 'A', [0, 2]);
  await runPart('b', '', [0, 2]);
  await runPart('b', undefined, [0, 2]);
  assert.deepEqual(events.filter((event) => event !== 'close files'), [
    'open a', 'close a', 'open b', 'close b', 'open b', 'close b',
  ]);
});

test('one that fails says why', async () => {
  const { runPart } = opening({ fails: 'a' });
  const messages = await runPart('a', 'A', [0, 2]);
  assert.deepEqual(types(messages), ['ready', 'failed']);
  assert.equal(messages.at(-1).reason, 'it cannot run');
});
