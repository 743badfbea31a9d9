/** The tensors of an artifact that are fed and read, and the files that a job lists. */

import { ARTIFACT } from './memory.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */
/** @typedef {import('../run.mjs').ExecutorOptions} ExecutorOptions */

/**
 * An input or output as `quantlab.types.Port`: the shape has the batch, and null is an open size.
 * @param {TensorSpec} spec
 */
export function portOf({ name, tensor, position, shape, batch, dtype, codes }) {
  const held = codes ? codesDtype(codes) : dtype;
  return { name, tensor, position, shape: batch === undefined ? [] : [batch, ...shape], dtype: held, codes };
}

/**
 * The dtype of a file's codes, by the codes that it uses.
 * @param {import('../run.mjs').Codes} codes
 */
function codesDtype({ lowest, highest }) {
  if (lowest >= 0) return highest > 255 ? 'uint16' : 'uint8';
  return lowest < -128 ? 'int16' : 'int8';
}

/**
 * The JSON file of a tfjs artifact, which is its first file.
 * @param {Map<string, Uint8Array>} files
 */
export function modelDocument(files) {
  const [bytes] = files.values();
  return JSON.parse(new TextDecoder().decode(bytes));
}

/**
 * What a job says about the artifact's files.
 * @param {Artifact} artifact
 * @returns {{ artifact: string, options: ExecutorOptions }}
 */
export function artifactOf({ format, files }) {
  const paths = [...files.keys()];
  const listed = (/** @type {string[]} */ names) => names.map((path) => ({ path, file: `${ARTIFACT}/${path}` }));
  if (format === 'tfjs' || format === 'tfjs-layers') {
    return { artifact: ARTIFACT, options: { external_data: listed(paths) } };
  }
  const main = paths.find((path) => path.endsWith(`.${format}`)) ?? paths[0];
  const others = listed(paths.filter((path) => path !== main));
  return { artifact: `${ARTIFACT}/${main}`, options: others.length ? { external_data: others } : {} };
}
