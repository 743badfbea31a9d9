/** The steps of pipelines in Node.js: jpeg-js, which is bundled, and the resizers of tfjs. */

import jpeg from 'jpeg-js';

import manifest from './package.json' with { type: 'json' };
import { tfjsResizers, withoutAlpha } from './pipelines.mjs';

/** @typedef {import('./pipelines.mjs').Decode} Decode */
/** @typedef {import('./pipelines.mjs').Steps} Steps */

/** @type {Decode} */
function decodeJpeg(bytes, grey) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) throw new Error('jpeg-js decodes JPEG files only');
  const { data, height, width } = jpeg.decode(bytes, { useTArray: true });
  return withoutAlpha(data, height, width, grey);
}

/**
 * @param {import('./pipelines.mjs').Tf} tf with its backend started
 * @returns {Steps}
 */
export function nodeSteps(tf) {
  return {
    decoders: { 'jpeg-js': decodeJpeg },
    resizers: tfjsResizers(tf),
    environment: { 'jpeg-js': manifest.dependencies['jpeg-js'], tfjs: tf.version_core, backend: tf.getBackend() },
  };
}
