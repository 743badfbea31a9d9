// Bare tapped inference of a tfjs graph-model in Node on wasm: `node bare_tapped_node.cjs JS JOB.json`. Every tensor
// that quantlab reads is downloaded and dropped. Prints the milliseconds a sample, best of several passes.
const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const [js, jobFile] = process.argv.slice(2);
const job = JSON.parse(fs.readFileSync(jobFile, 'utf8'));
const load = createRequire(path.join(js, 'package.json'));

// Version 1 of .npy: magic, two bytes of version, two bytes of the header's length, the header, the data.
function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const length = bytes.readUInt16LE(8);
  const header = bytes.subarray(10, 10 + length).toString();
  const shape = JSON.parse(`[${/'shape': \(([^)]*)\)/.exec(header)[1].replace(/,\s*$/, '')}]`);
  const data = bytes.buffer.slice(bytes.byteOffset + 10 + length, bytes.byteOffset + bytes.length);
  return { data: new Float32Array(data), shape: [Math.min(job.count, shape[0]), ...shape.slice(1)] };
}

async function openModel(tf) {
  const { loadGraphModel } = load('@tensorflow/tfjs-converter');
  const wasm = load('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${path.join(js, 'dist')}/`);
  await tf.setBackend('wasm');
  const json = JSON.parse(fs.readFileSync(path.join(job.artifact, 'model.json'), 'utf8'));
  const files = json.weightsManifest.flatMap((group) => group.paths);
  const joined = Buffer.concat(files.map((file) => fs.readFileSync(path.join(job.artifact, file))));
  return loadGraphModel(tf.io.fromMemory({
    modelTopology: json.modelTopology, signature: json.signature, format: json.format,
    weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
    weightData: joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length),
  }));
}

async function pass(tf, model, { data, shape }, count) {
  const size = shape.slice(1).reduce((product, each) => product * each, 1);
  const began = performance.now();
  for (let start = 0; start < count; start += job.batch) {
    const stop = Math.min(start + job.batch, count);
    const batch = tf.tensor(data.subarray(start * size, stop * size), [stop - start, ...shape.slice(1)]);
    const outputs = model.execute(batch, job.taps);
    for (const output of outputs) await output.data();
    tf.dispose([batch, ...outputs]);
  }
  return performance.now() - began;
}

(async () => {
  const tf = load('@tensorflow/tfjs-core');
  const model = await openModel(tf);
  const samples = readNpy(job.samples);
  const count = samples.shape[0];
  await pass(tf, model, samples, Math.min(count, 2 * job.batch));
  let best = Infinity;
  for (let round = 0; round < job.rounds; round += 1) best = Math.min(best, await pass(tf, model, samples, count));
  fs.writeSync(1, `${JSON.stringify(best / count)}\n`);
})().catch((error) => { console.error(error); process.exit(1); });
