import assert from 'node:assert/strict';
import { test } from 'node:test';

import { writeNpy, writeZip } from './arrays.mjs';
import { readDrop } from './drop.mjs';
import { makeVariant, settingsFor } from './settings.mjs';

const text = (/** @type {string} */ words) => new TextEncoder().encode(words);

/** @type {(files: Record<string, Uint8Array | string>) => import('./types.mjs').DroppedFile[]} */
const dropped = (files) => Object.entries(files).map(([path, content]) => {
  const bytes = typeof content === 'string' ? text(content) : content;
  return { path, size: bytes.byteLength, bytes: async () => bytes.slice() };
});

const DOCUMENT = {
  format: 'graph-model',
  signature: {
    inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }, { size: '2' }] } } },
    outputs: { y: { name: 'y:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }, { size: '3' }] } } },
  },
  modelTopology: { node: [{ name: 'y', op: 'MatMul', input: ['x', 'w'] }] },
  weightsManifest: [{ paths: ['w.bin'], weights: [{ name: 'w', shape: [2, 3], dtype: 'float32' }] }],
};
const WEIGHTS = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const JSON_TEXT = JSON.stringify(DOCUMENT);
const MODEL = { 'web/model.json': JSON_TEXT, 'web/w.bin': WEIGHTS };

/** @type {(changes: object) => string} */
const changed = (changes) => JSON.stringify({ ...DOCUMENT, ...changes });

/** @type {(weight: object, paths?: string[]) => string} */
const weighing = (weight, paths = ['w.bin']) => changed({ weightsManifest: [{ paths, weights: [weight] }] });

test('a graph-model in a folder', async () => {
  const { artifact, refused, ...rest } = await readDrop(dropped(MODEL));
  const common = { dtype: 'float32', batch: null, position: 0, codes: null };
  assert.deepEqual({ ...artifact, files: [...artifact?.files.keys() ?? []] }, {
    format: 'tfjs',
    name: 'web',
    setting: 'as-given',
    files: ['model.json', 'w.bin'],
    inputs: [{ name: 'x', shape: [2], tensor: 'x:0', ...common }],
    outputs: [{ name: 'y', shape: [3], tensor: 'y:0', ...common }],
    stored: { float32: 24 },
  });
  assert.deepEqual([refused, rest], [[], { arrays: null, images: [], classNames: null, imageLabels: null }]);
});

for (const { name, files, kept } of [
  { name: 'a JSON file of another name', files: { 'net.json': JSON_TEXT, 'w.bin': WEIGHTS }, kept: 'net.json' },
  {
    name: 'a folder in a folder, and what systems put there',
    files: { 'a/b/model.json': JSON_TEXT, 'a/b/w.bin': WEIGHTS, 'a/.DS_Store': '', '__MACOSX/a/b/._w.bin': '' },
    kept: 'b',
  },
  {
    name: 'another JSON file with a manifest beside model.json',
    files: { ...MODEL, 'web/old.json': JSON_TEXT },
    kept: 'web',
  },
]) {
  test(`recognized: ${name}`, async () => {
    const { artifact } = await readDrop(dropped(files));
    assert.equal(artifact?.name, kept);
  });
}

const AGAIN = 'copy or convert the model again.';

for (const { name, files, refused } of [
  {
    name: 'a folder without model.json',
    files: { 'web/group1-shard1of1.bin': WEIGHTS },
    refused: {
      'web/group1-shard1of1.bin': 'It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the '
        + 'whole folder, with its model.json.',
    },
  },
  {
    name: 'a missing shard',
    files: { 'web/model.json': JSON_TEXT },
    refused: {
      'web/model.json': "The shard 'w.bin' that 'model.json' lists is missing; drop the whole folder, with all shards.",
    },
  },
  {
    name: 'a short shard',
    files: { ...MODEL, 'web/w.bin': WEIGHTS.subarray(0, 20) },
    refused: {
      'web/model.json': "The shards of 'model.json' have 20 bytes, but the weight 'w' ends at byte 24; a shard is "
        + `truncated, so ${AGAIN}`,
    },
  },
  {
    name: 'a long shard',
    files: { ...MODEL, 'web/w.bin': new Uint8Array(28) },
    refused: {
      'web/model.json': "The shards of 'model.json' have 28 bytes, but the manifest describes 24; they belong to "
        + 'another JSON file, so copy or convert the model again.',
    },
  },
  {
    name: 'a path out of the folder',
    files: { ...MODEL, 'web/model.json': weighing({ name: 'w', shape: [2, 3], dtype: 'float32' }, ['../w.bin']) },
    refused: {
      'web/model.json': "'model.json' names the shard '../w.bin', which is outside of its folder; do not trust "
        + "this model.",
      'web/w.bin': 'It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the whole folder, '
        + 'with its model.json.',
    },
  },
  {
    name: 'a dtype that tfjs does not have',
    files: { ...MODEL, 'web/model.json': weighing({ name: 'w', shape: [3], dtype: 'float64' }) },
    refused: {
      'web/model.json': "The weight 'w' of 'model.json' has the dtype float64, which TensorFlow.js does not read; "
        + 'convert the model again.',
    },
  },
  {
    name: 'a shape without end',
    files: { ...MODEL, 'web/model.json': weighing({ name: 'w', shape: [2 ** 31], dtype: 'bool' }) },
    refused: { 'web/model.json': "'model.json' has a weight without a name, shape or dtype; convert the model again." },
  },
  {
    name: 'a graph that is none',
    files: { ...MODEL, 'web/model.json': changed({ signature: null, modelTopology: { node: [{ input: 3 }] } }) },
    refused: { 'web/model.json': /^'web\/model\.json' cannot be read \(.+\); copy or convert it again\.$/ },
  },
  {
    name: 'JSON that is none',
    files: { ...MODEL, 'web/model.json': '{' },
    refused: {
      'web/model.json': "'model.json' could not be read as JSON (a key was expected at character 2); convert the "
        + "model again.",
      'web/w.bin': 'It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the whole folder, '
        + 'with its model.json.',
    },
  },
  {
    name: 'two models',
    files: { ...MODEL, 'net.tflite': 'x' },
    refused: {
      'web/model.json': 'There are 2 models in the drop (web/model.json, net.tflite); drop one.',
      'net.tflite': 'There are 2 models in the drop (web/model.json, net.tflite); drop one.',
      'web/w.bin': 'It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the whole folder, '
        + 'with its model.json.',
    },
  },
  {
    name: 'a Keras file',
    files: { 'net.keras': 'x' },
    refused: {
      'net.keras': 'A Keras file does not run in a browser; convert it to a TensorFlow.js model, a .tflite or an .onnx '
        + 'file, or give it to quantlab analyze.',
    },
  },
  {
    name: 'a SavedModel',
    files: { 'model/saved_model.pb': 'x' },
    refused: {
      'model/saved_model.pb': 'A SavedModel does not run in a browser; convert it to a TensorFlow.js model, a .tflite '
        + 'or an .onnx file, or give it to quantlab analyze.',
    },
  },
  {
    name: 'no TFLite file',
    files: { 'net.tflite': 'GIF89a' },
    refused: {
      'net.tflite': "'net.tflite' cannot be read (it does not start like a TFLite file); copy or convert it again.",
    },
  },
  {
    name: 'no ONNX file',
    files: { 'net.onnx': 'GIF89a' },
    refused: { 'net.onnx': /^'net\.onnx' cannot be read \(.+\); copy or convert it again\.$/ },
  },
  {
    name: 'a file that nobody knows',
    files: { 'notes.docx': 'x' },
    refused: {
      'notes.docx': 'It is not a file that this page reads; drop a TensorFlow.js folder with its model.json, a .tflite '
        + 'or .onnx file, an .npz file, or images.',
    },
  },
  {
    name: 'numbers that name no classes',
    files: { 'labels.txt': '0\n1\n1\n' },
    refused: {
      'labels.txt': "'labels.txt' holds numbers, which are labels of samples and no names of classes; put them into the "
        + ".npz file as 'y'.",
    },
  },
  {
    name: 'names of classes that come twice',
    files: { 'labels.txt': 'cat\ndog\ncat\n' },
    refused: { 'labels.txt': "'labels.txt' names the class 'cat' twice; write one name for each class." },
  },
]) {
  test(`refused: ${name}`, async () => {
    const drop = await readDrop(dropped(files));
    assert.equal(drop.artifact, null);
    const reasons = new Map(drop.refused.map(({ path, reason }) => [path, reason]));
    assert.deepEqual([...reasons.keys()].sort(), Object.keys(refused).sort());
    for (const [path, expected] of Object.entries(refused)) {
      if (expected instanceof RegExp) assert.match(reasons.get(path) ?? '', expected);
      else assert.equal(reasons.get(path), expected);
    }
  });
}

test('two gigabytes are refused before a byte is read', async () => {
  const bytes = async () => assert.fail('it was read');
  const { artifact, refused } = await readDrop([
    { path: 'web/model.json', size: 1000, bytes }, { path: 'web/w.bin', size: 2e9, bytes },
  ]);
  assert.equal(artifact, null);
  assert.deepEqual(refused, [{
    path: 'web/w.bin',
    reason: "The dropped files have 2.0 GB, 'w.bin' alone has 2.0 GB, and a browser tab has memory for about 1.5 GB; "
      + 'use quantlab analyze.',
  }]);
});

test('files that the browser cannot read are refused by name', async () => {
  const bytes = () => Promise.reject(new Error('The file could not be read, because it was changed.'));
  const paths = ['web/model.json', 'x.npy', 'labels.txt'];
  const { artifact, refused } = await readDrop(paths.map((path) => ({ path, size: 1, bytes })));
  const why = 'cannot be read (The file could not be read, because it was changed); copy or convert it again.';
  assert.equal(artifact, null);
  assert.deepEqual(refused, paths.map((path) => ({ path, reason: `'${path}' ${why}` })));
});

test('images in folders have labels, in the order of the names', async () => {
  const drop = await readDrop(dropped({
    'images/dog/b.png': '',
    'images/cat/2.jpg': '',
    'images/cat/10.JPEG': '',
    'images/dog/a.webp': '',
    'images/notes.txt': '',
  }));
  const paths = ['images/cat/10.JPEG', 'images/cat/2.jpg', 'images/dog/a.webp', 'images/dog/b.png'];
  assert.deepEqual(drop.images.map(({ path }) => path), paths);
  assert.deepEqual([drop.imageLabels, drop.classNames], [Int32Array.of(0, 0, 1, 1), ['cat', 'dog']]);
  assert.deepEqual(drop.refused.map(({ path }) => path), ['images/notes.txt']);
});

for (const { name, files, labels = null, classNames = null, reason = null, names = null } of [
  { name: 'without folders', files: ['b.png', 'a.png'], labels: null, classNames: null },
  { name: 'in one folder', files: ['photos/b.png', 'photos/a.png'], labels: null, classNames: null },
  { name: 'of one class', files: ['photos/cat/b.png'], labels: [0], classNames: ['cat'] },
  {
    name: 'in numbered folders',
    files: ['i/9/a.png', 'i/10/a.png', 'i/11/a.png'],
    labels: [0, 1, 2],
    classNames: ['9', '10', '11'],
  },
  {
    name: 'in numbered folders of which one is missing',
    files: ['i/1/a.png', 'i/3/a.png'],
    reason: "The class folders are numbers, and '1' is followed by '3', which would shift the labels; drop labels.txt "
      + 'with the names of all classes, too.',
  },
  {
    name: 'in folders of different depth',
    files: ['i/cat/a.png', 'i/b.png'],
    reason: 'The images are in folders of different depth, so that their classes are ambiguous; drop one folder with '
      + 'one folder of images for each class, or one folder of images.',
  },
  {
    name: 'whose classes have an order of their own',
    files: ['i/dog/a.png', 'i/cat/a.png'],
    names: 'dog\nbird\ncat',
    labels: [0, 2],
    classNames: ['dog', 'bird', 'cat'],
  },
]) {
  test(`images ${name}`, async () => {
    const images = Object.fromEntries(files.map((path) => [path, '']));
    const drop = await readDrop(dropped(names ? { ...images, 'labels.txt': names } : images));
    assert.deepEqual(drop.imageLabels && [...drop.imageLabels], labels);
    assert.deepEqual(drop.classNames, classNames);
    assert.deepEqual(drop.refused.map((one) => one.reason), reason ? [reason] : []);
  });
}

test('arrays beside a model are samples', async () => {
  const x = writeNpy({ shape: [2, 2], dtype: 'float32', data: Float32Array.of(1, 2, 3, 4) });
  const npz = writeZip(new Map([['x.npy', x]]));
  const { arrays } = await readDrop(dropped({ ...MODEL, 'data.npz': npz, 'x_labels.npy': x }));
  assert.deepEqual([...arrays?.keys() ?? []], ['x', 'y']);
});

test('integers alone cannot be quantized, and are told so', async () => {
  const files = { ...MODEL, 'web/model.json': weighing({ name: 'w', shape: [6], dtype: 'int32' }) };
  const { artifact } = await readDrop(dropped(files));
  const found = settingsFor(/** @type {any} */ (artifact)).map(({ name, why }) => [name, why]);
  const why = (/** @type {string} */ name) => `'web' has no float weights, so ${name} has nothing to quantize; drop `
    + "the model that 'web' was exported from, or leave this setting out.";
  const narrow = ['tfjs-float16', 'tfjs-uint8', 'tfjs-uint16', 'tfjs-uint8-per-channel'];
  assert.deepEqual(found, [['tfjs-float32', null], ...narrow.map((name) => [name, why(name)])]);
});

test('codes are not quantized twice', async () => {
  const quantization = { dtype: 'uint8', scale: 0.5, min: -1 };
  const json = weighing({ name: 'w', shape: [24], dtype: 'float32', quantization });
  const { artifact } = await readDrop(dropped({ ...MODEL, 'web/model.json': json }));
  const given = /** @type {import('./types.mjs').Artifact} */ (artifact);
  await assert.rejects(makeVariant(given, 'tfjs-uint8'), {
    message: "'web' already stores weights in uint8, so tfjs-uint8 would quantize them twice; drop the model that "
      + "'web' was exported from, or leave this setting out.",
  });
  const made = await makeVariant(given, 'tfjs-float32');
  assert.deepEqual(made.stored, { float32: 96 });
  const values = new Float32Array(/** @type {Uint8Array} */ (made.files.get('group1-shard1of1.bin')).buffer);
  assert.equal(values[0], WEIGHTS[0] * 0.5 - 1);
});

test('a float32 artifact is its float32 setting itself', async () => {
  const { artifact } = await readDrop(dropped(MODEL));
  const given = /** @type {import('./types.mjs').Artifact} */ (artifact);
  assert.equal((await makeVariant(given, 'tfjs-float32')).files, given.files);
});

test('NaN is told before anything is made', async () => {
  const spoiled = new Uint8Array(Float32Array.of(1, NaN, 3, 4, 5, 6).buffer);
  const { artifact } = await readDrop(dropped({ ...MODEL, 'web/w.bin': spoiled }));
  for (const setting of ['tfjs-uint8', 'tfjs-uint16', 'tfjs-uint8-per-channel']) {
    await assert.rejects(makeVariant(/** @type {any} */ (artifact), setting), /holds 1 value that is NaN or infinite/);
  }
});

test('names of prototypes are names', async () => {
  const tensor = '{"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}]}}';
  const json = `{"signature": {"inputs": {"__proto__": ${tensor}}, "outputs": {"constructor": ${tensor}}},
    "modelTopology": {"node": [], "__proto__": {"polluted": true}},
    "weightsManifest": [{"paths": ["__proto__"], "weights": [{"name": "__proto__", "shape": [6], "dtype": "float32"}]}]}`;
  const { artifact, refused } = await readDrop(dropped({ 'm/model.json': json, 'm/__proto__': WEIGHTS }));
  assert.deepEqual(refused, []);
  const given = /** @type {import('./types.mjs').Artifact} */ (artifact);
  assert.deepEqual([given.inputs[0].name, given.outputs[0].name], ['__proto__', 'constructor']);
  for (const setting of ['tfjs-uint8', 'tfjs-uint8-per-channel']) {
    const { files } = await makeVariant(given, setting);
    const text = new TextDecoder().decode(files.get('model.json'));
    assert.match(text, /"__proto__": \{"polluted": true\}.*"name": "__proto__"/s);
  }
  assert.equal(/** @type {any} */ ({}).polluted, undefined);
});
