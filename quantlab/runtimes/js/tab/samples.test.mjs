import assert from 'node:assert/strict';
import { test } from 'node:test';

import { classesOf } from './labels.mjs';
import { MOST_SAMPLES, samplesOf } from './samples.mjs';
import { drawnPlaces } from './subset.mjs';

/** @type {(name: string, shape: (number | null)[], dtype?: string) => import('./types.mjs').TensorSpec} */
const spec = (name, shape, dtype = 'float32') => (
  { name, shape, dtype, batch: null, tensor: `${name}:0`, position: 0, codes: null }
);

/** @type {(inputs: import('./types.mjs').TensorSpec[], classes?: number) => import('./types.mjs').Artifact} */
const artifact = (inputs, classes = 3) => ({
  format: 'tfjs',
  name: 'web',
  setting: 'as-given',
  files: new Map(),
  stored: {},
  inputs,
  outputs: [spec('y', [classes])],
});

/** @type {(shape: number[], values: number[], dtype?: string) => import('./types.mjs').Tensor} */
const tensor = (shape, values, dtype = 'float32') => {
  const data = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array }[dtype]?.from(values);
  return { shape, dtype, data: data ?? BigInt64Array.from(values, BigInt) };
};

/** @type {(arrays: Record<string, import('./types.mjs').Tensor>) => import('./samples.mjs').Given} */
const given = (arrays) => ({ arrays: new Map(Object.entries(arrays)), text: 'data.npz' });

test('two inputs by name, in the dtypes of the model', () => {
  const ids = tensor([2, 2], [1, 2, 3, 4], 'int64');
  const samples = samplesOf(
    artifact([spec('image', [1]), spec('ids', [null], 'int32')]),
    given({ ids, image: tensor([2, 1], [0, 255], 'uint8'), y: tensor([2], [2, 0], 'uint8') }),
  );
  assert.deepEqual([...samples.inputs], [
    ['image', { shape: [2, 1], dtype: 'float32', data: Float32Array.of(0, 255) }],
    ['ids', { shape: [2, 2], dtype: 'int32', data: Int32Array.of(1, 2, 3, 4) }],
  ]);
  assert.deepEqual([samples.n, samples.labels, samples.names], [2, Int32Array.of(2, 0), ['0', '1']]);
});

test('decoded images bring their labels and names', () => {
  const samples = samplesOf(artifact([spec('image', [2])]), {
    ...given({ image: tensor([2, 2], [1, 2, 3, 4]) }),
    labels: Int32Array.of(1, 0),
    names: ['b/1.png', 'a/1.png'],
    classNames: ['a', 'b'],
  });
  assert.deepEqual([samples.labels, samples.names], [Int32Array.of(1, 0), ['b/1.png', 'a/1.png']]);
  assert.deepEqual(samples.classNames, ['a', 'b']);
});

test('the only other array is taken for the only input, and this is told', () => {
  const { notes } = samplesOf(artifact([spec('image', [2])]), given({ pictures: tensor([1, 2], [1, 2]) }));
  assert.deepEqual(notes, ["The array 'pictures' is taken for the input 'image'."]);
});

test('an artifact that states no shape takes samples of any', () => {
  const open = { ...spec('image', []), batch: undefined };
  assert.equal(samplesOf(artifact([open]), given({ x: tensor([1, 2, 2], [1, 2, 3, 4]) })).n, 1);
});

test('labels that are no classes are told, and left out', () => {
  const samples = samplesOf(artifact([spec('x', [1])]), given({ x: tensor([2, 1], [1, 2]), y: tensor([2], [0.5, 1]) }));
  assert.equal(samples.labels, null);
  assert.deepEqual(samples.notes, [
    "The labels of 'data.npz' are not one class per sample, so that this page scores without them.",
  ]);
});

test('more samples than fit are a random part with every class', () => {
  const n = MOST_SAMPLES + 500;
  const labels = Int32Array.from({ length: n }, (_, place) => Number(place === n - 1));
  const pixels = tensor([n, 1], Array.from({ length: n }, (_, place) => place));
  const samples = samplesOf(artifact([spec('x', [1])]), { ...given({ x: pixels }), labels });
  assert.equal(samples.n, MOST_SAMPLES);
  assert.deepEqual(samples.notes, ['20,000 of 20,500 samples are scored: a random part, stratified by label.']);
  assert.equal(samples.labels?.reduce((sum, label) => sum + label), 1);
  assert.equal(samples.inputs.get('x')?.data[5], Number(samples.names[5]));
  assert.ok(Number(samples.names[100]) > 100);
  assert.deepEqual([samples.available, samples.places[100]], [n, Number(samples.names[100])]);
});

for (const { name, arrays, inputs = [spec('x', [2])], message } of [
  {
    name: 'a missing input',
    inputs: [spec('a', [2]), spec('b', [2])],
    arrays: { a: tensor([1, 2], [1, 2]) },
    message: "'data.npz' holds 'a', but the model's inputs are 'a', 'b'; name the arrays after the model's inputs, and "
      + "the labels 'y'.",
  },
  {
    name: 'inputs of different lengths',
    inputs: [spec('a', [2]), spec('b', [2])],
    arrays: { a: tensor([1, 2], [1, 2]), b: tensor([2, 2], [1, 2, 3, 4]) },
    message: "'data.npz' holds 1 samples of 'a' but 2 of 'b'; give the same number of samples for every input.",
  },
  {
    name: 'floats for integers',
    inputs: [spec('x', [2], 'int32')],
    arrays: { x: tensor([1, 2], [1, 2]) },
    message: "The input 'x' expects int32, but 'data.npz' holds float32; if the values are integers, store them with "
      + ".astype('int32').",
  },
  {
    name: 'an integer that int32 cannot hold',
    inputs: [spec('x', [1], 'int32')],
    arrays: { x: tensor([2, 1], [1, 2 ** 31], 'int64') },
    message: "Sample 1 (counted from 0) of 'data.npz' holds 2147483648 in the input 'x', which expects int32, exact "
      + 'for integers from -2147483648 to 2147483647; scale the values to that range.',
  },
  {
    name: 'an input of texts',
    inputs: [spec('x', [1], 'string')],
    arrays: { x: tensor([1, 1], [1]) },
    message: "The input 'x' expects string, and samples can only be booleans, integers or floats; export the model "
      + 'with such an input.',
  },
]) {
  test(`refused: ${name}`, () => {
    const held = given(/** @type {any} */ (arrays));
    assert.throws(() => samplesOf(artifact(inputs), held), { name: 'DropError', message });
  });
}

for (const { name, raw, classes } of [
  { name: 'rows with a single 1', raw: tensor([2, 3], [0, 1, 0, 0, 0, 1]), classes: Int32Array.of(1, 2) },
  { name: 'rows with two', raw: tensor([2, 2], [1, 1, 0, 1]), classes: null },
  { name: 'rows with none', raw: tensor([2, 2], [0, 0, 0, 1]), classes: null },
  { name: 'a column', raw: tensor([2, 1], [4, 5], 'int64'), classes: Int32Array.of(4, 5) },
  { name: 'a map of classes', raw: tensor([2, 2, 1], [1, 2, 3, 4], 'uint8'), classes: null },
  { name: 'whole floats', raw: tensor([2], [1, 2]), classes: null },
]) {
  test(`labels of ${name}`, () => {
    assert.deepEqual(classesOf(raw, 2, 'data.npz'), classes);
  });
}

test('a part is the same each time, ascending, and has its share of every class', () => {
  const labels = Int32Array.from({ length: 1000 }, (_, place) => (place < 700 ? 0 : place < 999 ? 1 : 2));
  const places = drawnPlaces(1000, labels, 100);
  assert.deepEqual(places, drawnPlaces(1000, labels, 100));
  assert.deepEqual(places, places.slice().sort());
  const counts = [0, 1, 2].map((label) => places.filter((place) => labels[place] === label).length);
  assert.equal(counts[2], 1);
  assert.ok(Math.abs(counts[0] - 70) <= 2, `${counts}`);
});

test('classes need more than the limit', () => {
  assert.equal(drawnPlaces(50, Int32Array.from({ length: 50 }, (_, place) => place), 10).length, 50);
});
