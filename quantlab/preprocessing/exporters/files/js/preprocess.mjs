/** Turns a picture into the input of the model, with TensorFlow.js. */

import { PIPELINE } from './pipeline.mjs';
import { preprocessOnTfjs } from './preprocessing-tfjs.mjs';

export { PIPELINE, PIPELINE_SHA256 } from './pipeline.mjs';

/**
 * @param tf TensorFlow.js, with a backend that is ready.
 * @param source A picture that `tf.browser.fromPixels` takes, or `{ data, height, width, channels }` with values from
 *   0 to 255, red first.
 * @returns A tensor with a batch of one sample, for `model.execute`; dispose of it after use.
 */
export function preprocess(tf, source) {
  return preprocessOnTfjs(tf, 'channels' in source ? source : pixelsOf(tf, source), PIPELINE);
}

function pixelsOf(tf, source) {
  const image = tf.browser.fromPixels(source, 3);
  const [height, width] = image.shape;
  const data = Uint8Array.from(image.dataSync());
  image.dispose();
  return { data, height, width, channels: 3 };
}
