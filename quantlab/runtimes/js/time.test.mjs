import assert from 'node:assert/strict';
import { test } from 'node:test';

import { job, memoryPlatform, npy, tensor } from './fixtures/jobs.mjs';
import { JobError } from './run.mjs';
import { timeVariant } from './time.mjs';

const PLAN = { warm_up_seconds: 0.2, seconds: 0.5, most_seconds: 2, least_runs: 5, enough_runs: 20, most_runs: 100 };

/** Time a variant whose first run takes so long, and every other; what was said, and how often it was called. */
async function timed({ first = 0.3, seconds, plan = {}, open = () => {}, memory = () => ({ bytes: 7 }) }) {
  const platform = memoryPlatform({ 'x.npy': npy(Float32Array.of(1, 2)) });
  let clock = 0;
  let calls = 0;
  const seen = [];
  const executors = {
    tfjs: async () => {
      seen.push('open');
      open();
      clock += 40;
      return {
        backend: 'fake',
        environment: {},
        predict: async (inputs, samples) => {
          seen.push([...new Float32Array(inputs[0].slice().buffer), samples]);
          const took = calls === 0 ? first : seconds;
          calls += 1;
          clock += took * 1000;
          return { outputs: [], seconds: took };
        },
        close: () => seen.push('close'),
      };
    },
  };
  Object.assign(platform, {
    now: () => clock,
    prepare: async () => {
      seen.push('prepare');
      clock += 1000;
    },
    peakMemory: memory,
  });
  const fields = { inputs: [tensor('x', 'float32', [1])], batch_size: 1, stop: 1 };
  await timeVariant({ job: job(fields), plan: { ...PLAN, ...plan } }, executors, platform);
  return { messages: platform.messages, calls, seen };
}

const timesOf = ({ messages }) => messages.find(({ type }) => type === 'timed');

test('says what the load, the first run and each run after the warm-up took', async () => {
  const memory = [{ bytes: 100 }, { bytes: 160 }];
  const ran = await timed({ seconds: 0.0625, memory: () => memory.shift() });
  assert.deepEqual(ran.messages.at(-1), { type: 'done' });
  assert.deepEqual(timesOf(ran), {
    type: 'timed',
    load_ms: 40,
    first_run_ms: 300,
    runs_ms: Array(20).fill(62.5),
    idle_memory_bytes: 100,
    peak_memory_bytes: 160,
    memory_reason: null,
  });
  assert.deepEqual(ran.seen.slice(0, 3), ['prepare', 'open', [1, 1]]);
  assert.deepEqual(ran.seen.at(-1), 'close');
});

for (const { name, seconds, plan, warm, runs } of [
  { name: 'a quick variant runs for its half second', seconds: 0.015625, warm: 13, runs: 32 },
  { name: 'one that takes longer has enough runs', seconds: 0.0625, warm: 4, runs: 20 },
  { name: 'a slow one has as many as fit into the longest time', seconds: 0.25, warm: 1, runs: 8 },
  { name: 'a very slow one has the least number', seconds: 8, warm: 1, runs: 5 },
  { name: 'a clock too coarse for it ends nevertheless', seconds: 0, warm: 100, runs: 100 },
  { name: 'nothing is warmed up unasked', seconds: 0.25, plan: { warm_up_seconds: 0 }, warm: 0, runs: 8 },
]) {
  test(name, async () => {
    const ran = await timed({ seconds, plan });
    assert.equal(timesOf(ran).runs_ms.length, runs);
    assert.equal(ran.calls, 1 + warm + runs);
  });
}

test('whoever waits hears of slow runs now and then', async () => {
  const { messages } = await timed({ seconds: 0.75 });
  const heard = messages.filter(({ type }) => type === 'progress');
  assert.deepEqual(heard.map(({ done, batch }) => [done, batch]), [[2, 1], [4, 1], [6, 1]]);
});

test('memory that the host does not tell is null with the reason', async () => {
  const reason = 'a browser does not tell';
  const { idle_memory_bytes, peak_memory_bytes, memory_reason } = timesOf(
    await timed({ seconds: 0.1, memory: () => ({ bytes: null, reason }) }));
  assert.deepEqual([idle_memory_bytes, peak_memory_bytes, memory_reason], [null, null, reason]);
});

test('a variant that cannot be loaded is failed, without any times', async () => {
  const ran = await timed({ seconds: 0.1, open: () => { throw new JobError('model.json is gone'); } });
  assert.deepEqual(ran.messages, [{ type: 'failed', reason: 'model.json is gone' }]);
});
