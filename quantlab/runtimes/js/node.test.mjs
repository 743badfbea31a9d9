import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import manifest from './package.json' with { type: 'json' };
import { constant, elementsOf, graphModel, job, node, npy, placeholder, tensor } from './fixtures/jobs.mjs';

const HERE = import.meta.dirname;
const BUNDLE = path.join(HERE, 'dist', 'node.cjs');
const fixture = (name) => path.join(HERE, 'fixtures', name);
const options = { skip: !fs.existsSync(BUNDLE) && 'there is no dist/node.cjs; make it with: node bundle.mjs' };

function newFolder(context) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'quantlab-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

function writeFiles(folder, files) {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), content);
  }
}

/** The bundle in a folder of its own, and requests to it about jobs whose files are relative to that. */
function startBundle(context, ...flags) {
  const cwd = newFolder(context);
  const child = spawn(process.execPath, [...flags, BUNDLE], { cwd, stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  context.after(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const runJob = async (files, asked, rest = { request: 'run' }) => {
    writeFiles(cwd, files);
    child.stdin.write(`${JSON.stringify({ ...rest, job: asked })}\n`);
    const messages = [];
    do {
      messages.push(JSON.parse((await lines.next()).value));
    } while (!['done', 'failed'].includes(messages.at(-1).type));
    return { messages, read: (name) => new Uint8Array(fs.readFileSync(path.join(cwd, name))) };
  };
  return { child, exited, runJob };
}

/** The bundle run on one job. */
async function runBundle(files, asked, context) {
  const { child, exited, runJob } = startBundle(context);
  const ran = await runJob(files, asked);
  child.stdin.end();
  const [status] = await exited;
  return { status, ...ran };
}

/** The bundle kept for jobs; `done` tells what the process holds. */
const serveBundle = (context) => startBundle(context, '--require', fixture('count.cjs'));

const kinds = ({ messages }) => messages.map(({ type }) => type);

test('runs a graph-model, and standard output holds messages only', options, async (context) => {
  const files = {
    ...graphModel([placeholder('x', 'float32', [2]), node('y', 'Neg', ['x'])]),
    'x.npy': npy(Float32Array.of(1, 2, 3, 4)), 'y.npy': npy(new Float32Array(4)),
  };
  const ports = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])] };
  for (const backend of ['wasm', 'cpu']) {
    const ran = await runBundle(files, job({ ...ports, backend, stop: 2 }), context);
    assert.equal(ran.status, 0);
    assert.deepEqual(kinds(ran), ['ready', 'progress', 'repeated', 'done']);
    assert.equal(ran.messages[0].ran_on, `node-${backend}`);
    assert.ok(ran.messages[1].seconds > 0);
    assert.deepEqual(elementsOf(ran.read('y.npy'), Float32Array), [-1, -2, -3, -4]);
  }
});

const SAMPLES = {
  'zebra.npy': npy(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9)),
  'apple.npy': npy(Int32Array.of(10, 20, 30, 40, 50, 60, 70, 80, 90)),
};
const OUTPUTS = {
  'yak.npy': npy(new Float32Array(9)),
  'ant.npy': npy(new BigInt64Array(9)),
  'mid.npy': npy(new Float32Array(9)),
};
const TFLITE_PORTS = {
  format: 'tflite', artifact: fixture('two_ports.tflite'), backend: '', batch_size: 2, stop: 3,
  inputs: [tensor('zebra', 'float32', [3], 1), tensor('apple', 'int32', [3], 0)],
  outputs: [tensor('yak', 'float32', [3], 1), tensor('ant', 'int64', [3], 0), tensor('mid', 'float32', [3], 2)],
};

test('runs a .tflite file, whose ports are found by their place', options, async (context) => {
  const ran = await runBundle({ ...SAMPLES, ...OUTPUTS }, job(TFLITE_PORTS), context);
  assert.equal(ran.status, 0);
  assert.deepEqual(kinds(ran), ['ready', 'progress', 'progress', 'repeated', 'done']);
  assert.deepEqual(ran.messages.slice(1, 3).map(({ done, batch }) => [done, batch]), [[2, 2], [3, 1]]);
  assert.equal(ran.messages[0].ran_on, 'node-wasm');
  assert.match(ran.messages[0].environment.litert_build, /^(relaxed-simd|compat)$/);
  assert.deepEqual(elementsOf(ran.read('yak.npy'), Float32Array), [3, 5, 7, 9, 11, 13, 15, 17, 19]);
  assert.deepEqual(elementsOf(ran.read('ant.npy'), BigInt64Array), [20n, 40n, 60n, 80n, 100n, 120n, 140n, 160n, 180n]);
  assert.deepEqual(elementsOf(ran.read('mid.npy'), Float32Array), [-9, -18, -27, -36, -45, -54, -63, -72, -81]);
});

const ONNX_SAMPLES = { ...SAMPLES, 'apple.npy': npy(BigInt64Array.from([10, 20, 30, 40, 50, 60, 70, 80, 90], BigInt)) };
const ONNX_PORTS = {
  ...TFLITE_PORTS, format: 'onnx', artifact: fixture('onnx/open_ports.onnx'), backend: 'wasm',
  inputs: [tensor('zebra', 'float32', [3], 0, 'zebra'), tensor('apple', 'int64', [3], 1, 'apple')],
  outputs: ['yak', 'ant', 'mid'].map((name) => tensor(name, name === 'ant' ? 'int64' : 'float32', [3], 0, name)),
};

test('runs an .onnx file, whose ports are found by their names', options, async (context) => {
  const ran = await runBundle({ ...ONNX_SAMPLES, ...OUTPUTS }, job(ONNX_PORTS), context);
  assert.equal(ran.status, 0);
  assert.deepEqual(kinds(ran), ['ready', 'progress', 'progress', 'repeated', 'done']);
  assert.equal(ran.messages[0].ran_on, 'node-wasm');
  assert.deepEqual(ran.messages[0].environment, {
    node: process.versions.node, 'onnxruntime-web': manifest.dependencies['onnxruntime-web'], build: 'simd',
    backend: 'wasm', threads: '1',
  });
  assert.deepEqual(elementsOf(ran.read('yak.npy'), Float32Array), [3, 5, 7, 9, 11, 13, 15, 17, 19]);
  assert.deepEqual(elementsOf(ran.read('ant.npy'), BigInt64Array), [20n, 40n, 60n, 80n, 100n, 120n, 140n, 160n, 180n]);
  assert.deepEqual(elementsOf(ran.read('mid.npy'), Float32Array), [-9, -18, -27, -36, -45, -54, -63, -72, -81]);
});

const X = { 'x.npy': npy(Float32Array.of(1, 2, 3, 4)), 'y.npy': npy(new Float32Array(4)) };
const X_PORTS = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])], stop: 2 };
const MATMUL = {
  ...graphModel([placeholder('x', 'float32', [2]), constant('w'), constant('unused'), node('y', 'MatMul', ['x', 'w'])], {
    w: { values: [1, 2, 3, 4], shape: [2, 2] },
    // A few of these fill the heap that WebAssembly begins with.
    unused: { values: Array(1e6).fill(1), shape: [1000, 1000] },
  }), ...X,
};
const NEG = { ...graphModel([placeholder('x', 'float32', [2]), node('y', 'Neg', ['x'])]), ...X };
const KEPT_JOBS = [
  { name: 'a graph-model', files: MATMUL, fields: X_PORTS, outputs: ['y.npy'] },
  { name: 'a .tflite file', files: { ...SAMPLES, ...OUTPUTS }, fields: TFLITE_PORTS, outputs: Object.keys(OUTPUTS) },
  { name: 'an .onnx file', files: { ...ONNX_SAMPLES, ...OUTPUTS }, fields: ONNX_PORTS, outputs: Object.keys(OUTPUTS) },
  { name: 'another graph-model', files: NEG, fields: X_PORTS, outputs: ['y.npy'] },
];

test('a process that is kept gives what processes of their own give, in any order', options, async (context) => {
  const alone = await Promise.all(KEPT_JOBS.map(({ files, fields }) => runBundle(files, job(fields), context)));
  for (const order of [[0, 1, 2, 3, 0], [2, 3, 1, 0, 2]]) {
    const { runJob } = serveBundle(context);
    for (const i of order) {
      const { name, files, fields, outputs } = KEPT_JOBS[i];
      const ran = await runJob(files, job(fields));
      assert.deepEqual(kinds(ran), kinds(alone[i]), name);
      assert.deepEqual(ran.messages[0], alone[i].messages[0], name);
      for (const output of outputs) assert.deepEqual(ran.read(output), alone[i].read(output), `${output} of ${name}`);
    }
  }
});

for (const { name, files, fields } of KEPT_JOBS) {
  test(`a process that is kept holds no more after ten runs of ${name} than after one`, options, async (context) => {
    const { runJob } = serveBundle(context);
    const held = [];
    for (let i = 0; i < 10; i += 1) held.push((await runJob(files, job(fields))).messages.at(-1));
    assert.ok(held[0].heap > 0);
    assert.deepEqual(held, Array(10).fill(held[0]));
  });
}

test('a process that is kept ends when its parent does, between jobs and at work', options, async (context) => {
  const idle = serveBundle(context);
  await idle.runJob(NEG, job(X_PORTS));
  idle.child.stdin.end();
  assert.deepEqual(await once(idle.child, 'exit'), [0, null]);
  const busy = serveBundle(context);
  const many = { 'x.npy': npy(new Float32Array(2e6)), 'y.npy': npy(new Float32Array(2e6)) };
  busy.runJob({ ...NEG, ...many }, job({ ...X_PORTS, batch_size: 1, stop: 1e6 }));
  await once(busy.child.stdout, 'data');
  busy.child.stdin.destroy();
  busy.child.stdout.destroy();
  const [status] = await once(busy.child, 'exit');
  assert.notEqual(status, 0);
});

for (const [backend, reason] of [
  ['cpu', "ONNX files do not run on the backend 'cpu'; they do on native and wasm"],
  ['native', "onnxruntime-node is not installed; install it with 'npm install onnxruntime-node'"],
]) {
  test(`an .onnx file does not run on ${backend} by itself`, options, async (context) => {
    const ran = await runBundle({ ...ONNX_SAMPLES, ...OUTPUTS }, job({ ...ONNX_PORTS, backend }), context);
    assert.deepEqual(ran.messages, [{ type: 'failed', reason }]);
  });
}

test('a page loads ONNX Runtime for .onnx files only', options, () => {
  const folder = path.join(HERE, 'dist', 'browser');
  const sources = fs.readdirSync(folder).filter((name) => name.endsWith('.js'));
  const [chunk, ...others] = sources.filter((name) => (
    fs.readFileSync(path.join(folder, name), 'utf8').includes('_OrtCreateSession')));
  assert.deepEqual(others, []);
  const importers = sources.filter((name) => fs.readFileSync(path.join(folder, name), 'utf8').includes(chunk));
  assert.deepEqual(importers, ['browser.js']);
  const page = fs.readFileSync(path.join(folder, 'browser.js'), 'utf8');
  assert.deepEqual(page.split(chunk).slice(0, -1).map((before) => before.slice(-10)), ['import("./']);
});

const TIME = {
  warm_up_seconds: 0, seconds: 0.01, most_seconds: 0.1, least_runs: 2, enough_runs: 3, most_runs: 3,
};

test('times a graph-model on each backend, and a .tflite and an .onnx file, and writes nothing', options, async (context) => {
  const graph = graphModel([placeholder('x', 'float32', [2]), node('y', 'Neg', ['x'])]);
  const ports = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])], batch_size: 1 };
  for (const [files, fields] of [
    [{ ...graph, 'x.npy': npy(Float32Array.of(1, 2)) }, { ...ports, backend: 'wasm' }],
    [{ ...graph, 'x.npy': npy(Float32Array.of(1, 2)) }, { ...ports, backend: 'cpu' }],
    [SAMPLES, { ...TFLITE_PORTS, batch_size: 1 }],
    [ONNX_SAMPLES, { ...ONNX_PORTS, batch_size: 1 }],
  ]) {
    const { runJob } = serveBundle(context);
    assert.deepEqual(kinds(await runJob(files, job(fields), { request: 'wait' })), ['done']);
    const ran = await runJob({}, job(fields), { request: 'time', plan: TIME });
    assert.deepEqual(kinds(ran), ['ready', 'timed', 'done']);
    const { load_ms, first_run_ms, runs_ms, idle_memory_bytes, peak_memory_bytes, memory_reason } = ran.messages[1];
    assert.ok([load_ms, first_run_ms, ...runs_ms].every((time) => time > 0 && time < 60_000));
    assert.ok(runs_ms.length >= 2 && runs_ms.length <= 3);
    assert.ok(30e6 < idle_memory_bytes && idle_memory_bytes <= peak_memory_bytes && peak_memory_bytes < 1e9);
    assert.equal(memory_reason, null);
  }
});

for (const { name, files, fields, reason } of [
  {
    name: 'samples of another shape',
    fields: { inputs: [tensor('zebra', 'float32', [9], 1), TFLITE_PORTS.inputs[1]] },
    reason: "the file's input 'zebra' takes [1, 3], and one sample is [1, 9]; convert the model with a batch of 1",
  },
  {
    name: 'samples of another dtype',
    fields: { inputs: [TFLITE_PORTS.inputs[0], tensor('apple', 'float32', [3], 0)] },
    reason: "the file's input 'apple' takes int32, and the samples are float32; convert the model with its own dtypes, "
      + 'or run this file in python only',
  },
  {
    name: 'an input that nothing feeds',
    fields: { inputs: [TFLITE_PORTS.inputs[0]] },
    reason: "the file's input 'apple' is fed by none of the model's inputs; the file was made from another "
      + 'model',
  },
  {
    name: 'an output that is not there',
    fields: { outputs: [tensor('yak', 'float32', [3], 3)] },
    reason: "the output 'yak' is said to be number 4 of the file's outputs, and there are 3; convert the model again",
  },
  {
    name: 'an output of another shape',
    fields: { outputs: [tensor('yak', 'float32', [4], 1)] },
    reason: "the output 'yak' has the shape [1, 3], and the reference's is [1, 4]; a variant must give what the model "
      + 'gives',
  },
  {
    name: 'an open batch',
    fields: { artifact: fixture('open_batch.tflite') },
    reason: "the file's input 'zebra' has the open shape [-1, 3], and LiteRT.js runs fixed shapes only; convert the "
      + 'model with a batch of 1',
  },
  {
    name: 'int8 inputs and outputs',
    fields: { artifact: fixture('int8_ports.tflite') },
    reason: 'the file has int8 inputs or outputs, and LiteRT.js takes float32, int32 and uint8 only; convert the model '
      + 'with float32 inputs and outputs, or run this file in python only',
  },
  {
    name: 'a file that is no model',
    files: { 'junk.tflite': 'hello' },
    fields: { artifact: 'junk.tflite' },
    reason: 'LiteRT.js could not load the file (Failed to load model from buffer); if it runs in python, leave '
      + 'node-wasm out for this setting, and otherwise convert the model again',
  },
  {
    name: 'a file that is gone',
    fields: { artifact: 'gone.tflite' },
    reason: "the variant's file 'gone.tflite' cannot be read (ENOENT); convert the model again",
  },
  {
    name: 'samples that end early',
    files: { 'zebra.npy': npy(new Float32Array(3)) },
    fields: {},
    reason: "the samples in 'zebra.npy' end before byte 152; open the samples again",
  },
]) {
  test(`fails on ${name}, and exits with 0`, options, async (context) => {
    const ran = await runBundle({ ...SAMPLES, ...OUTPUTS, ...files }, job({ ...TFLITE_PORTS, ...fields }), context);
    assert.equal(ran.status, 0);
    assert.deepEqual(ran.messages.at(-1), { type: 'failed', reason });
  });
}

test('a request that cannot be read is a crash', options, () => {
  const { status, stdout } = spawnSync(process.execPath, [BUNDLE], { encoding: 'utf8', input: '{"request": "run\n' });
  assert.notEqual(status, 0);
  assert.equal(stdout, '');
});
