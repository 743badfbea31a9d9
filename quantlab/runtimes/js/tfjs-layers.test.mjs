import assert from 'node:assert/strict';
import { test } from 'node:test';

import { elementsOf, npy, runTfjs, tapTfjs, tensor, tf } from './fixtures/jobs.mjs';

const layer = (kind, name, config, ...from) => ({
  class_name: kind, name, config: { name, ...config },
  inbound_nodes: from.map((source) => [[source, 0, 0, {}]]),
});

/** x → twice → twice again → scores, where `twice` doubles and adds one. */
const LAYERS = [
  layer('InputLayer', 'x', { batch_input_shape: [null, 2], dtype: 'float32' }),
  {
    ...layer('Dense', 'twice', { units: 2, activation: 'linear', use_bias: true }),
    inbound_nodes: [[['x', 0, 0, {}]], [['twice', 0, 0, {}]]],
  },
  {
    ...layer('Activation', 'scores', { activation: 'relu' }),
    inbound_nodes: [[['twice', 1, 0, {}]]],
  },
];

function layersModel(layers = LAYERS) {
  const weights = Float32Array.of(2, 0, 0, 2, 1, -1);
  const config = { name: 'model', layers, input_layers: [['x', 0, 0]], output_layers: [['scores', 0, 0]] };
  return {
    'model/model.json': JSON.stringify({
      format: 'layers-model',
      modelTopology: { keras_version: '2.19.0', model_config: { class_name: 'Functional', config } },
      weightsManifest: [{
        paths: ['shard.bin'],
        weights: [
          { name: 'twice/kernel', shape: [2, 2], dtype: 'float32' }, { name: 'twice/bias', shape: [2], dtype: 'float32' },
        ],
      }],
    }),
    'model/shard.bin': new Uint8Array(weights.buffer),
    'x.npy': npy(Float32Array.of(1, 2, 0, 0, -1, 5)),
    'scores.npy': npy(new Float32Array(6)),
  };
}

const PORTS = {
  format: 'tfjs-layers', inputs: [tensor('x', 'float32', [2])], outputs: [tensor('scores', 'float32', [2])],
  batch_size: 2, stop: 3,
};
const SCORES = [7, 5, 3, 0, 0, 17];

for (const backend of ['wasm', 'cpu']) {
  test(`a layers-model in batches with a remainder on ${backend}`, async () => {
    const files = layersModel();
    const messages = await runTfjs({ ...PORTS, backend }, files);
    assert.deepEqual(messages.map(({ type, done }) => done ?? type), ['ready', 2, 3, 'repeated', 'done']);
    assert.equal(messages[0].ran_on, `test-${backend}`);
    assert.deepEqual(elementsOf(files['scores.npy'], Float32Array), SCORES);
  });
}

test('memory does not grow with the samples of a layers-model', async () => {
  const counts = [];
  const before = tf.memory().numTensors;
  await runTfjs({ ...PORTS, batch_size: 1 }, layersModel(), () => counts.push(tf.memory().numTensors));
  const [ready, ...later] = counts.slice(0, -1);
  assert.deepEqual(later, Array(4).fill(ready));
  assert.equal(counts.at(-1), before, 'the weights are gone once it is done');
});

test('layers are read by name, each call of one by itself, and an output among them', async () => {
  const names = ['twice', 'twice:1', 'scores', 'nowhere', 'twice:2'];
  const { messages, answers } = await tapTfjs(PORTS, layersModel(), names, [[0, 3]]);
  assert.deepEqual(answers, [{
    taps: { twice: [3, 3, 1, -1, -1, 9], 'twice:1': [7, 5, 3, -3, -1, 17], scores: SCORES },
    outputs: { scores: SCORES },
  }]);
  const reason = 'the model has no layer of this name';
  assert.deepEqual(messages.at(-2).failed, [{ name: 'nowhere', reason }, { name: 'twice:2', reason }]);
});

for (const { name, change, reason } of [
  {
    name: 'a graph-model',
    change: { 'model/model.json': '{"format": "graph-model", "modelTopology": {}}' },
    reason: 'model.json holds a graph-model, and this is to be a layers-model; convert the model with '
      + 'tensorflowjs_converter --output_format=tfjs_layers_model',
  },
  {
    name: 'weights alone',
    change: { 'model/model.json': '{"format": "layers-model", "weightsManifest": []}' },
    reason: 'model.json holds weights alone, and this is to be a layers-model; convert the model with '
      + 'tensorflowjs_converter --output_format=tfjs_layers_model',
  },
  {
    name: 'a shard cut short',
    change: { 'model/shard.bin': new Uint8Array(23) },
    reason: "'shard.bin' holds 23 bytes, and model.json describes 24; a copy was cut short or mixed with another, so "
      + 'convert the model again',
  },
  {
    name: 'a shard path that climbs',
    change: { 'model/model.json': layersModel()['model/model.json'].replace('shard.bin', '../shard.bin') },
    reason: "model.json names the weight file '../shard.bin', which lies outside the variant's folder; nothing outside "
      + 'is read, so convert the model again',
  },
]) {
  test(`a layers-model is refused: ${name}`, async () => {
    assert.deepEqual(await runTfjs(PORTS, { ...layersModel(), ...change }), [{ type: 'failed', reason }]);
  });
}

test('an op that the backend lacks is named with the layer', async () => {
  const files = layersModel(LAYERS.map((entry) => (
    entry.name === 'scores' ? { ...entry, config: { ...entry.config, activation: 'softsign' } } : entry)));
  const { kernelName } = tf.getKernel('Abs', 'wasm');
  const kernel = tf.getKernel(kernelName, 'wasm');
  tf.unregisterKernel('Abs', 'wasm');
  try {
    const messages = await runTfjs(PORTS, files);
    assert.deepEqual(messages.at(-1), {
      type: 'failed', reason: "the wasm backend of tfjs lacks the op 'Abs', which layer 'scores' needs",
      missing_op: 'Abs',
    });
  } finally {
    tf.registerKernel(kernel);
  }
});
