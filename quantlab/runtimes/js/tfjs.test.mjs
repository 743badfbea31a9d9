import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  constant, elementsOf, graphModel, HEADER, node, npy, placeholder, runTfjs, tensor, tf,
} from './fixtures/jobs.mjs';

const DENSE = graphModel(
  [
    placeholder('x', 'float32', [2]), constant('kernel'),
    node('y', 'MatMul', ['x', 'kernel'], { transpose_a: { b: false }, transpose_b: { b: false } }),
  ],
  { kernel: { values: [1, 2, 3, 4], shape: [2, 2] } },
);
const DENSE_PORTS = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])] };
const FIVE = Float32Array.from([1, 0, 0, 1, 1, 1, 2, 0, 0, 2]);
const FIVE_OUT = [1, 2, 3, 4, 4, 6, 2, 4, 6, 8];

const denseFiles = () => ({ ...DENSE, 'x.npy': npy(FIVE), 'y.npy': npy(new Float32Array(10)) });
const reasonOf = (messages) => messages.at(-1).reason;

for (const backend of ['wasm', 'cpu']) {
  test(`batches and a remainder on ${backend}`, async () => {
    const files = denseFiles();
    const messages = await runTfjs({ ...DENSE_PORTS, backend, batch_size: 2, stop: 5 }, files);
    const simd = backend === 'wasm' ? { wasm_simd: 'yes' } : {};
    assert.deepEqual(messages, [
      { type: 'ready', ran_on: `test-${backend}`, environment: { tfjs: '4.22.0', backend, ...simd } },
      { type: 'progress', done: 2, seconds: 0, batch: 2 },
      { type: 'progress', done: 4, seconds: 0, batch: 2 },
      { type: 'progress', done: 5, seconds: 0, batch: 1 },
      { type: 'repeated', way: 'again', samples: 2, differing: 0, largest: 0, scale: 4 },
      { type: 'done' },
    ]);
    assert.deepEqual(elementsOf(files['y.npy'], Float32Array), FIVE_OUT);
  });
}

test('a job that starts later leaves what was written alone', async () => {
  const files = denseFiles();
  const messages = await runTfjs({ ...DENSE_PORTS, batch_size: 2, start: 2, stop: 5 }, files);
  assert.deepEqual(messages.filter(({ type }) => type === 'progress').map(({ done }) => done), [4, 5]);
  assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [0, 0, 0, 0, ...FIVE_OUT.slice(4)]);
});

test('a job with nothing left is done', async () => {
  const messages = await runTfjs({ ...DENSE_PORTS, start: 5, stop: 5 }, denseFiles());
  assert.deepEqual(messages.map(({ type }) => type), ['ready', 'done']);
});

test('memory does not grow with the samples', async () => {
  const counts = [];
  await runTfjs({ ...DENSE_PORTS, batch_size: 1, stop: 5 }, denseFiles(), () => counts.push(tf.memory().numTensors));
  const [ready, ...later] = counts.slice(0, -1);
  assert.deepEqual(later, Array(6).fill(ready)); // five batches, and the first of them once more
  assert.equal(counts.at(-1), ready - 1, 'the weights are gone once it is done');
});

test('ten jobs leave no more tensors than one', async () => {
  const held = [];
  for (let i = 0; i < 10; i += 1) {
    await runTfjs({ ...DENSE_PORTS, stop: 5 }, denseFiles());
    held.push(tf.memory());
  }
  assert.deepEqual(held, Array(10).fill(held[0]));
});

test('an output that is a weight of the model outlives its batch', async () => {
  const nodes = [placeholder('x', 'float32', [1]), constant('kernel')];
  const files = {
    ...graphModel(nodes, { kernel: { values: [7, 8], shape: [2, 1] } }),
    'x.npy': npy(new Float32Array(4)), 'kernel.npy': npy(new Float32Array(4)),
  };
  const ports = { inputs: [tensor('x', 'float32', [1])], outputs: [tensor('kernel', 'float32', [1])] };
  const messages = await runTfjs({ ...ports, batch_size: 2, stop: 4 }, files);
  assert.equal(messages.at(-1).type, 'done');
  assert.deepEqual(elementsOf(files['kernel.npy'], Float32Array), [7, 8, 7, 8]);
});

test('two outputs, one of them the second of its node, in the job\'s order', async () => {
  const nodes = [
    placeholder('x', 'float32', [2]),
    node('parts', 'Unpack', ['x'], { axis: { i: '1' }, num: { i: '2' } }),
    node('negative', 'Neg', ['x']),
  ];
  const files = {
    ...graphModel(nodes),
    'x.npy': npy(FIVE),
    'second.npy': npy(new Float32Array(5)),
    'negative.npy': npy(new Float32Array(10)),
  };
  await runTfjs({
    stop: 5,
    inputs: [tensor('x', 'float32', [2])],
    outputs: [tensor('second', 'float32', [], 1, 'parts:1'), tensor('negative', 'float32', [2], 0)],
  }, files);
  assert.deepEqual(elementsOf(files['second.npy'], Float32Array), [0, 1, 1, 0, 2]);
  assert.deepEqual(elementsOf(files['negative.npy'], Float32Array), Array.from(FIVE, (value) => -value));
});

test('a graph with branches runs asynchronously', async () => {
  const nodes = [
    placeholder('x', 'float32', [2]), placeholder('which', 'bool', []),
    node('any', 'Any', ['which', 'axes'], { keep_dims: { b: false } }),
    node('axes', 'Const', [], { dtype: { type: 'DT_INT32' } }),
    node('switch', 'Switch', ['x', 'any']),
    node('off', 'Neg', ['switch:0']), node('on', 'Square', ['switch:1']),
    node('y', 'Merge', ['off', 'on'], { N: { i: '2' } }),
  ];
  const model = graphModel(nodes);
  const document = JSON.parse(model['model/model.json']);
  document.weightsManifest[0].weights = [{ name: 'axes', shape: [1], dtype: 'int32' }];
  const files = {
    'model/model.json': JSON.stringify(document), 'model/shard.bin': new Uint8Array(4),
    'x.npy': npy(Float32Array.of(1, 2, 3, 4)), 'which.npy': npy(Uint8Array.of(0, 1)), 'y.npy': npy(new Float32Array(4)),
  };
  const counts = [];
  const messages = await runTfjs({
    batch_size: 1, stop: 2,
    inputs: [tensor('x', 'float32', [2]), tensor('which', 'bool', [], 1)],
    outputs: [tensor('y', 'float32', [2])],
  }, files, () => counts.push(tf.memory().numTensors));
  assert.deepEqual(messages.map(({ type }) => type), ['ready', 'progress', 'progress', 'repeated', 'done']);
  assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [-1, -2, 9, 16]);
  assert.deepEqual(counts.slice(1, 3), [counts[0], counts[0]], 'intermediate tensors are gone after each batch');
});

const einsum = node('model/attention/einsum', 'Einsum', ['x', 'kernel'], {
  equation: { s: Buffer.from('ij,jk->ik').toString('base64') }, N: { i: '2' },
});
const spectrum = node('model/spectrum', 'RFFT', ['x', 'length']);

for (const { name, nodes, output, weights = {}, reason, missing } of [
  {
    name: 'the op that wasm lacks, and its node',
    nodes: [placeholder('x', 'float32', [2]), constant('kernel'), einsum],
    weights: { kernel: { values: [1, 2, 3, 4], shape: [2, 2] } },
    output: 'model/attention/einsum:0',
    reason: "the wasm backend of tfjs lacks the op 'Einsum', which node 'model/attention/einsum' needs",
    missing: 'Einsum',
  },
  {
    name: 'a node that needs a kernel of another name',
    nodes: [placeholder('x', 'float32', [2]), constant('length'), spectrum],
    weights: { length: { values: [2], shape: [1] } },
    output: 'model/spectrum:0',
    reason: "the wasm backend of tfjs lacks the op 'Complex', which node 'model/spectrum' needs",
    missing: 'Complex',
  },
]) {
  test(`names ${name}`, async () => {
    const files = { ...graphModel(nodes, weights), 'x.npy': npy(FIVE), 'y.npy': npy(new Float32Array(10)) };
    const ports = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2], 0, output)] };
    const messages = await runTfjs({ ...ports, stop: 5 }, files);
    assert.deepEqual(messages.map(({ type }) => type), ['ready', 'failed']);
    assert.deepEqual(messages.at(-1), { type: 'failed', reason, missing_op: missing });
  });
}

test('an error of the library names the backend', async (context) => {
  context.mock.method(console, 'error', () => {});
  const files = { ...denseFiles(), 'x.npy': npy(new Float32Array(15)) };
  const messages = await runTfjs({ ...DENSE_PORTS, inputs: [tensor('x', 'float32', [3])], stop: 5 }, files);
  assert.deepEqual(messages.at(-1), {
    type: 'failed',
    reason: 'the tfjs library could not run this variant on the backend wasm: The shape of dict[\'x\'] provided in '
      + 'model.execute(dict) must be [-1,2], but was [5,3]',
  });
});

for (const path of [
  '../shard.bin', '/shard.bin', 'a/../../shard.bin', '..\\shard.bin', '%2E%2e/shard.bin', 'a%2F..%2f..',
  'file:///shard.bin', 'C:\\shard.bin',
]) {
  test(`refuses the weight file ${path}`, async () => {
    const files = denseFiles();
    files['model/model.json'] = files['model/model.json'].replace('"shard.bin"', JSON.stringify(path));
    assert.deepEqual(await runTfjs({ ...DENSE_PORTS, stop: 5 }, files), [{
      type: 'failed',
      reason: `model.json names the weight file '${path}', which lies outside the variant's folder; nothing outside is `
        + 'read, so convert the model again',
    }]);
  });
}

/** The files of a graph-model with three weights of two bytes in shards of these sizes, named by a JSON file. */
function shardedFiles(sizes) {
  const nodes = [
    placeholder('x', 'float32', [1]), ...['a', 'b', 'c'].map(constant),
    node('ab', 'AddV2', ['a', 'b']), node('abc', 'AddV2', ['ab', 'c']), node('y', 'Mul', ['x', 'abc']),
  ];
  const document = JSON.parse(graphModel(nodes)['model/model.json']);
  const halves = new Uint8Array(Uint16Array.of(0x3c00, 0x4000, 0x4400).buffer); // 1, 2 and 4
  const stored = { shape: [], dtype: 'float32', quantization: { dtype: 'float16' } };
  let start = 0;
  const shards = sizes.map((size) => halves.slice(start, start += size));
  document.weightsManifest = [{
    paths: shards.map((_, i) => `shard${i}`), weights: ['a', 'b', 'c'].map((name) => ({ name, ...stored })),
  }];
  delete document.format; // as early converters
  return {
    'elsewhere/old.json': JSON.stringify(document),
    ...Object.fromEntries(shards.map((shard, i) => [`elsewhere/${i}`, shard])),
    'x.npy': npy(Float32Array.of(1)), 'y.npy': npy(new Float32Array(1)),
  };
}

/** A job whose artifact is a JSON file; its shards are where the job says. */
const listed = (count) => ({
  artifact: 'elsewhere/old.json', stop: 1,
  inputs: [tensor('x', 'float32', [1])], outputs: [tensor('y', 'float32', [1])],
  options: {
    external_data: [
      { path: 'old.json', file: 'elsewhere/old.json' },
      ...Array.from({ length: count }, (_, i) => ({ path: `shard${i}`, file: `elsewhere/${i}` })),
    ],
  },
});

for (const sizes of [[6], [4, 2], [1, 3, 2]]) {
  test(`reads a JSON file of another name and its shards of ${sizes} bytes`, async () => {
    const files = shardedFiles(sizes);
    const messages = await runTfjs(listed(sizes.length), files);
    assert.equal(messages.at(-1).type, 'done', reasonOf(messages));
    assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [7]);
  });
}

test('tfjs reads zeros from a last shard that is longer, which quantlab notes', async () => {
  const files = shardedFiles([2, 4]);
  await runTfjs(listed(2), files);
  assert.deepEqual(elementsOf(files['y.npy'], Float32Array), [3]);
});

test('refuses a shard that the job does not list', async () => {
  const messages = await runTfjs(listed(1), shardedFiles([4, 2]));
  assert.deepEqual(messages, [{
    type: 'failed',
    reason: "old.json names the weight file 'shard1', which it did not name before; analyze it again",
  }]);
});

for (const { name, change, reason } of [
  {
    name: 'a short shard',
    change: { 'model/shard.bin': new Uint8Array(12) },
    reason: "'shard.bin' holds 12 bytes, and model.json describes 16; a copy was cut short or mixed with another, so "
      + 'convert the model again',
  },
  {
    name: 'a long shard',
    change: { 'model/shard.bin': new Uint8Array(20) },
    reason: "'shard.bin' holds 20 bytes, and model.json describes 16; a copy was cut short or mixed with another, so "
      + 'convert the model again',
  },
  {
    name: 'inputs that the model computes itself when it is first called',
    change: {
      'model/model.json': JSON.stringify({
        ...JSON.parse(DENSE['model/model.json']),
        modelInitializer: { node: [] }, signature: { inputs: { kernel: { name: 'kernel:0', resourceId: '7' } } },
      }),
    },
    reason: 'the model computes weights in a modelInitializer when it is first called, and TensorFlow.js frees them if '
      + 'that is inside tf.tidy; store them in the main graph, as tfjs-uint8-per-channel does',
  },
  {
    name: 'a layers-model',
    change: { 'model/model.json': '{"format": "layers-model", "modelTopology": {}}' },
    reason: 'model.json holds a layers-model, and this is to be a graph-model; convert the model with '
      + 'tensorflowjs_converter --output_format=tfjs_graph_model',
  },
  {
    name: 'a model.json cut short',
    change: { 'model/model.json': '' },
    reason: 'model.json is not JSON (Unexpected end of JSON input); convert the model again',
  },
]) {
  test(`refuses ${name}`, async () => {
    const messages = await runTfjs({ ...DENSE_PORTS, stop: 5 }, { ...denseFiles(), ...change });
    assert.deepEqual(messages, [{ type: 'failed', reason }]);
  });
}

for (const { name, fields, reason } of [
  {
    name: 'an output of another shape',
    fields: { outputs: [tensor('y', 'float32', [3])] },
    reason: "the output 'y' has the shape [5, 2], and the reference's is [5, 3]; a variant must give what the model "
      + 'gives',
  },
  {
    name: 'an output that would pass through float32',
    fields: { outputs: [tensor('y', 'int64', [2])] },
    reason: "the output 'y' is float32, and the reference's is int64, into which it cannot be converted without loss; "
      + 'run this variant in python only',
  },
  {
    name: 'a dtype that is no number',
    fields: { inputs: [tensor('x', 'str', [2])] },
    reason: "'x' is of the dtype str, and only numbers and bool can be fed to a runtime in JavaScript",
  },
  {
    name: 'a backend that is not there',
    fields: { backend: 'webgl' },
    reason: "tfjs could not start its backend 'webgl'; 'quantlab doctor' tells which run here",
  },
  {
    name: 'an empty batch',
    fields: { batch_size: 0 },
    reason: 'a batch has at least one sample, and the job asks for 0',
  },
  {
    name: 'a format that only Python runs',
    fields: { format: 'onnx' },
    reason: "variants of the format 'onnx' do not run in test; those of tfjs and tfjs-layers do",
  },
]) {
  test(`fails on ${name}`, async () => {
    const messages = await runTfjs({ ...DENSE_PORTS, stop: 5, ...fields }, denseFiles());
    assert.deepEqual(messages.at(-1), { type: 'failed', reason });
  });
}

for (const { name, dtype, op = 'Identity', samples, expected, output = dtype, Elements = samples.constructor } of [
  { name: 'float32', dtype: 'float32', op: 'Neg', samples: Float32Array.of(1.5, NaN), expected: [-1.5, NaN] },
  {
    name: 'int32 beyond what float32 counts',
    dtype: 'int32', samples: Int32Array.of(16777217, -16777217), expected: [16777217, -16777217],
  },
  { name: 'bool', dtype: 'bool', op: 'LogicalNot', samples: Uint8Array.of(0, 1), expected: [1, 0] },
  { name: 'uint8', dtype: 'uint8', samples: Uint8Array.of(0, 255), expected: [0, 255] },
  { name: 'int8', dtype: 'int8', samples: Int8Array.of(-128, 127), expected: [-128, 127] },
  { name: 'int16', dtype: 'int16', samples: Int16Array.of(-300, 300), expected: [-300, 300] },
  {
    name: 'int64 at the ends of int32',
    dtype: 'int64',
    samples: BigInt64Array.of(-2147483648n, 2147483647n),
    expected: [-2147483648n, 2147483647n],
  },
  {
    name: 'float16, smallest and largest',
    dtype: 'float16',
    samples: Uint16Array.of(0x8001, 0x7bff),
    expected: [-(2 ** -24), 65504],
    output: 'float32',
    Elements: Float32Array,
  },
  {
    name: 'float64',
    dtype: 'float64',
    samples: Float64Array.of(0.1, Infinity),
    expected: [Math.fround(0.1), Infinity],
  },
]) {
  test(`feeds ${name}`, async () => {
    const files = {
      ...graphModel([placeholder('x', dtype, []), node('y', op, ['x'])]),
      'x.npy': npy(samples), 'y.npy': new Uint8Array(HEADER + 2 * Elements.BYTES_PER_ELEMENT),
    };
    const ports = { inputs: [tensor('x', dtype, [])], outputs: [tensor('y', output, [])] };
    const messages = await runTfjs({ ...ports, stop: 2 }, files);
    assert.equal(messages.at(-1).type, 'done', reasonOf(messages));
    assert.deepEqual(elementsOf(files['y.npy'], Elements), expected);
  });
}

for (const { name, dtype, samples, output = dtype, reason } of [
  {
    name: 'int64 beyond int32',
    dtype: 'int64', samples: BigInt64Array.of(1n, 2147483648n),
    reason: "the input 'x' holds 2147483648, and tfjs computes int64 in int32, which ends at 2147483647; leave such "
      + 'samples out, or run the model in python only',
  },
  {
    name: 'float64 beyond float32',
    dtype: 'float64', samples: Float64Array.of(1, 1e39),
    reason: "the input 'x' holds 1e+39, which float32 cannot hold, and tfjs computes float64 in float32; scale the "
      + 'samples down, or run the model in python only',
  },
  {
    name: 'an int32 that the reference\'s uint8 cannot hold',
    dtype: 'int32', samples: Int32Array.of(255, 256), output: 'uint8',
    reason: "the output 'y' holds 256, which uint8, the reference's dtype, cannot hold; run this variant in python "
      + 'only',
  },
]) {
  test(`fails on ${name}`, async () => {
    const files = {
      ...graphModel([placeholder('x', dtype, []), node('y', 'Identity', ['x'])]),
      'x.npy': npy(samples), 'y.npy': new Uint8Array(HEADER + 16),
    };
    const ports = { inputs: [tensor('x', dtype, [])], outputs: [tensor('y', output, [])] };
    assert.deepEqual((await runTfjs({ ...ports, stop: 2 }, files)).at(-1), { type: 'failed', reason });
  });
}
