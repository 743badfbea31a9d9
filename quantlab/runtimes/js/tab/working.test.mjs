import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { AbortedError, inPage, inWorker, MeasureError } from './working.mjs';

/** A worker that does what a test says, and remembers whether it was ended. */
class FakeWorker extends EventTarget {
  /** @type {FakeWorker[]} */
  static made = [];

  /** @type {(worker: FakeWorker) => void} */
  static work = () => {};

  isEnded = false;

  constructor() {
    super();
    FakeWorker.made.push(this);
  }

  /** @type {(order: unknown, transfer: ArrayBuffer[]) => void} */
  postMessage(order, transfer) {
    this.order = structuredClone(order, { transfer });
    queueMicrotask(() => FakeWorker.work(this));
  }

  /** @param {unknown} data */
  say(data) {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }

  terminate() {
    this.isEnded = true;
  }
}

/** @type {any} */ (globalThis).Worker = FakeWorker;

afterEach(() => {
  assert.ok(FakeWorker.made.every(({ isEnded }) => isEnded), 'a worker was left');
  FakeWorker.made = [];
});

/** @type {(work: (worker: FakeWorker) => void, limits?: object) => Promise<unknown[]>} */
async function heard(work, limits = {}) {
  FakeWorker.work = work;
  const replies = /** @type {unknown[]} */ ([]);
  await inWorker({ order: 'run' }, limits, (reply) => replies.push(reply));
  return replies;
}

test('each reply is passed on until the last', async () => {
  const told = [{ type: 'ready' }, { type: 'progress', done: 1 }, { type: 'done' }];
  const replies = await heard((worker) => told.forEach((one) => worker.say(one)));
  assert.deepEqual(replies, [{ type: 'ready' }, { type: 'progress', done: 1 }]);
  assert.deepEqual(FakeWorker.made[0].order, { order: 'run' });
});

test('a failure is an error with its op', async () => {
  const reason = "the webgpu backend of tfjs lacks the op 'Foo', which node 'x' needs";
  const failing = heard((worker) => worker.say({ type: 'failed', reason, missing_op: 'Foo' }));
  await assert.rejects(failing, (error) => (
    error instanceof MeasureError && error.message === reason && error.missingOp === 'Foo'));
});

test('a worker that crashes is an error', async () => {
  const failing = heard((worker) => worker.dispatchEvent(Object.assign(new Event('error'), { message: 'out of memory' })));
  await assert.rejects(failing, {
    name: 'MeasureError', message: 'the worker ended (out of memory); reload the page, or choose fewer samples',
  });
});

test('a worker that says nothing is ended', async () => {
  await assert.rejects(heard(() => {}, { stallSeconds: 0.02 }), {
    name: 'MeasureError',
    message: 'no batch was done for 0.02 seconds, so the run was ended; choose another backend, or fewer samples',
  });
});

test('tensors are handed over, and what cannot be is an error', async () => {
  const bytes = new Uint8Array(8);
  FakeWorker.work = (worker) => worker.say({ type: 'done' });
  await inWorker({ tensors: new Map([['input/0', bytes]]) }, {}, () => {});
  assert.equal(bytes.length, 0);
  const order = /** @type {any} */ ({ job: () => {} });
  await assert.rejects(inWorker(order, {}, () => {}), {
    name: 'MeasureError',
    message: /^the model and the samples could not be handed to a worker \(.+ could not be cloned\.\); choose fewer samples$/,
  });
});

test('a run is ended by its signal, before and after it has begun', async () => {
  const before = AbortSignal.abort();
  await assert.rejects(heard(() => {}, { signal: before }), AbortedError);
  assert.equal(FakeWorker.made.length, 0);
  const controller = new AbortController();
  await assert.rejects(heard(() => controller.abort(), { signal: controller.signal }), { name: 'AbortError' });
});

const REASONS = {
  'a remedy of the command line': [
    'the browser took the WebGL context away; run fewer samples at once with --batch-size, or leave this runtime out with '
      + '--runtimes', 'the browser took the WebGL context away; choose another backend',
  ],
  'a remedy that is half of the command line': [
    'the file has int8 inputs or outputs, and LiteRT.js takes float32, int32 and uint8 only; convert the model with float32 '
      + 'inputs and outputs, or run this file in python only',
    'the file has int8 inputs or outputs, and LiteRT.js takes float32, int32 and uint8 only; convert the model with float32 '
      + 'inputs and outputs',
  ],
  'a remedy of the page': ['there is no file; drop all files together', 'there is no file; drop all files together'],
  'no remedy': ["the wasm backend lacks the op 'X'", "the wasm backend lacks the op 'X'"],
};

for (const [name, [reason, told]] of Object.entries(REASONS)) {
  test(`${name}, in the words of the page`, () => assert.equal(inPage(reason), told));
}
