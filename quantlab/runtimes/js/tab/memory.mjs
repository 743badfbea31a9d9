/** A platform over memory, so that the executors of `run.mjs` run in a page without a server. */

import { JobError } from '../run.mjs';

/** @typedef {import('../run.mjs').Platform} Platform */
/** @typedef {import('../run.mjs').Message} Message */

/** The folder of the artifact's files in a job. */
export const ARTIFACT = 'artifact';

/**
 * @typedef {object} Held
 * @property {string} host the first half of a runtime's name
 * @property {Record<string, string>} environment
 * @property {Map<string, Uint8Array>} files the artifact's, by their paths
 * @property {Map<string, Uint8Array<ArrayBuffer>>} tensors the files of inputs and outputs that a job names
 * @property {(message: Message) => void} emit
 */

/**
 * @param {Held} held
 * @returns {Platform}
 */
export function memoryPlatform({ host, environment, files, tensors, emit }) {
  return {
    host,
    environment,
    readArtifact: (path) => copyOf(files.get(path.replace(`${ARTIFACT}/`, '')), path),
    readTensor: (file, position, target) => target.set(rangeOf(tensors, file, position, target.length)),
    writeTensor: (file, position, bytes) => rangeOf(tensors, file, position, bytes.length).set(bytes),
    writeScratch: (file) => {
      throw new JobError(`there is no file '${file}' for tensors inside the variant`);
    },
    emit,
    now: () => performance.now(),
  };
}

/**
 * A copy, because libraries keep what they are given, and a view of another dtype must begin at a multiple of its size.
 * @param {Uint8Array | undefined} bytes
 * @param {string} path
 */
function copyOf(bytes, path) {
  if (bytes) return Uint8Array.from(bytes);
  throw new JobError(`the artifact has no file '${path.replace(`${ARTIFACT}/`, '')}', which it names; drop all of its `
    + 'files together');
}

/** @type {(tensors: Held['tensors'], file: string, position: number, length: number) => Uint8Array<ArrayBuffer>} */
function rangeOf(tensors, file, position, length) {
  const bytes = tensors.get(file);
  if (bytes && position + length <= bytes.length) return bytes.subarray(position, position + length);
  throw new JobError(`'${file}' ends before byte ${position + length}`);
}
