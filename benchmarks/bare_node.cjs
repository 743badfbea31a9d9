// The floor's loops in Node: `node bare_node.cjs JS SAMPLES.npy ARTIFACTS`; answers are computed and dropped.
const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const [js, samplesFile, artifacts] = process.argv.slice(2);
const load = createRequire(path.join(js, 'package.json'));
const BATCH = 32;

// Version 1 of .npy: magic, two bytes of version, two bytes of the header's length, the header, the data.
function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const length = bytes.readUInt16LE(8);
  const shape = JSON.parse(`[${/'shape': \(([^)]*)\)/.exec(bytes.subarray(10, 10 + length).toString())[1].replace(/,\s*$/, '')}]`);
  const data = bytes.buffer.slice(bytes.byteOffset + 10 + length, bytes.byteOffset + bytes.length);
  return { data: new Float32Array(data), shape };
}

async function loopTfjs({ data, shape }) {
  const tf = load('@tensorflow/tfjs-core');
  const { loadGraphModel } = load('@tensorflow/tfjs-converter');
  const wasm = load('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${path.join(js, 'dist')}/`);
  await tf.setBackend('wasm');
  const size = data.length / shape[0];
  for (const name of fs.readdirSync(artifacts).filter((each) => each.startsWith('tfjs-'))) {
    const folder = path.join(artifacts, name);
    const json = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf8'));
    const shards = json.weightsManifest.flatMap((group) => group.paths).map((file) => fs.readFileSync(path.join(folder, file)));
    const joined = Buffer.concat(shards);
    const model = await loadGraphModel(tf.io.fromMemory({
      modelTopology: json.modelTopology, signature: json.signature, format: json.format,
      weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
      weightData: joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length),
    }));
    for (let start = 0; start < shape[0]; start += BATCH) {
      const stop = Math.min(start + BATCH, shape[0]);
      const batch = tf.tensor(data.subarray(start * size, stop * size), [stop - start, ...shape.slice(1)]);
      const output = model.execute(batch);
      await output.data();
      tf.dispose([batch, output]);
    }
  }
}

async function loopTflite({ data, shape }) {
  const directory = path.join(js, 'dist', 'litert');
  Object.assign(globalThis, { self: globalThis, require, __dirname: directory, __filename: path.join(directory, 'x.js') });
  globalThis.importScripts = (url) => (0, eval)(fs.readFileSync(String(url).replace(/^file:\/\//, ''), 'utf8'));
  const { loadLiteRt, loadAndCompile, Tensor } = await import(load.resolve('@litertjs/core'));
  await loadLiteRt(directory);
  const size = data.length / shape[0];
  for (const name of fs.readdirSync(artifacts).filter((each) => each.endsWith('.tflite'))) {
    const model = await loadAndCompile(new Uint8Array(fs.readFileSync(path.join(artifacts, name))), { accelerator: 'wasm' });
    for (let sample = 0; sample < shape[0]; sample += 1) {
      const input = new Tensor(data.slice(sample * size, (sample + 1) * size), [1, ...shape.slice(1)]);
      const [output] = await model.run(input);
      output.toTypedArray();
      output.delete();
      input.delete();
    }
  }
}

(async () => {
  const samples = readNpy(samplesFile);
  await loopTfjs(samples);
  await loopTflite(samples);
})().catch((error) => { console.error(error); process.exit(1); });
