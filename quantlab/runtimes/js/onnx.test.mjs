import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';

import * as ort from 'onnxruntime-web/wasm';

import { contentOf, elementsOf, job, memoryPlatform, npy, tensor } from './fixtures/jobs.mjs';
import { openOnnx, startOnnxRuntime } from './onnx.mjs';
import { run } from './run.mjs';
import { answerRequests } from './taps.mjs';

const FIXTURES = path.join(import.meta.dirname, 'fixtures', 'onnx');
const DIST = path.join(path.dirname(createRequire(import.meta.url).resolve('onnxruntime-web')));

Object.assign(ort.env.wasm, {
  numThreads: 1, wasmBinary: fs.readFileSync(path.join(DIST, 'ort-wasm-simd-threaded.wasm')),
});
const RUNTIME = { ort, provider: 'wasm', environment: { 'onnxruntime-web': '1.2.3', build: 'simd' } };
const EXECUTORS = { onnx: (asked, host) => openOnnx(RUNTIME, asked, host) };

const fixture = (name) => fs.readFileSync(path.join(FIXTURES, name));

/** As Python names a port of an ONNX file: by its name there. */
const port = (name, dtype, shape, named = name) => tensor(name, dtype, shape, 0, named);

const onnxJob = (file, fields) => job({ format: 'onnx', artifact: file, ...fields });

/** Run a fixture over files in memory; its messages. */
async function runOnnx(file, fields, files) {
  const platform = memoryPlatform({ ...(file in files ? {} : { [file]: fixture(file) }), ...files });
  await run(onnxJob(file, fields), EXECUTORS, platform);
  return platform.messages;
}

const ZEBRA = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
const APPLE = BigInt64Array.of(10n, 20n, 30n, 40n, 50n, 60n, 70n, 80n, 90n);
const PORTS = {
  batch_size: 2, stop: 3,
  inputs: [port('apple', 'int64', [3]), port('first', 'float32', [3], 'zebra')],
  outputs: [port('mid', 'float32', [3]), port('last', 'int64', [3], 'ant'), port('yak', 'float64', [3])],
};
const portFiles = () => ({
  'first.npy': npy(ZEBRA), 'apple.npy': npy(APPLE),
  'yak.npy': npy(new Float64Array(9)), 'last.npy': npy(new BigInt64Array(9)), 'mid.npy': npy(new Float32Array(9)),
});

for (const file of ['open_ports.onnx', 'single_ports.onnx']) {
  test(`finds the ports of ${file} by their names, and writes batches and a remainder`, async () => {
    const files = portFiles();
    const messages = await runOnnx(file, PORTS, files);
    assert.deepEqual(messages, [
      {
        type: 'ready',
        ran_on: 'test-wasm',
        environment: { 'onnxruntime-web': '1.2.3', build: 'simd', backend: 'wasm', threads: '1' },
      },
      { type: 'progress', done: 2, seconds: 0, batch: 2 },
      { type: 'progress', done: 3, seconds: 0, batch: 1 },
      { type: 'repeated', way: 'again', samples: 2, differing: 0, largest: 0, scale: 120 },
      { type: 'done' },
    ]);
    assert.deepEqual(elementsOf(files['yak.npy'], Float64Array), [3, 5, 7, 9, 11, 13, 15, 17, 19]);
    assert.deepEqual(elementsOf(files['last.npy'], BigInt64Array), Array.from(APPLE, (value) => 2n * value));
    assert.deepEqual(elementsOf(files['mid.npy'], Float32Array), [-9, -18, -27, -36, -45, -54, -63, -72, -81]);
  });
}

/** Two samples of every dtype, its ends among them; half floats as their bits: 1, -0, the largest, NaN. */
const OF_EVERY_DTYPE = {
  bool: Uint8Array.of(0, 1, 1, 0),
  int8: Int8Array.of(-128, 127, 0, -1),
  uint8: Uint8Array.of(0, 255, 1, 2),
  int16: Int16Array.of(-32768, 32767, 0, -1),
  uint16: Uint16Array.of(0, 65535, 1, 2),
  int32: Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0, -1),
  uint32: Uint32Array.of(0, 2 ** 32 - 1, 1, 2),
  int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n),
  uint64: BigUint64Array.of(0n, 2n ** 64n - 1n, 1n, 2n),
  float16: Uint16Array.of(0x3c00, 0x8000, 0x7bff, 0x7e00),
  float32: Float32Array.of(1 / 3, -0, Infinity, NaN),
  float64: Float64Array.of(1 / 3, 1e300, -Infinity, NaN),
};

test('tensors of every dtype come and go as they are', async () => {
  const dtypes = Object.keys(OF_EVERY_DTYPE);
  const files = Object.fromEntries(Object.entries(OF_EVERY_DTYPE).flatMap(([dtype, values]) => [
    [`${dtype}.npy`, npy(values)], [`${dtype}_out.npy`, npy(values.map(() => values.at(-1)))],
  ]));
  const messages = await runOnnx('dtypes.onnx', {
    stop: 2,
    inputs: dtypes.map((dtype) => port(dtype, dtype, [2])),
    outputs: dtypes.map((dtype) => port(`${dtype}_out`, dtype, [2])),
  }, files);
  assert.deepEqual(messages.at(-1), { type: 'done' });
  for (const dtype of dtypes) assert.deepEqual(files[`${dtype}_out.npy`], files[`${dtype}.npy`], dtype);
});

for (const { produced, values, wanted, expected, reason } of [
  { produced: 'float16', values: Uint16Array.of(0x3c00, 0xc000), wanted: 'float32', expected: Float32Array.of(1, -2) },
  { produced: 'float64', values: Float64Array.of(0.5, NaN), wanted: 'float32', expected: Float32Array.of(0.5, NaN) },
  { produced: 'int64', values: BigInt64Array.of(-5n, 7n), wanted: 'int32', expected: Int32Array.of(-5, 7) },
  { produced: 'int32', values: Int32Array.of(5, 7), wanted: 'uint64', expected: BigUint64Array.of(5n, 7n) },
  {
    produced: 'float64', values: Float64Array.of(0.5, 0.1), wanted: 'float32',
    reason: "the output 'float64_out' holds 0.1, which float32, the reference's dtype, cannot hold; run this variant "
      + 'in python only',
  },
  {
    produced: 'int64', values: BigInt64Array.of(5n, 2n ** 31n), wanted: 'int32',
    reason: "the output 'int64_out' holds 2147483648, which int32, the reference's dtype, cannot hold; run this "
      + 'variant in python only',
  },
  {
    produced: 'float32', values: Float32Array.of(0.5, 1), wanted: 'float16',
    reason: "the output 'float32_out' is float32, and the reference's is float16, into which it cannot be converted "
      + 'without loss; run this variant in python only',
  },
]) {
  test(`gives ${produced} as ${wanted} ${expected ? 'without loss' : 'never with a loss'}`, async () => {
    const dtypes = Object.keys(OF_EVERY_DTYPE);
    const given = { ...OF_EVERY_DTYPE, [produced]: values };
    const output = port(`${produced}_out`, wanted, [2]);
    const files = Object.fromEntries(dtypes.map((dtype) => [`${dtype}.npy`, npy(given[dtype])]));
    files[output.file] = new Uint8Array(128 + 16);
    const inputs = dtypes.map((dtype) => port(dtype, dtype, [2]));
    const messages = await runOnnx('dtypes.onnx', { inputs, outputs: [output] }, files);
    assert.deepEqual(messages.at(-1), expected ? { type: 'done' } : { type: 'failed', reason });
    if (expected) assert.deepEqual(files[output.file].subarray(0, 128 + expected.byteLength), npy(expected));
  });
}

const XY = {
  inputs: [port('x', 'float32', [2])], outputs: [port('y', 'float32', [2])], stop: 2,
};
const xyFiles = () => ({ 'x.npy': npy(Float32Array.of(1, 2, 3, 4)), 'y.npy': npy(new Float32Array(4)) });

test('dynamic quantization sees one sample at a time', async () => {
  const files = { 'x.npy': npy(Float32Array.of(1, 10, 100, 1000)), 'y.npy': npy(new Float32Array(4)) };
  await runOnnx('dynamic.onnx', XY, files);
  // Steps of 10/255 for the one, and of 1000/255 for the other; together both would have the larger ones.
  const expected = [10 / 255 * 26, 10, 1000 / 255 * 26, 1000];
  const answer = elementsOf(files['y.npy'], Float32Array);
  answer.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-3, `${answer} and not ${expected}`));
});

test('external data are what the job says', async () => {
  const options = { external_data: [{ path: 'external.bin', file: 'elsewhere' }] };
  const files = { ...xyFiles(), elsewhere: new Uint8Array(fixture('external.bin')) };
  const messages = await runOnnx('external.onnx', { ...XY, options }, files);
  assert.deepEqual(messages.at(-1), { type: 'done' });
  assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [7, 10, 15, 22]);
});

for (const { name, file, fields = {}, files = {}, reason, missingOp } of [
  {
    name: 'an op that lacks a kernel for its dtypes',
    file: 'lacks_kernel.onnx',
    reason: "ONNX Runtime in test-wasm lacks the op 'Relu' of opset 14 for the dtypes that node 'bent' gives it",
    missingOp: 'Relu',
  },
  {
    name: "an op of somebody's own domain",
    file: 'custom_op.onnx',
    reason: "ONNX Runtime in test-wasm lacks the op 'Fancy' of the domain 'my.ops', which node 'y' needs; export the "
      + "model with ops of ONNX's own",
    missingOp: 'Fancy',
  },
  {
    name: 'an op that there is none of, of a node without a name',
    file: 'unknown_op.onnx',
    reason: "opset 17 has no op 'Nope', which the node of 'y' needs; export the model with ops of ONNX's own",
    missingOp: 'Nope',
  },
  {
    name: 'an opset of the future',
    file: 'future_opset.onnx',
    reason: "the file is of opset 99 of 'ai.onnx', and ONNX Runtime in test-wasm knows those up to 26; convert the "
      + 'model with an older opset',
  },
  {
    name: 'a dtype that JavaScript has no tensors for',
    file: 'bfloat16.onnx',
    reason: "the file has inputs or outputs of ONNX's data type 16, which JavaScript has no tensors for; convert the "
      + 'model with float32 inputs and outputs, or run this file in python only',
  },
  {
    name: 'a file that is no model',
    file: 'junk.onnx',
    files: { 'junk.onnx': new TextEncoder().encode('hello') },
    reason: 'the file is no ONNX model, or was cut short; convert the model again',
  },
  {
    name: 'a file that is cut short',
    file: 'open_ports.onnx',
    files: { 'open_ports.onnx': fixture('open_ports.onnx').subarray(0, 100) },
    reason: 'the file is no ONNX model, or was cut short; convert the model again',
  },
  {
    name: 'external data that the job does not name',
    file: 'external.onnx',
    reason: "the model's external data 'external.bin' are missing; copy the model again, with all files that belong to "
      + 'it',
  },
  {
    name: 'external data that are cut short',
    file: 'external.onnx',
    fields: { options: { external_data: [{ path: 'external.bin', file: 'short' }] } },
    files: { short: new Uint8Array(15) },
    reason: "the model's external data 'external.bin' are cut short; copy the model again, with all files that belong "
      + 'to it',
  },
  {
    name: 'a batch that is fixed at another size',
    file: 'fixed_batch.onnx',
    reason: "the file's input 'x' takes [4, 2], and a sample is [1, 2]; give samples of that shape, or convert the "
      + 'model with an open batch, or one of 1',
  },
  {
    name: 'samples of another shape',
    file: 'taps.onnx',
    fields: { inputs: [port('x', 'float32', [2, 1])] },
    reason: "the file's input 'x' takes [batch, 2], and a sample is [1, 2, 1]; give samples of that shape, or convert "
      + 'the model with an open batch, or one of 1',
  },
  {
    name: 'samples of another dtype',
    file: 'taps.onnx',
    fields: { inputs: [port('x', 'float64', [2])] },
    reason: "the file's input 'x' takes float32, and the samples are float64; give samples of that dtype, or convert "
      + 'the model with its own dtypes',
  },
  {
    name: 'an input that nothing feeds',
    file: 'taps.onnx',
    fields: { inputs: [port('x', 'float32', [2], 'z')] },
    reason: "the file's input 'x' is fed by none of the model's inputs; the file was made from another model",
  },
  {
    name: 'an input that the file does not have',
    file: 'taps.onnx',
    fields: { inputs: [port('x', 'float32', [2]), port('mask', 'float32', [2])] },
    reason: "the input 'mask' is called 'mask' in the job, and the file's inputs are 'x'; convert the model again",
  },
  {
    name: 'an output that the file does not have',
    file: 'external.onnx',
    fields: {
      outputs: [port('y', 'float32', [2], 'scores')],
      options: { external_data: [{ path: 'external.bin', file: 'elsewhere' }] },
    },
    files: { elsewhere: new Uint8Array(fixture('external.bin')) },
    reason: "the output 'y' is called 'scores' in the job, and the file's outputs are 'y'; convert the model again",
  },
  {
    name: 'an output of another shape',
    file: 'taps.onnx',
    fields: { outputs: [port('y', 'float32', [3])] },
    reason: "the output 'y' has the shape [1, 2], and the reference's is [1, 3]; a variant must give what the model "
      + 'gives',
  },
  {
    name: 'a model that breaks off while it runs',
    file: 'wrong_shape.onnx',
    reason: 'the onnx library could not run this variant on the backend wasm: input_shape_size == requested_shape_size '
      + 'was false. The input tensor cannot be reshaped to the requested shape. Input shape:{1,2}, requested '
      + 'shape:{5,7}',
  },
]) {
  test(`fails on ${name}`, async () => {
    const inputs = file === 'lacks_kernel.onnx' ? [port('x', 'int16', [2])] : XY.inputs;
    const messages = await runOnnx(file, { ...XY, inputs, ...fields }, { ...xyFiles(), ...files });
    const last = messages.at(-1);
    assert.deepEqual(last, { type: 'failed', reason, ...(missingOp && { missing_op: missingOp }) });
  });
}

/** Ask a fixture for taps, reading before asking again; its messages, and what each answer held. */
async function tapOnnx(file, fields, taps, ranges) {
  const answers = [];
  const platform = memoryPlatform({ [file]: fixture(file), ...xyFiles() });
  const files = { scratch: new Uint8Array(0) };
  platform.writeScratch = (name, position, bytes) => {
    const grown = new Uint8Array(Math.max(files.scratch.length, position + bytes.length));
    grown.set(files.scratch);
    grown.set(bytes, position);
    files.scratch = grown;
  };
  platform.requests = async function* requests() {
    for (const [start, stop] of ranges) {
      yield { start, stop };
      answers.push(contentOf(platform.messages.at(-1), files.scratch));
    }
  };
  const asked = { file: 'scratch', names: Object.keys(taps), positions: Object.values(taps) };
  await answerRequests({ ...onnxJob(file, fields), taps: asked }, EXECUTORS, platform);
  return { messages: platform.messages, answers };
}

const INNER = { relu: 1, shape: 2, turned: 3, constant: 4, half: 5, whole: 6, gone: 7 };

test('outputs appended to an .onnx file are read by their place, and what is no batch is listed', async () => {
  const { messages, answers } = await tapOnnx('taps.onnx', { ...XY, batch_size: 2 }, INNER, [[0, 2], [1, 2]]);
  const notBatch = (shape) => `the first dimension of its shape is not the batch: for one sample it is [${shape}]`;
  for (const { failed } of messages.slice(1, 3)) {
    assert.deepEqual(failed, [
      { name: 'gone', reason: "it is none of the file's 7 outputs" },
      { name: 'shape', reason: notBatch('2') },
      { name: 'turned', reason: notBatch('2, 1') },
      { name: 'constant', reason: notBatch('3') },
    ]);
  }
  assert.deepEqual(messages[1].tensors.map(({ name, computed_in, inexact }) => [name, computed_in, inexact]), [
    ['relu', 'float32', 0], ['half', 'float16', 0], ['whole', 'int64', 0],
  ]);
  assert.deepEqual(answers.map(({ taps }) => taps), [
    { relu: [1, 2, 3, 4], half: [1, 2, 3, 4], whole: [1, 2, 3, 4] },
    { relu: [3, 4], half: [3, 4], whole: [3, 4] },
  ]);
  assert.deepEqual(messages.at(-1), { type: 'done' });
});

test('outputs are those of an untapped run, bit for bit', async () => {
  const files = xyFiles();
  await runOnnx('taps.onnx', XY, files);
  const { answers } = await tapOnnx('taps.onnx', XY, INNER, [[0, 2]]);
  assert.deepEqual(answers[0].outputs.y, elementsOf(files['y.npy'], Float32Array));
});

test('a file that runs one sample only, whatever it says of its batch, is read inside', async () => {
  const { messages, answers } = await tapOnnx('only_one.onnx', { ...XY, batch_size: 2 }, { inner: 1 }, [[0, 2]]);
  assert.deepEqual(messages.at(-1), { type: 'done' });
  assert.deepEqual(answers, [{ taps: { inner: [1, 2, 3, 4] }, outputs: { y: [-1, -2, -3, -4] } }]);
});

for (const batchSize of [1, 2]) {
  test(`a tensor whose shape depends on the sample is listed, in batches of ${batchSize}`, async () => {
    const fields = { ...XY, batch_size: batchSize };
    const { messages, answers } = await tapOnnx('changing.onnx', fields, { inner: 1 }, [[0, 2]]);
    const reason = 'its shape changes: a sample was [1] before, and is [2] now';
    assert.deepEqual(messages[1].failed, [{ name: 'inner', reason }]);
    assert.deepEqual(answers, [{ taps: {}, outputs: { y: [-1, -2, -3, -4] } }]);
  });
}

test('starts without a variant', async () => {
  await startOnnxRuntime(RUNTIME);
});
