import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';

import { readNpy, readNpz, writeNpy, writeZip } from './arrays.mjs';

const TENSOR = { shape: [2, 3], dtype: 'float32', data: Float32Array.of(1, 2, 3, 4, 5, 6) };
const text = (/** @type {string} */ words) => new TextEncoder().encode(words);

test('what was written is read again', async () => {
  const labels = { shape: [2], dtype: 'bool', data: Uint8Array.of(1, 0) };
  const arrays = { 'x.npy': writeNpy(TENSOR), 'y.npy': writeNpy(labels) };
  const read = await readNpz(writeZip(new Map(Object.entries({ ...arrays, 'notes.txt': text('no array') }))));
  assert.deepEqual([...read], [['x', TENSOR], ['y', labels]]);
});

test('an array whose name is a prototype is an array', async () => {
  const read = await readNpz(writeZip(new Map([['__proto__.npy', writeNpy(TENSOR)]])));
  assert.deepEqual([...read.keys()], ['__proto__']);
  assert.equal(/** @type {any} */ ({}).shape, undefined);
});

test('half floats are widened, and written as half floats', () => {
  const bytes = writeNpy({ shape: [2], dtype: 'float16', data: Float32Array.of(1.5, -2) });
  assert.equal(bytes.byteLength, 128 + 4);
  assert.deepEqual(readNpy(bytes), { shape: [2], dtype: 'float16', data: Float32Array.of(1.5, -2) });
});

test('equal files are equal archives', () => {
  const files = new Map([['model.json', text('{}')], ['ü.bin', Uint8Array.of(1, 2, 3)]]);
  assert.deepEqual(writeZip(files), writeZip(new Map(files)));
});

/** An archive with one deflated member, of which some bytes are changed. */
function deflated({ size = 0, method = 8, flags = 0 } = {}) {
  const bytes = writeNpy(TENSOR);
  const zip = writeZip(new Map([['x.npy', new Uint8Array(deflateRawSync(bytes))]]));
  const view = new DataView(zip.buffer);
  const central = view.getUint32(zip.byteLength - 6, true);
  view.setUint16(central + 8, flags, true);
  view.setUint16(central + 10, method, true);
  view.setUint32(central + 24, size || bytes.byteLength, true);
  return zip;
}

for (const { name, zip, message } of [
  {
    name: 'what unpacks to other bytes than its sum says',
    zip: deflated(),
    message: "It is not a complete archive ('x.npy' is not what was packed); copy or save it again.",
  },
  {
    name: 'what unpacks to more than it says',
    zip: deflated({ size: 10 }),
    message: "It is not a complete archive ('x.npy' is longer than it says); copy or save it again.",
  },
  {
    name: 'what says that it unpacks to gigabytes',
    zip: deflated({ size: 0xfffffff0 }),
    message: 'Its arrays need more than 1.5 GB of memory; drop fewer samples.',
  },
  { name: 'zip64', zip: deflated({ size: 0xffffffff }), message: "'x.npy' in it has more than 4 GB; drop fewer "
    + "samples." },
  {
    name: 'a password',
    zip: deflated({ flags: 1 }),
    message: "'x.npy' in it is encrypted; save it without a password.",
  },
  {
    name: 'another method',
    zip: deflated({ method: 14 }),
    message: "'x.npy' in it is packed by method 14; save it with numpy.savez.",
  },
  {
    name: 'no archive',
    zip: text('PK'.repeat(40)),
    message: 'It is not a complete archive (its end is missing); copy or save it again.',
  },
]) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(readNpz(zip), { name: 'DropError', message });
  });
}

test('an array that is no array is named', async () => {
  await assert.rejects(readNpz(writeZip(new Map([['x.npy', text('no array at all')]]))), {
    message: "The array 'x' is refused. It is not a complete .npy array (it does not begin like one); save it again "
      + 'with numpy.save.',
  });
});

test('a header that describes more than there is is refused before memory is taken', () => {
  const bytes = writeNpy({ ...TENSOR, shape: [2 ** 31, 2 ** 20] });
  assert.throws(() => readNpy(bytes), /it has 24 bytes of values, and its header describes 9007199254740992/);
});
