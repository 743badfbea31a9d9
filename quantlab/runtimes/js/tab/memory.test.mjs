import assert from 'node:assert/strict';
import { test } from 'node:test';

import { run } from '../run.mjs';
import { memoryPlatform } from './memory.mjs';
import { artifactOf, portOf } from './ports.mjs';

/** @param {Map<string, Uint8Array>} files */
function held(files = new Map()) {
  const messages = /** @type {any[]} */ ([]);
  const fed = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
  const tensors = new Map([['input/0', fed], ['output/0', new Uint8Array(12)]]);
  const emit = (/** @type {any} */ one) => messages.push(one);
  const platform = memoryPlatform({ host: 'chromium', environment: { a: 'b' }, files, tensors, emit });
  return { platform, messages, tensors };
}

const TENSOR = { name: 'x', offset: 0, shape: [], dtype: 'float32', tensor: 'x', position: 0 };

test('a job runs over memory as over files', async () => {
  const { platform, messages, tensors } = held();
  const job = {
    format: 'tfjs', artifact: 'artifact', backend: 'wasm', batch_size: 2, start: 0, stop: 3, options: {},
    inputs: [{ ...TENSOR, file: 'input/0' }], outputs: [{ ...TENSOR, file: 'output/0' }],
  };
  const doubling = {
    backend: 'wasm', environment: { tfjs: '4' }, close: () => {}, tap: async () => assert.fail('nothing is tapped'),
    predict: async (/** @type {Uint8Array<ArrayBuffer>[]} */ [bytes]) => {
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
      return { outputs: [new Uint8Array(values.map((value) => 2 * value).buffer)], seconds: 0.5 };
    },
  };
  await run(job, { tfjs: async () => doubling }, platform);
  assert.deepEqual([...new Float32Array(/** @type {Uint8Array} */ (tensors.get('output/0')).buffer)], [2, 4, 6]);
  assert.deepEqual(messages, [
    { type: 'ready', ran_on: 'chromium-wasm', environment: { a: 'b', tfjs: '4' } },
    { type: 'progress', done: 2, seconds: 0.5, batch: 2 },
    { type: 'progress', done: 3, seconds: 0.5, batch: 1 },
    { type: 'repeated', way: 'again', samples: 2, differing: 0, largest: 0, scale: 4 },
    { type: 'done' },
  ]);
});

test('a library may keep and change what it reads of an artifact', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const { platform } = held(new Map([['model.json', bytes]]));
  const read = /** @type {Uint8Array} */ (platform.readArtifact('artifact/model.json'));
  read[0] = 9;
  assert.deepEqual([...bytes], [1, 2, 3]);
});

test('a file that the artifact lacks, and bytes beyond the end, are refused', () => {
  const { platform } = held();
  assert.throws(() => platform.readArtifact('artifact/group1-shard2of2.bin'), {
    name: 'Error',
    message: "the artifact has no file 'group1-shard2of2.bin', which it names; drop all of its files together",
  });
  assert.throws(() => platform.readTensor('input/0', 8, new Uint8Array(8)), { message: "'input/0' ends before byte 16" });
  assert.throws(() => platform.writeTensor('output/1', 0, new Uint8Array(1)), { message: "'output/1' ends before byte 1" });
});

test('the files of an artifact in a job', () => {
  const artifact = (/** @type {string} */ format, /** @type {string[]} */ ...paths) => (
    artifactOf(/** @type {any} */ ({ format, files: new Map(paths.map((path) => [path, new Uint8Array()])) })));
  assert.deepEqual(artifact('tfjs', 'web.json', 'a.bin'), {
    artifact: 'artifact',
    options: { external_data: [{ path: 'web.json', file: 'artifact/web.json' }, { path: 'a.bin', file: 'artifact/a.bin' }] },
  });
  assert.deepEqual(artifact('onnx', 'weights.data', 'model.onnx'), {
    artifact: 'artifact/model.onnx', options: { external_data: [{ path: 'weights.data', file: 'artifact/weights.data' }] },
  });
  assert.deepEqual(artifact('tflite', 'model.tflite'), { artifact: 'artifact/model.tflite', options: {} });
});

test('a port has the dtype of its codes', () => {
  const spec = { name: 'x', shape: [2], batch: 1, dtype: 'float32', tensor: 't', position: 0, codes: null };
  assert.deepEqual(portOf(spec), { name: 'x', tensor: 't', position: 0, shape: [1, 2], dtype: 'float32', codes: null });
  const codes = { scale: 1, zero_point: 0, lowest: -128, highest: 127, offset: 0 };
  assert.deepEqual(portOf({ ...spec, batch: undefined, shape: [], codes }).dtype, 'int8');
  assert.deepEqual(portOf({ ...spec, batch: undefined, shape: [], codes }).shape, []);
});
