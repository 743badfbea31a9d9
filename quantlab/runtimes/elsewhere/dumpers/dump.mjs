// Runs a model on the inputs that `quantlab export inputs` wrote, and writes outputs.npz for `quantlab import`.
// For Node.js and browsers, without dependencies; the runtime is passed by the caller. License: MIT-0.
//
//   import { readInputs, Outputs } from './dump.mjs';
//   const inputs = await readInputs('inputs');           // a folder in Node.js, an address in a browser
//   const outputs = new Outputs(inputs, { app: '1.2.3' });
//   for (const batch of inputs.batches(1)) outputs.add(batch, { probabilities: await myApp(batch.tensors.image) });
//   const bytes = outputs.npz();                         // a Uint8Array: write it to a file, or let the user save it
//
// Three runners call a runtime for you: runTfjs(tf, model, inputs), runLiteRt(tf, model, inputs), and
// runOnnx(ort, session, inputs). In Node.js, this file is also a program:
//
//   npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm      in the folder of this file; without the second package,
//   node dump.mjs web/model.json inputs outputs.npz                 the slow backend `cpu` runs the model
//
//   npm install onnxruntime-web
//   node dump.mjs model.onnx inputs outputs.npz
//
// The folder of `export inputs --layers` asks for tensors inside the artifact instead of its outputs. TensorFlow.js reads
// them from the artifact itself; for ONNX Runtime and LiteRT.js the folder has a copy that returns them.

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
  bool: Uint8Array,
};
const DESCR = {
  float32: '<f4', float64: '<f8', int8: '|i1', uint8: '|u1', int16: '<i2', uint16: '<u2', int32: '<i4',
  uint32: '<u4', int64: '<i8', uint64: '<u8', bool: '|b1',
};

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  return value;
});

/** CRC-32 of bytes as in zlib, continued from that of the bytes before. */
export function crc32(bytes, before = 0) {
  let value = ~before;
  for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 0xff];
  return ~value >>> 0;
}

/** Reads the manifest and the tensors; `read(name)` returns the bytes of a file, by default from a folder or address. */
export async function readInputs(place, read = readerOf(place)) {
  const manifest = JSON.parse(new TextDecoder().decode(await read('inputs.json')));
  if (manifest.format !== 'quantlab inputs 1') throw new Error('inputs.json was not written by quantlab export inputs');
  const files = {};
  for (const input of manifest.inputs) files[input.name] = await read(input.file);
  return new Inputs(manifest, files);
}

function readerOf(place) {
  const inNode = typeof process !== 'undefined' && process.versions?.node && !/^https?:/.test(place);
  return async (name) => {
    if (inNode) return new Uint8Array(await (await import('node:fs/promises')).readFile(`${place}/${name}`));
    const answer = await fetch(`${place}/${name}`);
    if (!answer.ok) throw new Error(`${place}/${name}: ${answer.status} ${answer.statusText}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
}

/** The samples: `n` of them, and `manifest` with names, shapes and data types of inputs and outputs. */
export class Inputs {
  constructor(manifest, files) {
    this.manifest = manifest;
    this.n = manifest.n;
    this.files = files;
  }

  /** Yields consecutive samples: `start`, `count`, `tensors` by input (typed arrays), and `shapes` of these. */
  *batches(size) {
    for (let start = 0; start < this.n; start += size) {
      const count = Math.min(size, this.n - start);
      const [tensors, shapes] = [{}, {}];
      for (const { name, dtype, shape, sample_bytes: step } of this.manifest.inputs) {
        const bytes = this.files[name].slice(start * step, (start + count) * step);
        tensors[name] = new ARRAYS[dtype](bytes.buffer);
        shapes[name] = [count, ...shape];
      }
      yield { start, count, tensors, shapes };
    }
  }
}

/** Collects outputs, and the checksum of each sample that was fed. */
export class Outputs {
  constructor(inputs, environment = {}) {
    this.inputs = inputs;
    this.environment = environment;
    this.crc32 = new Uint32Array(inputs.n);
    this.rows = new Map();
    this.shapes = new Map();
    this.seen = 0;
  }

  /**
   * Adds the outputs of a batch, by output: typed arrays or flat arrays of float32, of all its samples in a row.
   * `shapes` are those of the batch, by output; without them, the shapes of the manifest are written.
   */
  add(batch, outputs, shapes = {}) {
    if (batch.start !== this.seen) throw new Error(`the next sample is ${this.seen}, and ${batch.start} was added`);
    this.seen += batch.count;
    for (let sample = 0; sample < batch.count; sample += 1) {
      this.crc32[batch.start + sample] = this.inputs.manifest.inputs.reduce((before, { name, sample_bytes: step }) => {
        const { buffer, byteOffset } = batch.tensors[name];
        return crc32(new Uint8Array(buffer, byteOffset + sample * step, step), before);
      }, 0);
    }
    for (const [name, given] of Object.entries(outputs)) {
      const values = ArrayBuffer.isView(given) ? given.slice() : Float32Array.from(given);
      if (values.length % batch.count) throw new Error(`${values.length} values of '${name}' for ${batch.count} samples`);
      if (!this.rows.has(name)) this.rows.set(name, []);
      if (shapes[name]) this.shapes.set(name, shapes[name].slice(1));
      this.rows.get(name).push(values);
    }
  }

  /** The bytes of outputs.npz. */
  npz() {
    if (this.seen !== this.inputs.n) throw new Error(`outputs of ${this.seen} of ${this.inputs.n} samples were added`);
    const text = (value) => npy('|u1', [new TextEncoder().encode(value)]);
    const files = { __samples_sha256__: text(this.inputs.manifest.samples_sha256), __crc32__: npy('<u4', [this.crc32]) };
    files.__environment__ = text(JSON.stringify(this.environment));
    for (const [name, parts] of this.rows) files[name] = npy(descrOf(parts[0]), parts, this.shapeOf(name, parts));
    return zip(files);
  }

  shapeOf(name, parts) {
    const each = parts.reduce((sum, part) => sum + part.length, 0) / this.inputs.n;
    const known = this.shapes.get(name) ?? this.inputs.manifest.outputs.find((output) => output.name === name)?.shape;
    const fits = known?.every((size) => size !== null) && known.reduce((product, size) => product * size, 1) === each;
    return [this.inputs.n, ...(fits ? known : [each])];
  }
}

function descrOf(values) {
  const dtype = Object.keys(DESCR).find((name) => ARRAYS[name] === values.constructor);
  if (!dtype) throw new Error(`${values.constructor.name} cannot be written`);
  return DESCR[dtype];
}

/** A .npy file of version 1: a magic word, a header that is padded to 64 bytes, and the values. */
function npy(descr, parts, shape = [parts[0].length]) {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, padded.length & 0xff, padded.length >> 8];
  return joined([Uint8Array.from(head), new TextEncoder().encode(padded), ...parts]);
}

/** A zip file without compression. */
function zip(files) {
  const [local, central] = [[], []];
  let offset = 0;
  for (const [name, data] of Object.entries(files)) {
    const path = new TextEncoder().encode(`${name}.npy`);
    // Version 2.0, names in UTF-8, stored, 1 January 1980, checksum, sizes, length of the name, no extra fields.
    const about = fields([[2, 20], [2, 0x800], [2, 0], [2, 0], [2, 0x21], [4, crc32(data)], [4, data.length],
      [4, data.length], [2, path.length], [2, 0]]);
    local.push(fields([[4, 0x04034b50]]), about, path, data);
    central.push(fields([[4, 0x02014b50], [2, 20]]), about, fields([[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
    offset += 30 + path.length + data.length;
  }
  const size = central.reduce((sum, part) => sum + part.length, 0);
  if (offset + size >= 2 ** 32) throw new Error('outputs of 4 GB do not fit into one file; run fewer samples');
  const count = Object.keys(files).length;
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]]);
  return joined([...local, ...central, end]);
}

/** Little-endian integers of 2 or 4 bytes. */
function fields(pairs) {
  const view = new DataView(new ArrayBuffer(pairs.reduce((sum, [size]) => sum + size, 0)));
  let offset = 0;
  for (const [size, value] of pairs) {
    if (size === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    offset += size;
  }
  return new Uint8Array(view.buffer);
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offset);
    offset += part.byteLength;
  }
  return whole;
}

/** Runs a loaded tfjs graph-model or layers-model; `tf` is TensorFlow.js with a backend. */
export async function runTfjs(tf, model, inputs, environment = {}) {
  const about = { tfjs: tf.version_core ?? tf.version?.tfjs, backend: tf.getBackend(), ...environment };
  const outputs = new Outputs(inputs, about);
  const { inputs: feeds, outputs: ports, batch_size: size, layers: inside } = inputs.manifest;
  const layers = model.inputNames !== undefined;
  const predict = layers && inside ? layerReader(tf, model, ports.map(({ tensor }) => tensor))
    : (tensors) => [model.predict(tensors.length > 1 ? tensors : tensors[0])].flat();
  // Without `:0`, the name of a node could also be one of the signature.
  const wanted = ports.map(({ tensor }) => (inside && !tensor.includes(':') ? `${tensor}:0` : tensor));
  for (const batch of inputs.batches(size)) {
    const tensors = feeds.map(({ name, dtype }) => {
      const kind = { float32: 'float32', bool: 'bool' }[dtype] ?? 'int32';
      const values = kind === 'int32' ? Int32Array.from(batch.tensors[name], Number) : batch.tensors[name];
      return tf.tensor(values, batch.shapes[name], kind);
    });
    const named = Object.fromEntries(feeds.map(({ tensor }, place) => [tensor, tensors[place]]));
    const results = layers ? predict(tensors) : [await execute(model, named, wanted)].flat();
    const values = await Promise.all(results.map((result) => result.data()));
    const byName = (list) => Object.fromEntries(ports.map(({ name }, place) => [name, list[place]]));
    outputs.add(batch, byName(values), inside ? byName(results.map(({ shape }) => shape)) : {});
    tf.dispose([tensors, results]);
  }
  return outputs;
}

/**
 * Computes outputs of layers, by a model with the same layers. The name of a tensor is that of its layer, with the number
 * of the call if the model calls the layer again: `dense:1`.
 */
function layerReader(tf, model, names) {
  const calls = (model.model ?? model).containerNodes;  // a Sequential keeps its graph in an inner model
  const tensors = names.map((name) => {
    const [layerName, call = '0'] = name.split(':');
    const layer = model.layers.find((candidate) => candidate.name === layerName);
    const nodes = layer?.inboundNodes.filter((_, place) => calls.has(`${layerName}_ib-${place}`)) ?? [];
    if (!nodes[Number(call)]) throw new Error(`the model has no layer '${name}'; run the artifact of the manifest`);
    return nodes[Number(call)].outputTensors[0];
  });
  const once = [...new Set(tensors)];  // an output that is requested twice would be computed only once
  const reader = tf.model({ inputs: model.inputs, outputs: once });
  return (feeds) => {
    const results = [reader.predictOnBatch(feeds)].flat();
    return tensors.map((tensor) => results[once.indexOf(tensor)]);
  };
}

/** Models with control flow or computed sizes need the asynchronous call, of which TensorFlow.js says so in an error. */
async function execute(model, named, wanted) {
  try {
    return model.execute(named, wanted);
  } catch (error) {
    if (!/executeAsync/.test(error.message)) throw error;
    return model.executeAsync(named, wanted);
  }
}

/** Runs a model that LiteRT.js has compiled; `litert` is the module @litertjs/core. One sample per call. */
export async function runLiteRt(litert, model, inputs, environment = {}) {
  const outputs = new Outputs(inputs, { runtime: 'LiteRT.js', ...environment });
  const { inputs: feeds, outputs: ports } = inputs.manifest;
  for (const batch of inputs.batches(1)) {
    const tensors = [];
    for (const { name, position } of feeds) {
      tensors[position] = new litert.Tensor(batch.tensors[name], batch.shapes[name]);
    }
    const results = await model.run(tensors);
    const given = {};
    for (const { name, position } of ports) given[name] = await results[position].data();
    outputs.add(batch, given);  // the manifest has the shapes, also of tensors inside
    for (const one of [...tensors, ...results]) one.delete();
  }
  return outputs;
}

/** Runs a session of ONNX Runtime; `ort` is onnxruntime-web or onnxruntime-node. One sample per call. */
export async function runOnnx(ort, session, inputs, environment = {}) {
  const outputs = new Outputs(inputs, { 'onnxruntime': ort.env?.versions?.common, ...environment });
  const { inputs: feeds, outputs: ports } = inputs.manifest;
  for (const batch of inputs.batches(1)) {
    const feed = {};
    for (const { name, tensor, dtype } of feeds) {
      feed[tensor] = new ort.Tensor(dtype, batch.tensors[name], batch.shapes[name]);
    }
    const results = await session.run(feed);
    const byName = (field) => Object.fromEntries(ports.map(({ name, tensor }) => [name, results[tensor][field]]));
    outputs.add(batch, byName('data'), byName('dims'));
  }
  return outputs;
}

async function main([model, place, file]) {
  const fs = await import('node:fs/promises');
  const runners = { '.json': runTfjsFile, '.onnx': runOnnxFile };
  const runner = runners[model?.match(/\.\w+$/)?.[0]];
  if (!runner || !file) throw new Error('usage: node dump.mjs MODEL.json|MODEL.onnx INPUTS OUTPUTS.npz');
  const outputs = await runner(model, await readInputs(place), fs);
  const { createHash } = await import('node:crypto');
  outputs.environment.model_sha256 = createHash('sha256').update(await fs.readFile(model)).digest('hex');
  await fs.writeFile(file, outputs.npz());
  console.log(`wrote ${file}`);
}

/** Imports a package, or says how it is installed. */
async function installed(name, packages = name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || !error.message.includes(`'${name}'`)) throw error;
    const { fileURLToPath } = await import('node:url');
    const folder = fileURLToPath(new URL('.', import.meta.url));
    throw new Error(`the package ${name} was not found; run 'npm install ${packages}' in '${folder}', or put dump.mjs into a `
      + 'project that has it');
  }
}

async function runTfjsFile(path, inputs, fs) {
  const tf = await installed('@tensorflow/tfjs', '@tensorflow/tfjs @tensorflow/tfjs-backend-wasm');
  await useWasm(tf);
  await tf.ready();
  const folder = path.replace(/[^/\\]*$/, '');
  const document = JSON.parse(await fs.readFile(path, 'utf8'));
  const shards = document.weightsManifest.flatMap((group) => group.paths);
  const weights = joined(await Promise.all(shards.map((shard) => fs.readFile(folder + shard))));
  const artifacts = {
    modelTopology: document.modelTopology, signature: document.signature, weightData: weights.buffer,
    weightSpecs: document.weightsManifest.flatMap((group) => group.weights),
  };
  const handler = { load: async () => artifacts };
  const model = await (document.format === 'layers-model' ? tf.loadLayersModel(handler) : tf.loadGraphModel(handler));
  return runTfjs(tf, model, inputs, { node: process.version });
}

/** Choose the backend of WebAssembly, with one thread, if it is installed. */
async function useWasm(tf) {
  globalThis.fetch = undefined;  // releases before 4 would fetch their own files by it, which Node.js refuses
  const wasm = await import('@tensorflow/tfjs-backend-wasm').catch(() => null);
  if (!wasm) return;
  const { createRequire } = await import('node:module');
  const { dirname } = await import('node:path');
  const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  (wasm.setThreadsCount ?? wasm.default?.setThreadsCount)?.(1);
  (wasm.setWasmPaths ?? wasm.default?.setWasmPaths)(`${dirname(main)}/`);
  await tf.setBackend('wasm');
}

async function runOnnxFile(path, inputs, fs) {
  const ort = await installed('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(await fs.readFile(path)));
  return runOnnx(ort, session, inputs, { node: process.version });
}

/** Whether Node.js was started with this file, whose path may be a link or hold any character. */
async function isProgram() {
  if (typeof process === 'undefined' || !process.versions?.node || !process.argv?.[1]) return false;
  const [fs, url] = await Promise.all([import('node:fs/promises'), import('node:url')]);
  const program = await fs.realpath(process.argv[1]).catch(() => '');
  return program !== '' && program === await fs.realpath(url.fileURLToPath(import.meta.url)).catch(() => null);
}

if (await isProgram()) {
  await main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exit(2);
  });
}
