import assert from 'node:assert/strict';
import { test } from 'node:test';

import { runExperiment, Stopped } from './experiment.mjs';
import { headline, sentences } from './trials.mjs';

const ROWS = 40;

/** Probabilities of two classes, of which some samples are turned. @param {number} turned */
function outputs(turned) {
  const data = Float32Array.from({ length: 2 * ROWS }, (_, at) => {
    const first = (Math.floor(at / 2) < turned) !== (at % 2 === 0);
    return first ? 0.75 : 0.25;
  });
  return new Map([['answer', { shape: [ROWS, 2], dtype: 'float32', data }]]);
}

const ARTIFACT = Object.freeze({
  format: 'tfjs', name: 'model', setting: 'as-given', files: new Map(), stored: { float32: 400 },
  inputs: [{ name: 'x', shape: [2], dtype: 'float32' }], outputs: [{ name: 'answer', shape: [2], dtype: 'float32' }],
});

const SAMPLES = Object.freeze({
  inputs: new Map([['x', { shape: [ROWS, 2], dtype: 'float32', data: new Float32Array(2 * ROWS) }]]), n: ROWS,
  labels: new Int32Array(ROWS), names: [], classNames: null, sha256: '', notes: [],
});

const TURNED = Object.freeze({ 'as-given': 0, 'tfjs-float16': 0, 'tfjs-uint8': 30 });
const BYTES = Object.freeze({ 'as-given': 400, 'tfjs-float16': 200, 'tfjs-uint8': 100 });

/** An engine that runs nothing. */
function engine(measure = async () => {}) {
  return {
    makeVariant: async (artifact, setting) => {
      if (!(setting in BYTES)) throw new Error('it has no float weights');
      return { ...artifact, setting };
    },
    downloadBytes: async ({ setting }) => ({ gzip: BYTES[setting], bytes: BYTES[setting] }),
    measure: async (artifact, samples, running) => {
      await measure(artifact, samples, running);
      return {
        outputs: outputs(TURNED[artifact.setting] ?? 0), ranOn: `node-${running.backend}`, environment: {}, seconds: 1,
        timedSamples: ROWS, timed: true, repeated: [], notes: [`ran on ${running.backend}`],
      };
    },
    compareLayers: async () => [{ layer: 'dense' }],
    runtimeOf: (backend) => `node-${backend}`,
  };
}

const PLAN = Object.freeze({
  artifact: ARTIFACT, given: [], samples: SAMPLES, settings: ['tfjs-float16', 'tfjs-uint8'], backends: ['wasm', 'webgl'],
  references: ['wasm', 'cpu'], batchSize: 32, layerSamples: 8,
});

const silent = () => {};
const nine = async () => ({ gzip: 9, bytes: 9 });
const going = () => new AbortController().signal;

test('experiment: each setting is measured in each runtime, and its layers are compared', async () => {
  const { measured, layers, referenceBackend } = await runExperiment(engine(), PLAN, silent, going());
  assert.equal(referenceBackend, 'wasm');
  assert.deepEqual(measured.trials.map(({ setting, runtime, row }) => [setting, runtime, row?.scores.top1]), [
    ['tfjs-float16', 'node-wasm', 100], ['tfjs-float16', 'node-webgl', 100], ['tfjs-uint8', 'node-wasm', 25],
    ['tfjs-uint8', 'node-webgl', 25],
  ]);
  assert.deepEqual(layers.map(({ setting, rows }) => [setting, rows.length]), [['tfjs-float16', 1], ['tfjs-uint8', 1]]);
});

test('experiment: the headline names the smallest, and the smallest without a loss', async () => {
  const { measured } = await runExperiment(engine(), PLAN, silent, going());
  assert.deepEqual(headline(measured), {
    claim: 'The smallest setting is tfjs-uint8: 0.1 KB gzipped, 25 % of what was dropped.',
    evidence: 'Its loss of top-1 is 75.00 [59.67, 85.81] points in node-wasm, n = 40: it loses, and at most 85.81 points, '
      + 'with 95 % confidence. The smallest of which the samples show no loss is tfjs-float16, 0.2 KB: '
      + '0.00 [−8.76, 8.76].',
  });
});

test('experiment: a note of a runtime is said once', async () => {
  const { measured } = await runExperiment(engine(), PLAN, silent, going());
  assert.deepEqual(sentences(measured.trials).notes.filter((note) => note.includes('ran on')), [
    'node-wasm: ran on wasm', 'node-webgl: ran on webgl',
  ]);
});

test('experiment: a setting that cannot be made is a row with its reason', async () => {
  const plan = { ...PLAN, settings: ['tfjs-int4', 'tfjs-float16'] };
  const { measured } = await runExperiment(engine(), plan, silent, going());
  assert.deepEqual(measured.trials.map(({ setting, reason }) => [setting, reason]), [
    ['tfjs-int4', 'it has no float weights'], ['tfjs-float16', null], ['tfjs-float16', null],
  ]);
  assert.deepEqual(sentences(measured.trials).failures, ['tfjs-int4: it has no float weights']);
});

test('experiment: a runtime that fails is a row, and the reference runs where it can', async () => {
  const lacking = engine(async (_, __, { backend }) => {
    if (backend === 'wasm') throw new Error('wasm has no Einsum');
  });
  const { measured, referenceBackend } = await runExperiment(lacking, PLAN, silent, going());
  assert.equal(referenceBackend, 'cpu');
  assert.deepEqual(measured.trials.map(({ runtime, reason }) => [runtime, reason]), [
    ['node-wasm', 'wasm has no Einsum'], ['node-webgl', null], ['node-wasm', 'wasm has no Einsum'], ['node-webgl', null],
  ]);
});

test('experiment: a reference that runs nowhere is an error with each reason once', async () => {
  const broken = engine(async () => {
    throw new Error('out of memory');
  });
  await assert.rejects(runExperiment(broken, PLAN, silent, going()), { message: 'out of memory' });
});

test('experiment: what was measured before a stop is kept', async () => {
  const stopping = new AbortController();
  let runs = 0;
  const counting = engine(async () => {
    runs += 1;
    if (runs === 3) {
      stopping.abort();
      throw new Error('ended');
    }
  });
  const { measured, layers } = await runExperiment(counting, PLAN, silent, stopping.signal);
  assert.equal(measured.stopped, true);
  assert.deepEqual(measured.trials.map(({ runtime }) => runtime), ['node-wasm']);
  assert.deepEqual(layers, []);
});

test('experiment: a stop before the reference is an error', async () => {
  const stopped = new AbortController();
  stopped.abort();
  await assert.rejects(runExperiment(engine(), PLAN, silent, stopped.signal), Stopped);
});

test('experiment: a given file with other names of inputs and outputs is matched by order', async () => {
  const given = {
    ...ARTIFACT, setting: 'published', inputs: [{ name: 'serving_x', shape: [2], dtype: 'float32' }],
    outputs: [{ name: 'Identity', shape: [2], dtype: 'float32' }],
  };
  const fed = [];
  const other = engine();
  const measure = async (artifact, samples, running) => {
    fed.push([...samples.inputs.keys()]);
    const run = await other.measure(artifact, samples, running);
    return artifact === given ? { ...run, outputs: new Map([['Identity', outputs(4).get('answer')]]) } : run;
  };
  const plan = { ...PLAN, settings: [], given: [given], backends: ['wasm'] };
  const { measured } = await runExperiment({ ...other, measure, downloadBytes: nine }, plan, silent, going());
  assert.deepEqual(fed, [['x'], ['serving_x']]);
  assert.equal(measured.trials[0].row.scores.right_to_wrong, 4);
});

test('experiment: a given file with another number of inputs is a row', async () => {
  const given = { ...ARTIFACT, setting: 'two', inputs: [...ARTIFACT.inputs, ...ARTIFACT.inputs] };
  const plan = { ...PLAN, settings: [], given: [given], backends: ['wasm'] };
  const { measured } = await runExperiment({ ...engine(), downloadBytes: nine }, plan, silent, going());
  assert.equal(measured.trials[0].reason, 'it takes 2 inputs, and model takes 1; drop another export of the same model');
});

test('experiment: progress goes up to the whole', async () => {
  const shares = [];
  const telling = engine(async (_, __, { onProgress }) => onProgress(ROWS, ROWS));
  await runExperiment(telling, PLAN, (_, share) => shares.push(share), going());
  assert.deepEqual(shares, [...shares].sort((one, other) => one - other));
  assert.ok(shares.at(-1) > 0.8 && shares.at(-1) <= 1);
});
