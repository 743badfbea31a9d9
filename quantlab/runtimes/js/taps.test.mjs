import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import {
  constant, contentOf, elementsOf, graphModel, HEADER, job, node, npy, placeholder, runTfjs, tapTfjs, tensor, tf,
} from './fixtures/jobs.mjs';

const int32Constant = (name) => ({ ...constant(name), attr: { dtype: { type: 'DT_INT32' } } });

/** x → doubled → y = doubled + bias, and beside them what is no batch. */
const NODES = [
  placeholder('x', 'float32', [2]), constant('two'), constant('bias'),
  node('doubled', 'Mul', ['x', 'two']), node('y', 'AddV2', ['doubled', 'bias']),
  node('shape', 'Shape', ['x'], { out_type: { type: 'DT_INT32' } }),
];
const WEIGHTS = { two: { values: [2], shape: [] }, bias: { values: [10, 20], shape: [2] } };
const PORTS = { inputs: [tensor('x', 'float32', [2])], outputs: [tensor('y', 'float32', [2])], batch_size: 2, stop: 5 };
const X = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

const modelFiles = () => ({ ...graphModel(NODES, WEIGHTS), 'x.npy': npy(X), 'y.npy': npy(new Float32Array(10)) });
const failuresOf = (messages) => messages.filter(({ type }) => type === 'tapped').at(-1).failed;

for (const backend of ['wasm', 'cpu']) {
  test(`batches, a remainder and several requests on ${backend}, in one file`, async () => {
    const files = modelFiles();
    const ranges = [[0, 3], [3, 5]];
    const { messages, answers } = await tapTfjs({ ...PORTS, backend }, files, ['doubled', 'x'], ranges);
    const blocks = (samples) => {
      const inside = { shape: [2], dtype: 'float32', computed_in: 'float32', inexact: 0 };
      return {
        tensors: [{ name: 'doubled', offset: 0, ...inside }, { name: 'x', offset: samples * 8, ...inside }],
        outputs: [{ name: 'y', offset: samples * 16, shape: [2], dtype: 'float32' }],
        failed: [],
        seconds: 0,
      };
    };
    assert.deepEqual(messages.slice(1), [
      { type: 'tapped', start: 0, stop: 3, ...blocks(3) },
      { type: 'tapped', start: 3, stop: 5, ...blocks(2) },
      { type: 'done' },
    ]);
    assert.deepEqual(answers, [
      { taps: { doubled: [2, 4, 6, 8, 10, 12], x: [1, 2, 3, 4, 5, 6] }, outputs: { y: [12, 24, 16, 28, 20, 32] } },
      { taps: { doubled: [14, 16, 18, 20], x: [7, 8, 9, 10] }, outputs: { y: [24, 36, 28, 40] } },
    ]);
    assert.equal(files.scratch.length, 3 * 24, 'no more than the longest request takes');
  });

  test(`outputs are those of an untapped run on ${backend}, bit for bit`, async () => {
    const nodes = [
      placeholder('x', 'float32', [2]), constant('kernel'),
      node('product', 'MatMul', ['x', 'kernel'], { transpose_a: { b: false }, transpose_b: { b: false } }),
      node('y', 'Softmax', ['product']),
    ];
    const kernel = { values: [0.1, -0.7, 1 / 3, 0.2], shape: [2, 2] };
    const files = { ...graphModel(nodes, { kernel }), 'x.npy': npy(X), 'y.npy': npy(new Float32Array(10)) };
    await runTfjs({ ...PORTS, backend }, files);
    const { answers } = await tapTfjs({ ...PORTS, backend }, files, ['product', 'y'], [[0, 5]]);
    assert.deepEqual(answers[0].outputs.y, elementsOf(files['y.npy'], Float32Array));
    assert.deepEqual(answers[0].taps.y, answers[0].outputs.y);
  });

  test(`memory does not grow with the requests on ${backend}, failing taps among them`, async () => {
    const counts = [];
    const names = ['doubled', 'gone', 'shape', 'bias'];
    const ranges = [[0, 5], [0, 5], [0, 3], [3, 5]];
    await tapTfjs({ ...PORTS, backend }, modelFiles(), names, ranges, () => counts.push(tf.memory().numTensors));
    const [ready, ...later] = counts.slice(0, -1);
    assert.deepEqual(later, Array(4).fill(ready));
    assert.equal(counts.at(-1), ready - 2, 'the weights are gone once it is done');
  });
}

test('what is no batch or not there is listed with its reason, and the rest arrives', async () => {
  const names = ['gone', 'shape', 'bias', 'two', 'doubled:0'];
  const { messages, answers } = await tapTfjs(PORTS, modelFiles(), names, [[0, 2], [2, 4]]);
  const notBatch = (shape) => `the first dimension of its shape is not the batch: for ${shape}`;
  for (const answer of messages.slice(1, 3)) {
    assert.deepEqual(answer.failed, [
      { name: 'gone', reason: 'the graph has no node of this name' },
      { name: 'two', reason: notBatch('2 samples it is []') },
      // With two samples, neither would be told from a batch by its length.
      { name: 'shape', reason: notBatch('3 samples it is [2]') },
      { name: 'bias', reason: notBatch('3 samples it is [2]') },
    ]);
  }
  assert.deepEqual(answers.map(({ taps }) => taps), [{ 'doubled:0': [2, 4, 6, 8] }, { 'doubled:0': [10, 12, 14, 16] }]);
});

test('a graph of a fixed batch is not fed another', async () => {
  const fixed = { name: 'x', op: 'Placeholder', attr: {
    dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [{ size: '1' }, { size: '2' }] } },
  } };
  const files = { ...modelFiles(), ...graphModel([fixed, ...NODES.slice(1)], WEIGHTS) };
  const { messages, answers } = await tapTfjs({ ...PORTS, batch_size: 1 }, files, ['doubled', 'bias'], [[0, 2]]);
  assert.deepEqual(answers[0].taps, { doubled: [2, 4, 6, 8] });
  assert.deepEqual(failuresOf(messages).map(({ name }) => name), ['bias']);
});

test('integers and truth values become float32, and what it cannot hold is counted', async () => {
  const nodes = [
    placeholder('x', 'int32', []), int32Constant('zero'), node('positive', 'Greater', ['x', 'zero']),
    node('same', 'Identity', ['x']), node('y', 'Identity', ['x']),
  ];
  const model = graphModel(nodes);
  const document = JSON.parse(model['model/model.json']);
  document.weightsManifest[0].weights = [{ name: 'zero', shape: [], dtype: 'int32' }];
  const files = {
    'model/model.json': JSON.stringify(document), 'model/shard.bin': new Uint8Array(4),
    'x.npy': npy(Int32Array.of(16777217, -3, 16777219, 16777216)),
  };
  const ports = { inputs: [tensor('x', 'int32', [])], outputs: [tensor('y', 'int64', [])], batch_size: 2, stop: 4 };
  const { messages, answers } = await tapTfjs(ports, files, ['same', 'positive'], [[0, 3]]);
  assert.deepEqual(answers, [{
    taps: { same: [16777216, -3, 16777220], positive: [1, 0, 1] }, outputs: { y: [16777217n, -3n, 16777219n] },
  }]);
  assert.deepEqual(messages[1].tensors.map(({ computed_in, inexact }) => [computed_in, inexact]), [
    ['int32', 2], ['bool', 0],
  ]);
  assert.deepEqual([...messages[1].tensors, ...messages[1].outputs].map(({ offset }) => offset), [0, 16, 32]);
});

test('a tap that the backend cannot compute does not keep the others away', async (context) => {
  context.mock.method(console, 'error', () => {});
  const nodes = [
    placeholder('x', 'float32', [2]), int32Constant('length'), node('spectrum', 'RFFT', ['x', 'length']),
    node('made_up', 'MadeUp', ['x']), node('y', 'Neg', ['x']),
  ];
  const files = { ...graphModel(nodes, { length: { values: [2], shape: [1] } }), 'x.npy': npy(X) };
  const { messages, answers } = await tapTfjs(PORTS, files, ['spectrum', 'made_up', 'y:1', 'y'], [[0, 5]]);
  const y = Array.from(X, (value) => -value);
  assert.deepEqual(answers, [{ taps: { y }, outputs: { y } }]);
  assert.deepEqual(failuresOf(messages), [
    { name: 'spectrum', reason: "the wasm backend of tfjs lacks the op 'Complex', which node 'spectrum' needs" },
    {
      name: 'made_up',
      reason: "tfjs could not compute it: Unknown op 'MadeUp'. File an issue at "
        + 'https://github.com/tensorflow/tfjs/issues so we can add it, or register a custom execution with '
        + 'tf.registerOp()',
    },
    { name: 'y:1', reason: 'its node gives no such tensor' },
  ]);
});

test('complex numbers cannot be read', async () => {
  const nodes = [
    placeholder('x', 'float32', [2]), node('pair', 'Complex', ['x', 'x']), node('y', 'Neg', ['x']),
  ];
  const files = { ...graphModel(nodes), 'x.npy': npy(X) };
  const { messages } = await tapTfjs({ ...PORTS, backend: 'cpu' }, files, ['pair'], [[0, 1]]);
  assert.deepEqual(failuresOf(messages), [
    { name: 'pair', reason: 'it is of the dtype complex64, and only numbers can be read' },
  ]);
});

/** Negate or square, by whether any sample asks for it. */
const BRANCHES = [
  placeholder('x', 'float32', [2]), placeholder('which', 'bool', []), int32Constant('axes'),
  node('any', 'Any', ['which', 'axes'], { keep_dims: { b: false } }), node('switch', 'Switch', ['x', 'any']),
  node('before', 'Abs', ['x']), node('off', 'Neg', ['switch:0']), node('on', 'Square', ['switch:1']),
  node('y', 'Merge', ['off', 'on'], { N: { i: '2' } }),
];
const BRANCH_PORTS = {
  batch_size: 1, stop: 4,
  inputs: [tensor('x', 'float32', [2]), tensor('which', 'bool', [], 1)], outputs: [tensor('y', 'float32', [2])],
};

function branchFiles(which) {
  const model = graphModel(BRANCHES);
  const document = JSON.parse(model['model/model.json']);
  document.weightsManifest[0].weights = [{ name: 'axes', shape: [1], dtype: 'int32' }];
  return {
    'model/model.json': JSON.stringify(document), 'model/shard.bin': new Uint8Array(4),
    'x.npy': npy(X), 'which.npy': npy(Uint8Array.from(which)),
  };
}

const NOT_TAKEN = 'it has no value for these samples, because they do not take its branch';

test('a branch that is not taken cannot be read, and one that stops being taken no longer', async () => {
  const counts = [];
  const { messages, answers } = await tapTfjs(
    BRANCH_PORTS, branchFiles([0, 0, 0, 1]), ['on', 'off', 'before', 'switch', 'y'], [[0, 1], [1, 2], [2, 4], [0, 1]],
    () => counts.push(tf.memory().numTensors),
  );
  const onlyOff = { taps: { off: [-1, -2], before: [1, 2], switch: [1, 2], y: [-1, -2] }, outputs: { y: [-1, -2] } };
  assert.deepEqual(answers, [
    onlyOff,
    { taps: { off: [-3, -4], before: [3, 4], switch: [3, 4], y: [-3, -4] }, outputs: { y: [-3, -4] } },
    { taps: { before: [5, 6, 7, 8], y: [-5, -6, 49, 64] }, outputs: { y: [-5, -6, 49, 64] } },
    { taps: { before: [1, 2], y: [-1, -2] }, outputs: { y: [-1, -2] } },
  ]);
  assert.deepEqual(messages.slice(1, 5).map(({ failed }) => failed.map(({ name }) => name)), [
    ['on'], ['on'], ['on', 'off', 'switch'], ['on', 'off', 'switch'],
  ]);
  assert.deepEqual(failuresOf(messages), ['on', 'off', 'switch'].map((name) => ({ name, reason: NOT_TAKEN })));
  assert.deepEqual(counts.slice(1, 5), Array(4).fill(counts[0]));
});

test('the inside of a loop cannot be read, and what leaves it can', async () => {
  const framed = { frame_name: { s: Buffer.from('frame').toString('base64') } };
  const nodes = [
    placeholder('x', 'float32', [2]), constant('limit'), constant('step'), constant('start'),
    node('count_in', 'Enter', ['start'], framed), node('value_in', 'Enter', ['x'], framed),
    node('count', 'Merge', ['count_in', 'count_next']), node('value', 'Merge', ['value_in', 'value_next']),
    node('limit_in', 'Enter', ['limit'], { ...framed, is_constant: { b: true } }),
    node('step_in', 'Enter', ['step'], { ...framed, is_constant: { b: true } }),
    node('less', 'Less', ['count', 'limit_in']), node('again', 'LoopCond', ['less']),
    node('count_switch', 'Switch', ['count', 'again']), node('value_switch', 'Switch', ['value', 'again']),
    node('count_more', 'AddV2', ['count_switch:1', 'step_in']),
    node('twice', 'AddV2', ['value_switch:1', 'value_switch:1']),
    node('count_next', 'NextIteration', ['count_more']), node('value_next', 'NextIteration', ['twice']),
    node('out', 'Exit', ['value_switch']), node('y', 'Neg', ['out']),
  ];
  const scalar = (value) => ({ values: [value], shape: [] });
  const files = {
    ...graphModel(nodes, { limit: scalar(3), step: scalar(1), start: scalar(0) }),
    'x.npy': npy(X), 'y.npy': npy(new Float32Array(10)),
  };
  const counts = [];
  const { messages, answers } = await tapTfjs(
    PORTS, files, ['x', 'twice', 'value_in', 'out', 'y'], [[0, 3], [3, 5], [0, 3]],
    () => counts.push(tf.memory().numTensors),
  );
  assert.deepEqual(answers[1], {
    taps: { x: [7, 8, 9, 10], out: [56, 64, 72, 80], y: [-56, -64, -72, -80] }, outputs: { y: [-56, -64, -72, -80] },
  });
  const reason = 'it is inside a loop, with a value per iteration; results of the loop can be read';
  assert.deepEqual(failuresOf(messages), [{ name: 'twice', reason }, { name: 'value_in', reason }]);
  assert.deepEqual(counts.slice(1, 4), Array(3).fill(counts[0]));
  await runTfjs(PORTS, files);
  assert.deepEqual([...answers[0].outputs.y, ...answers[1].outputs.y], elementsOf(files['y.npy'], Float32Array));
});

test('the nodes of a function are told from those that are not there', async () => {
  const files = modelFiles();
  const document = JSON.parse(files['model/model.json']);
  document.modelTopology.library = { function: [{
    signature: { name: 'body', inputArg: [], outputArg: [] }, nodeDef: [constant('inner')], ret: {},
  }] };
  files['model/model.json'] = JSON.stringify(document);
  const { messages } = await tapTfjs(PORTS, files, ['inner'], [[0, 1]]);
  assert.deepEqual(failuresOf(messages), [
    { name: 'inner', reason: 'it is inside a function called by the graph, whose tensors tfjs does not return' },
  ]);
});

test('tensors without elements', async () => {
  const nodes = [
    placeholder('x', 'float32', [2]), int32Constant('from'), int32Constant('sizes'),
    node('empty', 'Slice', ['x', 'from', 'sizes']), node('y', 'Neg', ['x']),
  ];
  const model = graphModel(nodes);
  const document = JSON.parse(model['model/model.json']);
  document.weightsManifest[0].weights = ['from', 'sizes'].map((name) => ({ name, shape: [2], dtype: 'int32' }));
  const files = {
    'model/model.json': JSON.stringify(document),
    'model/shard.bin': new Uint8Array(Int32Array.of(0, 0, -1, 0).buffer), 'x.npy': npy(X),
  };
  const { messages, answers } = await tapTfjs(PORTS, files, ['empty'], [[0, 3]]);
  assert.deepEqual(messages[1].tensors.map(({ offset, shape }) => [offset, shape]), [[0, [0]]]);
  assert.deepEqual(answers[0].taps, { empty: [] });
});

for (const { name, request } of [
  { name: 'nothing', request: [undefined, undefined] },
  { name: 'no samples', request: [2, 2] },
  { name: 'samples before the first', request: [-1, 2] },
  { name: 'samples after the last', request: [4, 6] },
  { name: 'half a sample', request: [0, 0.5] },
]) {
  test(`refuses a request for ${name}`, async () => {
    const [start, stop] = request;
    const { messages } = await tapTfjs(PORTS, modelFiles(), ['doubled'], [request]);
    assert.deepEqual(messages.at(-1), {
      type: 'failed',
      reason: `a request was ${JSON.stringify({ start, stop })}, and it must name samples from "start" to one past the `
        + 'last, "stop", among the 5 there are',
    });
  });
}

const HERE = import.meta.dirname;
const BUNDLE = path.join(HERE, 'dist', 'node.cjs');
const options = { skip: !fs.existsSync(BUNDLE) && 'there is no dist/node.cjs; make it with: node bundle.mjs' };

/** The bundle in a folder with files: `ask` sends a request for samples of a job, and waits for what it is answered. */
function startBundle(files, context) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'quantlab-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), content);
  }
  const child = spawn(process.execPath, [BUNDLE], { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  context.after(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const send = (asked) => child.stdin.write(`${JSON.stringify(asked)}\n`);
  const receive = async () => {
    const messages = [];
    do {
      messages.push(JSON.parse((await lines.next()).value));
    } while (!['done', 'failed'].includes(messages.at(-1).type));
    return messages;
  };
  return {
    ask: (asked, start, stop) => {
      send({ request: 'tap', job: asked, start, stop });
      return receive();
    },
    run: (asked) => {
      send({ request: 'run', job: asked });
      return receive();
    },
    read: (name) => new Uint8Array(fs.readFileSync(path.join(folder, name))),
    end: async () => {
      child.stdin.end();
      return (await exited)[0];
    },
    vanish: (asked) => {
      child.stdout.destroy();
      child.stdin.end(`${JSON.stringify(asked)}\n`);
    },
    exited,
  };
}

const kinds = (messages) => messages.map(({ type }) => type);

const TAPPED_JOB = job({ ...PORTS, taps: { file: 'scratch.bin', names: ['doubled'], positions: null } });

test('the bundle answers on standard input until that ends', options, async (context) => {
  const bundle = startBundle(modelFiles(), context);
  const asked = [
    [0, [2, 4, 6, 8, 10, 12], ['ready', 'tapped', 'done']], [2, [10, 12, 14, 16, 18, 20], ['tapped', 'done']],
  ];
  for (const [start, expected, said] of asked) {
    const messages = await bundle.ask(TAPPED_JOB, start, start + 3);
    assert.deepEqual(kinds(messages), said);
    const answer = messages.at(-2);
    assert.ok(answer.seconds > 0);
    assert.deepEqual(contentOf(answer, bundle.read('scratch.bin')).taps.doubled, expected);
  }
  assert.equal(await bundle.end(), 0);
});

test('a request that fails ends with the reason', options, async (context) => {
  const bundle = startBundle(modelFiles(), context);
  assert.deepEqual(kinds(await bundle.ask(TAPPED_JOB, 4, 9)), ['ready', 'failed']);
  const { taps, ...untapped } = TAPPED_JOB;
  assert.deepEqual(await bundle.ask(untapped, 0, 1), [{
    type: 'failed', reason: 'a request for taps needs a job that names its taps',
  }]);
});

test('the bundle ends when its parent is gone in the middle of a request', options, async (context) => {
  const bundle = startBundle(modelFiles(), context);
  await bundle.ask(TAPPED_JOB, 0, 1);
  bundle.vanish({ request: 'tap', job: TAPPED_JOB, start: 0, stop: 5 });
  const [status] = await bundle.exited;
  assert.notEqual(status, 0);
});

const ZEBRA = Float32Array.of(0.5, -0.5, 1, 0, 0, 0, 0.25, 1, 1, 1, 1, 1);
const TFLITE = {
  format: 'tflite', artifact: path.join(HERE, 'fixtures', 'taps.tflite'), backend: '', batch_size: 2, stop: 3,
  inputs: [tensor('zebra', 'float32', [4])], outputs: [tensor('yak', 'float32', [2, 2])],
};
const STEP = Math.fround(2 / 255);

test('outputs appended to a .tflite file are read by their place', options, async (context) => {
  const taps = { file: 'scratch.bin', names: ['mul', 'softmax', 'gone'], positions: [1, 2, 3] };
  const files = { 'zebra.npy': npy(ZEBRA), 'yak.npy': npy(new Float32Array(12)) };
  const bundle = startBundle(files, context);
  const inside = { shape: [4], dtype: 'float32', computed_in: 'float32', inexact: 0 };
  const answers = [];
  for (const [start, stop] of [[0, 3], [1, 2]]) {
    const messages = await bundle.ask(job({ ...TFLITE, taps }), start, stop);
    const answer = messages.at(-2);
    if (messages.length === 3) assert.equal(messages[0].ran_on, 'node-wasm');
    answers.push(contentOf(answer, bundle.read('scratch.bin')));
    assert.deepEqual({ ...answer, seconds: 0 }, {
      type: 'tapped', start, stop,
      tensors: [{ name: 'mul', offset: 0, ...inside }],
      outputs: [{ name: 'yak', offset: (stop - start) * 16, shape: [2, 2], dtype: 'float32' }],
      failed: [
        { name: 'softmax', reason: 'the first dimension of its shape is not the batch of 1: it is [2, 2]' },
        { name: 'gone', reason: "it is none of the file's 3 outputs" },
      ],
      seconds: 0,
    });
  }
  const codes = answers[0].taps.mul.map((value) => Math.round(value / STEP));
  assert.deepEqual(codes, [128, 0, 254, 0, 0, 0, 64, 254, 254, 254, 254, 254]);
  assert.deepEqual(answers[1].taps.mul, answers[0].taps.mul.slice(4, 8));

  assert.deepEqual(kinds(await bundle.run(job(TFLITE))).at(-1), 'done');
  assert.deepEqual(answers[0].outputs.yak, elementsOf(bundle.read('yak.npy'), Float32Array));
  assert.equal(await bundle.end(), 0);
});

test('a kept process reads inside several variants, each of which it opens once', options, async (context) => {
  const files = { ...modelFiles(), 'zebra.npy': npy(ZEBRA), 'yak.npy': npy(new Float32Array(12)) };
  const tfjs = job({ ...PORTS, taps: { file: 'tfjs.bin', names: ['doubled'] } });
  const tflite = job({ ...TFLITE, taps: { file: 'tflite.bin', names: ['mul'], positions: [1] } });
  const expected = new Map();
  for (const asked of [tfjs, tflite]) {
    const alone = startBundle(files, context);
    const answer = (await alone.ask(asked, 1, 3)).at(-2);
    expected.set(asked, contentOf(answer, alone.read(asked.taps.file)));
    await alone.end();
  }
  const shared = startBundle(files, context);
  for (const [asked, others] of [[tfjs, ['ready']], [tflite, ['ready']], [tfjs, []], [tflite, []]]) {
    const messages = await shared.ask(asked, 1, 3);
    assert.deepEqual(kinds(messages), [...others, 'tapped', 'done']);
    assert.deepEqual(contentOf(messages.at(-2), shared.read(asked.taps.file)), expected.get(asked));
  }
  assert.deepEqual(kinds(await shared.run(job({ ...PORTS, stop: 5 }))),
    ['ready', 'progress', 'progress', 'progress', 'repeated', 'done']);
  assert.equal((await shared.ask(tfjs, 4, 9)).at(-1).type, 'failed');
  assert.equal(await shared.end(), 0);
});
