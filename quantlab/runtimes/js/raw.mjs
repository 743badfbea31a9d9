/** Calls artifacts as the manual of each library says, with no check before; see `try.mjs`. */

import { viewOf } from './dtypes.mjs';
import { loadSession } from './onnx.mjs';
import { loadGraph } from './tfjs.mjs';
import { loadLayers } from './tfjs-layers.mjs';
import { compile } from './tflite.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./try.mjs').RawCalls} RawCalls */
/** @typedef {import('./try.mjs').RawInput} RawInput */
/** @typedef {import('./try.mjs').RawOutput} RawOutput */
/** @typedef {import('./dtypes.mjs').DType} DType */
/** @typedef {import('@tensorflow/tfjs-core').Tensor} Tensor */

/** The array that a program has for a dtype; half floats only where the engine has them. */
function arrayOf(/** @type {RawInput} */ { dtype, bytes }) {
  if (dtype !== 'float16') return viewOf(bytes, /** @type {DType} */ (dtype));
  const Half = /** @type {{ Float16Array?: new (buffer: ArrayBuffer) => Float32Array }} */ (globalThis).Float16Array;
  if (!Half) throw new Error('this version of Node.js has no Float16Array');
  return new Half(bytes.buffer);
}

/** @type {Record<string, typeof Float32Array | typeof Int32Array>} */
const ARRAYS = Object.freeze({ float32: Float32Array, int32: Int32Array });

/**
 * Values in the array of their dtype: a cast on the cpu backend leaves those of a boolean tensor in bytes.
 * @param {Tensor} tensor
 * @returns {Promise<ArrayBufferView>}
 */
async function dataOf(tensor) {
  const values = /** @type {ArrayBufferView & ArrayLike<number>} */ (/** @type {unknown} */ (await tensor.data()));
  const Kind = ARRAYS[tensor.dtype];
  return Kind && !(values instanceof Kind) ? Kind.from(values) : values;
}

/** The bytes of any typed array. */
function bytesOfArray(/** @type {ArrayBufferView} */ array) {
  return Uint8Array.from(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

/**
 * What is passed to a library: an object by names, an array, or for a single input without a name the value itself.
 * @template T
 * @param {T[]} values
 * @param {string[] | null} names
 * @returns {T | T[] | Record<string, T>}
 */
function passed(values, names) {
  if (names) return Object.fromEntries(names.map((name, i) => [name, values[i]]));
  return values.length === 1 ? values[0] : values;
}

/**
 * @param {Tensor | Tensor[] | Record<string, Tensor>} result
 * @param {string[]} names
 * @returns {[string, Tensor][]}
 */
function namedTensors(result, names) {
  if (Array.isArray(result)) return result.map((tensor, i) => [names[i] ?? String(i), tensor]);
  return 'dataId' in result ? [[names[0] ?? '0', /** @type {Tensor} */ (result)]] : Object.entries(result);
}

/**
 * Tensors are freed after each call; weights are none of its scope.
 * @param {typeof import('@tensorflow/tfjs-core')} tf
 * @param {string[]} names of the outputs
 * @param {(fed: any) => Promise<Tensor | Tensor[] | Record<string, Tensor>>} predict takes whatever is passed
 * @returns {RawCalls['call']}
 */
function tfjsCall(tf, names, predict) {
  return async (inputs, inputNames) => {
    const engine = tf.engine();
    engine.startScope();
    try {
      const tensors = inputs.map((input) => tf.tensor(
        /** @type {Float32Array} */ (arrayOf(input)), input.shape, input.dtype === 'bool' ? 'bool' : undefined));
      /** @type {RawOutput[]} */
      const outputs = [];
      for (const [name, tensor] of namedTensors(await predict(passed(tensors, inputNames)), names)) {
        const bytes = bytesOfArray(await dataOf(tensor));
        outputs.push({ name, shape: tensor.shape, dtype: tensor.dtype, bytes });
      }
      return outputs;
    } finally {
      engine.endScope();
    }
  };
}

/**
 * `model.predict`, and `model.executeAsync` for a graph that needs it.
 * @param {import('./tfjs-execute.mjs').Tf} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<RawCalls>}
 */
export async function rawGraphModel(tf, job, platform) {
  const { model } = await loadGraph(tf, job, platform);
  return {
    call: tfjsCall(tf, model.outputs.map(({ name }) => name), async (fed) => {
      try {
        return model.predict(fed);
      } catch (error) {
        if (!(error instanceof Error && error.message.includes('executeAsync'))) throw error;
        return model.executeAsync(fed);
      }
    }),
    close: () => model.dispose(),
  };
}

/**
 * `model.predict`.
 * @param {Parameters<typeof loadLayers>[0]} tf
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<RawCalls>}
 */
export async function rawLayersModel(tf, job, platform) {
  const model = await loadLayers(tf, job, platform);
  return {
    call: tfjsCall(tf, model.outputNames, async (fed) => model.predict(fed)),
    close: () => model.weights.forEach((weight) => weight.dispose()),
  };
}

/**
 * `model.run` of LiteRT.js, which prints some errors and does not throw them.
 * @param {import('./tflite.mjs').LiteRt} runtime
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<RawCalls>}
 */
export async function rawLiteRt(runtime, job, platform) {
  const { litert, takeErrors } = runtime;
  const model = await compile(runtime, await platform.readArtifact(job.artifact), `${platform.host}-wasm`);
  const details = model.getOutputDetails();
  return {
    async call(inputs, names) {
      takeErrors();
      const tensors = inputs.map((input) => litert.Tensor.fromTypedArray(
        /** @type {Float32Array<ArrayBuffer>} */ (arrayOf(input)), input.shape));
      try {
        const result = await model.run(/** @type {any} */ (passed(tensors, names)));
        const printed = takeErrors().filter((line) => line.startsWith('ERROR'));
        if (printed.length) throw new Error(`on the console, without an exception: ${printed.join(' ')}`);
        const results = Array.isArray(result) ? result : details.map(({ name }) => result[name]);
        return results.map((tensor, i) => {
          const bytes = bytesOfArray(tensor.toTypedArray());
          const shape = Array.from(/** @type {Iterable<number>} */ (tensor.type.layout.dimensions));
          tensor.delete();
          return { name: details[i].name, shape, dtype: details[i].dtype, bytes };
        });
      } finally {
        tensors.forEach((tensor) => tensor.delete());
      }
    },
    close: () => model.delete(),
  };
}

/**
 * `session.run` of ONNX Runtime.
 * @param {import('./onnx.mjs').OnnxRuntime} runtime
 * @param {Job} job
 * @param {Platform} platform
 * @returns {Promise<RawCalls>}
 */
export async function rawOnnx(runtime, job, platform) {
  const session = await loadSession(runtime, job, platform);
  return {
    async call(inputs, names) {
      const tensors = inputs.map(({ dtype, shape, bytes }) => new runtime.ort.Tensor(
        /** @type {'float32'} */ (dtype), /** @type {Float32Array} */ (viewOf(bytes, /** @type {DType} */ (dtype))), shape));
      const result = await session.run(/** @type {any} */ (passed(tensors, names)));
      return session.outputNames.map((name) => {
        const { dims, type, data } = result[name];
        if (!ArrayBuffer.isView(data)) throw new Error(`the output '${name}' holds no numbers but ${type}`);
        return { name, shape: Array.from(dims), dtype: type, bytes: bytesOfArray(data) };
      });
    },
    close: () => session.release(),
  };
}
