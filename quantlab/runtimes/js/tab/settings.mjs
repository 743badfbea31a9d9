/** The settings that are made here from a tfjs model, and the same files of each as quantlab's Python code makes. */

import { storeGroup } from './affine.mjs';
import { perChannel } from './channel.mjs';
import { gzipSize } from './gzip-size.mjs';
import { DropError } from './types.mjs';
import { documentBytes, floatCopy, readDocument, readTfjs, storedBytes } from './weights.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./weights.mjs').TfjsModel} TfjsModel */
/** @typedef {import('./affine.mjs').Scheme} Scheme */

/** @typedef {{ name: string, format: Artifact['format'], scheme: string, words: string }} Setting */

/** What was dropped, if it stores weights in less than float32. */
export const AS_GIVEN = 'as-given';

const PER_CHANNEL = 'uint8-per-channel';

/** @type {(format: Artifact['format'], scheme: string, words: string) => Setting} */
const setting = (format, scheme, words) => Object.freeze({ name: `${format}-${scheme}`, format, scheme, words });

/** @type {readonly Setting[]} */
export const SETTINGS = Object.freeze([
  setting('tfjs', 'float32', 'graph-model, weights unchanged'),
  setting('tfjs', 'float16', 'graph-model, float32 weights stored as half floats'),
  setting('tfjs', 'uint8', 'graph-model, float32 weights stored in 8 bits, affine per tensor'),
  setting('tfjs', 'uint16', 'graph-model, float32 weights stored in 16 bits, affine per tensor'),
  setting('tfjs', PER_CHANNEL, 'graph-model, kernels stored in 8 bits with one scale per output channel; made by '
    + 'quantlab, not by the official converter'),
  setting('tfjs-layers', 'float32', 'layers-model, weights unchanged'),
  setting('tfjs-layers', 'float16', 'layers-model, weights stored as half floats'),
  setting('tfjs-layers', 'uint8', 'layers-model, weights in 8 bits, affine per tensor'),
  setting('tfjs-layers', 'uint16', 'layers-model, weights in 16 bits, affine per tensor'),
  setting('tflite', 'float32', 'TFLite file, weights unchanged'),
  setting('onnx', 'float32', 'ONNX file, weights unchanged; TensorFlow models are exported in opset 18'),
]);

const NARROW = ['float16', 'int8', 'uint8', 'uint16', 'int16', 'int4'];

/**
 * The dtypes narrower than float32 in which an artifact stores weights, those with most bytes first.
 * @param {Artifact} artifact
 * @returns {string[]}
 */
export function narrowDtypes({ stored }) {
  const held = Object.entries(stored).filter(([dtype]) => NARROW.includes(dtype));
  return held.sort(([, one], [, other]) => other - one).map(([dtype]) => dtype);
}

/** @type {(artifact: Artifact) => string | undefined} */
const codesIn = (artifact) => narrowDtypes(artifact).find((dtype) => dtype !== 'float16');

const isTfjs = (/** @type {Artifact} */ { format }) => format === 'tfjs' || format === 'tfjs-layers';

/** @type {(artifact: Artifact) => boolean} */
const hasFloats = ({ stored }) => ['float32', 'float16'].some((dtype) => (stored[dtype] ?? 0) > 0);

/**
 * The settings of an artifact's format; `why` is a sentence about one that cannot be made from it, and otherwise null.
 * @param {Artifact} artifact as it was dropped
 * @returns {{ name: string, words: string, why: string | null }[]}
 */
export function settingsFor(artifact) {
  return SETTINGS.filter(({ format }) => format === artifact.format)
    .map(({ name, words, scheme }) => ({ name, words, why: whyNot(artifact, name, scheme) }));
}

/** @type {(artifact: Artifact, name: string, scheme: string) => string | null} */
function whyNot(artifact, name, scheme) {
  const codes = codesIn(artifact);
  const give = `drop the model that '${artifact.name}' was exported from, or leave this setting out`;
  if (!isTfjs(artifact)) {
    const [narrow] = narrowDtypes(artifact);
    if (!narrow) return null;
    return `'${artifact.name}' stores weights in ${narrow}, and only quantlab's command line makes a copy with float32 `
      + 'weights; drop the float file, or run quantlab analyze.';
  }
  if (scheme === 'float32') return null;
  if (codes) {
    return `'${artifact.name}' already stores weights in ${codes}, so ${name} would quantize them twice; ${give}.`;
  }
  if (hasFloats(artifact)) return null;
  return `'${artifact.name}' has no float weights, so ${name} has nothing to quantize; ${give}.`;
}

/**
 * Make a setting from an artifact as it was dropped.
 *
 * The float32 setting of an artifact with float32 weights is the artifact itself; of one with narrower weights, a copy
 * with their values in float32. Weights are decoded one by one, so that memory holds the artifact, the new files, and
 * one weight.
 * @param {Artifact} artifact
 * @param {string} name one of `SETTINGS`
 * @returns {Promise<Artifact>}
 * @throws {DropError} if it cannot be made
 */
export async function makeVariant(artifact, name) {
  const chosen = SETTINGS.find((one) => one.name === name && one.format === artifact.format);
  if (!chosen) throw new DropError(`There is no setting '${name}' of ${artifact.format}.`);
  const why = whyNot(artifact, name, chosen.scheme);
  if (why) throw new DropError(why);
  if (chosen.scheme === 'float32' && narrowDtypes(artifact).length === 0) return { ...artifact, setting: name };
  const model = modelOf(artifact);
  const { format } = artifact;
  const files = await reading(`'${artifact.name}'`, () => filesOf(model, format, chosen.scheme));
  return { ...artifact, setting: name, files, stored: storedOf(files) };
}

/**
 * @template T
 * @param {string} what for the message
 * @param {() => T | Promise<T>} work that may fail in any way on a malformed file
 * @returns {Promise<T>}
 */
export async function reading(what, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DropError) throw error;
    throw new DropError(`${what} cannot be read (${reasonOf(error)}); copy or convert it again.`);
  }
}

/** What went wrong, in words: those of JavaScript name our variables. @type {(error: unknown) => string} */
function reasonOf(error) {
  const said = error instanceof Error ? error.message : String(error);
  if (error instanceof TypeError) return 'a part of it is not what its format says';
  if (/call stack/.test(said)) return 'it is nested too deeply';
  if (/DataView|array length|allocation/i.test(said)) return 'a part of it lies outside of the file';
  return said.replace(/\s+/g, ' ').slice(0, 200).replace(/\.$/, '');
}

/** @type {(artifact: Artifact) => TfjsModel} */
function modelOf({ files }) {
  const [[json, bytes]] = files;
  return readTfjs(readDocument(bytes, json), json, files);
}

/** @type {(files: Map<string, Uint8Array>) => Record<string, number>} */
function storedOf(files) {
  const bytes = /** @type {Uint8Array} */ (files.get('model.json'));
  return storedBytes(readTfjs(readDocument(bytes, 'model.json'), 'model.json', files).groups);
}

/** @type {(model: TfjsModel, format: string, scheme: string) => Promise<Map<string, Uint8Array>>} */
async function filesOf(model, format, scheme) {
  if (format === 'tfjs' && scheme === 'float32') return floatCopy(model);
  if (scheme === PER_CHANNEL) return perChannel(model);
  // The official converter writes the weights of a layers-model as one group.
  const groups = format === 'tfjs' ? model.groups : [model.groups.flat()];
  const stored = [];
  for (const weights of groups) {
    stored.push(await storeGroup(weights, /** @type {Scheme} */ (scheme), stored.length + 1));
  }
  const manifest = stored.map((group) => group.manifest);
  const json = documentBytes(new Map([...model.document, ['weightsManifest', manifest]]));
  return new Map([['model.json', json], ...stored.flatMap((group) => group.files)]);
}

/**
 * The size of an artifact, and what it takes to download compressed by gzip, file by file, as Python counts it.
 * @param {Artifact} artifact
 * @returns {Promise<{ gzip: number, bytes: number }>}
 */
export async function downloadBytes({ files }) {
  let [gzip, bytes] = [0, 0];
  for (const file of files.values()) {
    bytes += file.byteLength;
    gzip += await gzipSize(file);
  }
  return { gzip, bytes };
}
