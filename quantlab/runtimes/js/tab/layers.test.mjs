import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compareTaps } from './layer-comparison.mjs';
import { layersOf } from './layer-names.mjs';
import { LayerSums } from './layer-sums.mjs';
import { listTaps } from './layer-taps.mjs';
import { compareLayers, rowsOf } from './layers.mjs';
import { memoryPlatform } from './memory.mjs';

/** @type {(nodes: [string, string, string[]][], format?: string) => any} */
function graph(nodes) {
  const topology = { node: nodes.map(([name, op, input]) => ({ name, op, input })) };
  const bytes = new TextEncoder().encode(JSON.stringify({ modelTopology: topology }));
  return { format: 'tfjs', files: new Map([['model.json', bytes]]) };
}

test('tensors are listed in the order of execution, without weights and what decodes them', () => {
  const taps = listTaps(graph([
    ['Identity', 'Identity', ['model/dense/Relu']],
    ['model/dense/Relu', 'Relu', ['model/dense/MatMul']],
    ['model/dense/MatMul', 'MatMul', ['x', 'q1']],
    ['q0', 'Const', []],
    ['q1', 'Mul', ['q0', 'q0']],
    ['x', 'Placeholder', []],
    ['wait', 'NoOp', ['^x']],
  ]));
  assert.deepEqual(taps, [
    { name: 'model/dense/MatMul', op: 'MatMul', layer: 'dense' },
    { name: 'model/dense/Relu', op: 'Relu', layer: 'dense' },
    { name: 'Identity', op: 'Identity', layer: 'dense' },
  ]);
});

test('a loop goes back to nodes before it', () => {
  const taps = listTaps(graph([
    ['x', 'Placeholder', []],
    ['enter', 'Enter', ['x']],
    ['merge', 'Merge', ['enter', 'next']],
    ['next', 'NextIteration', ['merge']],
    ['exit', 'Exit', ['merge']],
  ]));
  assert.deepEqual(taps.map(({ name }) => name), ['enter', 'merge', 'next', 'exit']);
});

test('a layers-model lists its layers, and each call of one', () => {
  const config = { layers: [
    { class_name: 'InputLayer', name: 'x', config: {}, inbound_nodes: [] },
    { class_name: 'Dense', name: 'dense', config: {}, inbound_nodes: [[], []] },
    { class_name: 'Add', name: 'add', config: {}, inbound_nodes: [[]] },
  ] };
  const bytes = new TextEncoder().encode(JSON.stringify({ modelTopology: { model_config: { class_name: 'Model', config } } }));
  const taps = listTaps(/** @type {any} */ ({ format: 'tfjs-layers', files: new Map([['model.json', bytes]]) }));
  assert.deepEqual(taps.map(({ name, op, layer }) => `${name} ${op} ${layer}`), [
    'dense Dense dense', 'dense:1 Dense dense', 'add Add add',
  ]);
});

test('names of layers as in the summary of the model', () => {
  const layers = layersOf([
    'StatefulPartitionedCall/model_1/block_1/batch_normalization_1/batchnorm/add_1',
    'StatefulPartitionedCall/model_1/dense_1/BiasAdd:0', 'StatefulPartitionedCall/Identity', 'Func/x/y',
  ]);
  assert.deepEqual([...layers.values()], ['block/batch_normalization', 'dense', '', '']);
});

test('sums of batches are those of all', () => {
  const [expected, actual] = [1, 2].map((seed) => Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i * seed)));
  const whole = new LayerSums(5);
  whole.add(expected, actual);
  const parts = new LayerSums(5);
  for (let at = 0; at < 5000; at += 500) parts.add(expected.subarray(at, at + 500), actual.subarray(at, at + 500));
  const [one, other] = [whole.figures(), parts.figures()];
  assert.deepEqual({ ...one, ...rounded(one) }, { ...other, ...rounded(other) });
});

/** @param {import('./layer-sums.mjs').LayerFigures} figures */
function rounded(figures) {
  const sums = /** @type {const} */ (
    ['mean_abs', 'rms', 'relative_rms', 'sqnr_db', 'cosine', 'bias', 'worst_channel_sqnr_db']);
  return Object.fromEntries(sums.map((name) => [name, figures[name]?.toPrecision(10)]));
}

/** @type {(taps: import('../run.mjs').Tap[], failed?: [string, string][]) => any} */
function executor(taps, failed = []) {
  return async () => ({
    backend: 'wasm', environment: {}, close: () => {}, predict: async () => assert.fail('nothing is predicted'),
    tap: async () => ({ outputs: [], taps, failed: new Map(failed), seconds: 0 }),
  });
}

const TAP = { name: 'a', shape: [2], computed_in: 'float32', values: Float32Array.of(3, 4, 3, 4), inexact: 0 };

test('tensors that cannot be compared have their reason', async () => {
  const tensors = new Map([['input/0', new Uint8Array(8)]]);
  const platform = memoryPlatform({ host: 'chromium', environment: {}, files: new Map(), tensors, emit: () => {} });
  const job = {
    format: 'float', artifact: '', backend: 'wasm', batch_size: 2, start: 0, stop: 2, options: {}, outputs: [],
    inputs: [{ name: 'x', file: 'input/0', offset: 0, shape: [], dtype: 'float32', tensor: 'x', position: 0 }],
    taps: { file: '', names: ['a', 'b', 'c', 'd', 'e'] },
  };
  const executors = {
    float: executor([TAP, { ...TAP, name: 'b', shape: [1] }]),
    variant: executor([
      { ...TAP, values: Float32Array.of(3, 4.5, 3, 4) }, { ...TAP, name: 'b' }, { ...TAP, name: 'c', computed_in: 'int32' },
      { ...TAP, name: 'd' },
    ], [['e', 'it is inside a loop']]),
  };
  const done = /** @type {number[]} */ ([]);
  const compared = await compareTaps(
    { job, platform }, { job: { ...job, format: 'variant' }, platform }, executors, (count) => done.push(count));
  assert.deepEqual(done, [2]);
  assert.deepEqual(compared.map(({ name, reason }) => [name, reason]), [
    ['a', null],
    ['b', 'its shape is [2] a sample, and [1] in the float artifact'],
    ['c', 'not a float tensor: int32'],
    ['d', 'the float artifact has no tensor of this name'],
    ['e', 'it is inside a loop'],
  ]);
  assert.deepEqual([compared[0].figures?.sqnr_db, compared[0].figures?.worst_channel], [10 * Math.log10(200), 1]);
});

test('the growth of the error skips what is not compared', () => {
  const figures = (/** @type {number} */ relative) => (/** @type {any} */ ({ relative_rms: relative }));
  const taps = ['a', 'b', 'c', 'd'].map((name) => ({ name, op: 'Relu', layer: `layer ${name}` }));
  const compared = [0.25, null, 0.75, NaN].map((relative, place) => ({
    name: taps[place].name, dtype: 'float32', figures: relative === null ? null : figures(relative),
    reason: relative === null ? 'not a float tensor: int32' : null,
  }));
  const rows = rowsOf(taps, compared, { setting: 'tfjs-uint8', runtime: 'chromium-wasm' });
  assert.deepEqual(rows.map(({ relative_rms_growth: growth }) => growth), [0.25, null, 0.5, null]);
  assert.deepEqual(rows.map(({ layer, place, aligned }) => [layer, place, aligned]), [
    ['layer a', 0, true], ['b', 1, false], ['layer c', 2, true], ['layer d', 3, true],
  ]);
});

test('formats without tensors to read say why', async () => {
  const file = /** @type {any} */ ({ format: 'tflite', files: new Map() });
  await assert.rejects(compareLayers(file, file, /** @type {any} */ ({}), { backend: 'wasm', count: 8 }), {
    name: 'MeasureError',
    message: 'layers cannot be compared: LiteRT.js gives only the outputs of a file, and a copy with more outputs is written '
      + 'by the command line alone',
  });
});
