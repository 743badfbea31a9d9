/** The steps of pipelines in JavaScript, and what four well-known answers about preprocessing do today. */

import '@tensorflow/tfjs-backend-cpu';

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import * as tf from '@tensorflow/tfjs-core';
import { layers, sequential } from '@tensorflow/tfjs-layers';
import jpeg from 'jpeg-js';

import { preparePictures, tfjsResizers, withoutAlpha } from './pipelines.mjs';
import { nodeSteps } from './pipelines-node.mjs';
import { sharpSteps } from './pipelines-sharp.mjs';

before(() => tf.setBackend('cpu'));

/** A grey ramp of 4×2 pixels. */
const RAMP = { height: 2, width: 4, values: Uint8Array.from([0, 10, 20, 30, 40, 50, 60, 70]) };

/** A platform in memory, and what it was told. */
function platform(/** @type {Record<string, Uint8Array>} */ files) {
  /** @type {import('./run.mjs').Message[]} */
  const messages = [];
  /** @type {number[]} */
  const written = [];
  return {
    messages,
    written,
    host: 'node',
    environment: { node: 'test' },
    readArtifact: () => { throw new Error('nothing is read whole'); },
    readTensor: (/** @type {string} */ file, /** @type {number} */ position, /** @type {Uint8Array} */ target) => {
      target.set(files[file].subarray(position, position + target.length));
    },
    writeTensor: () => {},
    writeScratch: (/** @type {string} */ _, /** @type {number} */ at, /** @type {Uint8Array} */ bytes) => {
      written.splice(at, bytes.length, ...bytes);
    },
    emit: (/** @type {import('./run.mjs').Message} */ message) => { messages.push(message); },
    now: () => 0,
  };
}

/** @type {(steps: string[], pictures: object[], grey?: boolean) => any} */
const asked = (steps, pictures, grey = false) => ({
  request: 'prepare', job: { backend: 'cpu', format: '' }, steps, pictures, grey, target: 'target',
});

test('a picture that fails costs only itself', async () => {
  const { data } = jpeg.encode({ data: new Uint8Array(4 * 8 * 8).fill(200), width: 8, height: 8 }, 90);
  const files = { good: new Uint8Array(data), bad: Uint8Array.from([1, 2, 3]) };
  const host = platform(files);
  const pictures = ['bad', 'good'].map((file) => (
    { file, offset: 0, length: files[/** @type {'good' | 'bad'} */ (file)].length, shape: [], size: [] }));
  await preparePictures(asked(['jpeg-js'], pictures), async () => nodeSteps(tf), host);
  assert.deepEqual(host.messages.map(({ type }) => type), ['ready', 'prepared', 'prepared', 'done']);
  const [, bad, good] = /** @type {any[]} */ (host.messages);
  assert.deepEqual([bad.place, bad.reason], [0, 'jpeg-js decodes JPEG files only']);
  assert.deepEqual([good.place, good.shape, good.dtype, good.reason], [1, [8, 8, 3], 'uint8', null]);
  assert.equal(host.written.length, 8 * 8 * 3);
});

test('a step that does not exist is named', async () => {
  const host = platform({ ramp: RAMP.values });
  const picture = { file: 'ramp', offset: 0, length: 8, shape: [2, 4, 1], size: [1, 2] };
  await preparePictures(asked(['lanczos'], [picture]), async () => nodeSteps(tf), host);
  const { reason } = /** @type {any} */ (host.messages[1]);
  assert.equal(reason, "node has no step 'lanczos'; it has resize-bilinear, resize-bilinear-half-pixel, "
    + 'resize-bilinear-align-corners');
});

/** Stands for sharp: notes the calls of each chain, and gives one grey pixel. */
function recordedSharp() {
  /** @type {any[][]} */
  const chains = [];
  const sharp = (/** @type {any[]} */ ...input) => {
    const calls = [input];
    chains.push(calls);
    /** @type {any} */
    const chain = new Proxy({}, {
      get: (_, name) => (/** @type {any[]} */ ...given) => {
        calls.push([name, ...given]);
        return name === 'toBuffer' ? { data: new Uint8Array(3).fill(7), info: { width: 1, height: 1 } } : chain;
      },
    });
    return chain;
  };
  return { sharp: Object.assign(sharp, { versions: { sharp: '0.0.1', vips: '8.0.0' } }), chains };
}

test('sharp is called as apps call it: for pixels, and for a file at once', async () => {
  const { sharp, chains } = recordedSharp();
  const host = platform({ file: Uint8Array.of(1, 2, 3), ramp: RAMP.values });
  const file = { file: 'file', offset: 0, length: 3, shape: [], size: [] };
  const start = async () => sharpSteps(sharp);
  await preparePictures(asked(['sharp'], [file]), start, host);
  await preparePictures(asked(['sharp-linear'], [{ ...file, size: [5, 6] }]), start, host);
  await preparePictures(asked(['sharp-lanczos3'], [{ ...file, size: [5, 6] }], true), start, host);
  const pixels = { file: 'ramp', offset: 0, length: 8, shape: [2, 4, 1], size: [1, 2] };
  await preparePictures(asked(['sharp-cubic'], [pixels]), start, host);
  const bytes = [Uint8Array.of(1, 2, 3)];
  const end = [['removeAlpha'], ['raw'], ['toBuffer', { resolveWithObject: true }]];
  /** @type {(kernel: string, width: number, height: number) => any[]} */
  const resize = (kernel, width, height) => ['resize', width, height, { fit: 'fill', kernel }];
  assert.deepEqual(chains, [
    [bytes, ...end],
    [bytes, resize('linear', 6, 5), ...end],
    [bytes, resize('lanczos3', 6, 5), ['greyscale'], ...end],
    [[RAMP.values, { raw: { width: 4, height: 2, channels: 1 } }], resize('cubic', 2, 1), ['greyscale'], ...end],
  ]);
  const [ready, prepared] = /** @type {any[]} */ (host.messages);
  assert.deepEqual(ready.environment, { node: 'test', sharp: '0.0.1', libvips: '8.0.0' });
  assert.deepEqual([prepared.shape, prepared.dtype, prepared.reason], [[1, 1, 3], 'uint8', null]);
});

test('a step that takes files only with their size says so for the others', async () => {
  const host = platform({ file: Uint8Array.of(1) });
  const file = { file: 'file', offset: 0, length: 1, shape: [], size: [2, 2] };
  await preparePictures(asked(['resize-bilinear'], [file]), async () => nodeSteps(tf), host);
  const { reason } = /** @type {any} */ (host.messages[1]);
  assert.equal(reason, "node has no step 'resize-bilinear' that decodes a file");
});

test('colours keep their order, and grey is that of Rec. 601', () => {
  const rgba = [255, 0, 0, 255, 0, 255, 0, 0];
  assert.deepEqual([...withoutAlpha(rgba, 1, 2, false).values], [255, 0, 0, 0, 255, 0]);
  assert.deepEqual([...withoutAlpha(rgba, 1, 2, true).values], [76, 150]);
});

test('the flags of resizeBilinear place the pixels', async () => {
  const resizers = tfjsResizers(tf);
  /** @type {Record<string, number[]>} */
  const expected = {
    'resize-bilinear': [0, 20, 40, 60],
    'resize-bilinear-half-pixel': [5, 25, 45, 65],
    'resize-bilinear-align-corners': [0, 30, 40, 70],
  };
  for (const [name, values] of Object.entries(expected)) {
    assert.deepEqual([...(await resizers[name](RAMP, 2, 2)).values], values, name);
  }
});

// docs/guides/diagnosing.md says what follows.

test('an int32 tensor divided by a number is float32, and by an int32 tensor it is floored', async () => {
  const pixels = tf.tensor1d([0, 100, 255], 'int32');
  const divided = tf.div(pixels, 255);
  assert.equal(divided.dtype, 'float32');
  assert.deepEqual([...await divided.data()], [0, 100 / 255, 1].map(Math.fround));
  const floored = tf.div(pixels, tf.scalar(255, 'int32'));
  assert.equal(floored.dtype, 'int32');
  assert.deepEqual([...await floored.data()], [0, 0, 1]);
});

test('a model refuses an image without its batch dimension', () => {
  const model = sequential({ layers: [layers.flatten({ inputShape: [4, 4, 3] }), layers.dense({ units: 2 })] });
  const image = tf.zeros([4, 4, 3]);
  assert.throws(
    () => model.predict(image), /expected flatten_\w+ to have 4 dimension\(s\), but got array with shape \[4,4,3\]/);
  assert.deepEqual(/** @type {tf.Tensor} */ (model.predict(tf.expandDims(image))).shape, [1, 2]);
});

test('0…1 and −1…1 are other numbers of the same pixels', async () => {
  const pixels = tf.tensor1d([0, 127.5, 255]);
  assert.deepEqual([...await tf.div(pixels, 255).data()], [0, 0.5, 1]);
  assert.deepEqual([...await tf.sub(tf.div(pixels, 127.5), 1).data()], [-1, 0, 1]);
});
