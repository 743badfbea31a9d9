/**
 * Makes calls that may be wrong, as a user's own program does, and reports what became of each.
 *
 * The typedefs correspond to `quantlab/runtimes/calls.py` and to `Try` and `Tried` in Python.
 */

import { failure } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */

/**
 * One array of a call.
 * @typedef {object} FedTensor
 * @property {string} name the name under which it is passed; without effect in a call `in order`
 * @property {string} file its bytes and nothing else
 * @property {number[]} shape the whole shape
 * @property {string} dtype NumPy's name
 */

/**
 * One call.
 * @typedef {object} Call
 * @property {FedTensor[]} inputs
 * @property {'by name' | 'in order'} passed whether as an object, or as an array
 * @property {string} outputs path of output 0 without `-0.bin`
 */

/**
 * One output of a call.
 * @typedef {object} TriedOutput
 * @property {string} name
 * @property {string} file
 * @property {number[]} shape
 * @property {string} dtype
 */

/** @typedef {{ request: 'try', job: Job, way: string, calls: Call[] }} TryRequest */
/** @typedef {{ type: 'tried', outputs: TriedOutput[], refused: string | null }} Tried */

/** @typedef {{ shape: number[], dtype: string, bytes: Uint8Array<ArrayBuffer> }} RawInput */
/** @typedef {{ name: string, shape: number[], dtype: string, bytes: Uint8Array<ArrayBuffer> }} RawOutput */

/**
 * An opened artifact. It may throw anything.
 * @typedef {object} RawCalls
 * @property {(inputs: RawInput[], names: string[] | null) => Promise<RawOutput[]>} call with names as an object
 * @property {() => void | Promise<void>} close
 */

/** @typedef {(job: Job, platform: Platform) => Promise<RawCalls>} OpenRaw */

const MOST_CHARACTERS = 300;

/**
 * Make the calls of a request; the last message is `done` or `failed`.
 * @param {TryRequest} request
 * @param {Record<string, OpenRaw>} openers by the name of the format
 * @param {Platform} platform
 */
export async function tryCalls({ job, calls }, openers, platform) {
  try {
    const opened = await openers[job.format](job, platform);
    try {
      for (const call of calls) platform.emit(await tried(opened, call, platform));
    } finally {
      await opened.close();
    }
    platform.closeFiles?.();
    platform.emit({ type: 'done' });
  } catch (error) {
    platform.closeFiles?.();
    platform.emit(failure(error, job));
  }
}

/** @type {(opened: RawCalls, call: Call, platform: Platform) => Promise<Tried>} */
async function tried(opened, call, platform) {
  const names = call.passed === 'by name' ? call.inputs.map(({ name }) => name) : null;
  try {
    const inputs = [];
    for (const input of call.inputs) inputs.push(await read(input, platform));
    const outputs = [];
    for (const [place, output] of (await opened.call(inputs, names)).entries()) {
      outputs.push(await written(output, `${call.outputs}-${place}.bin`, platform));
    }
    return { type: 'tried', outputs, refused: null };
  } catch (error) {
    return { type: 'tried', outputs: [], refused: oneLine(error) };
  }
}

/** @type {(input: FedTensor, platform: Platform) => Promise<RawInput>} */
async function read({ file, shape, dtype }, platform) {
  // A copy, because a view of another dtype must begin at a multiple of its size.
  return { shape, dtype, bytes: Uint8Array.from(await platform.readArtifact(file)) };
}

/** @type {(output: RawOutput, file: string, platform: Platform) => Promise<TriedOutput>} */
async function written({ name, shape, dtype, bytes }, file, platform) {
  await platform.writeScratch(file, 0, bytes);
  return { name, file, shape, dtype };
}

/** @param {unknown} error */
function oneLine(error) {
  const text = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim() || 'an error without '
    + 'a message';
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)}…`;
}
