/** Turns a picture into the input of the model, with a canvas and plain arithmetic. */

import { PIPELINE } from './pipeline.mjs';
import { preprocess as preprocessPixels } from './preprocessing.mjs';

export { PIPELINE, PIPELINE_SHA256 } from './pipeline.mjs';

/**
 * @param source A file of a picture as a Blob, or an element or bitmap that a canvas draws.
 * @returns Promise of `{ data, shape }` of one sample, without the batch dimension; `data` is a typed array.
 */
export async function preprocess(source) {
  return preprocessPixels(await pixelsOf(source), PIPELINE);
}

/** The same for decoded pixels: `{ data, height, width, channels }` with values from 0 to 255, red first. */
export function preprocessImage(image) {
  return preprocessPixels(image, PIPELINE);
}

async function pixelsOf(source) {
  const bitmap = source instanceof Blob
    ? await createImageBitmap(source, {
      imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none',
    }) : source;
  const width = bitmap.naturalWidth ?? bitmap.videoWidth ?? bitmap.width;
  const height = bitmap.naturalHeight ?? bitmap.videoHeight ?? bitmap.height;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { data, height, width, channels: 4 };
}
