/** The steps of pipelines in a page: what canvas does, and what tfjs makes of it. */

import { tfjsResizers, withoutAlpha } from './pipelines.mjs';

/** @typedef {import('./pipelines.mjs').Decode} Decode */
/** @typedef {import('./pipelines.mjs').Resize} Resize */
/** @typedef {import('./pipelines.mjs').Steps} Steps */
/** @typedef {import('./pipelines.mjs').Tf} Tf */

/** @type {(height: number, width: number) => CanvasRenderingContext2D} */
function canvas(height, width) {
  const element = Object.assign(document.createElement('canvas'), { height, width });
  const context = element.getContext('2d');
  if (!context) throw new Error('this browser gave no canvas');
  return context;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function opened(bytes) {
  return createImageBitmap(new Blob([bytes]));
}

/** @type {Decode} */
async function decodeOnCanvas(bytes, grey) {
  const image = await opened(bytes);
  const { height, width } = image;
  const context = canvas(height, width);
  context.drawImage(image, 0, 0);
  image.close();
  return withoutAlpha(context.getImageData(0, 0, width, height).data, height, width, grey);
}

/** @type {(tf: Tf) => Decode} */
const decodeFromPixels = (tf) => async (bytes, grey) => {
  const image = await opened(bytes);
  // Of grey, fromPixels takes the red channel, whatever the colours are.
  const tensor = tf.browser.fromPixels(image, grey ? 1 : 3);
  image.close();
  const [height, width] = tensor.shape;
  try {
    return { height, width, values: Uint8Array.from(await tensor.data()) };
  } finally {
    tensor.dispose();
  }
};

/** @type {(quality: ImageSmoothingQuality) => Resize} */
const drawImage = (quality) => ({ height, width, values }, newHeight, newWidth) => {
  const channels = values.length / (height * width);
  const from = canvas(height, width);
  const picture = from.createImageData(width, height);
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2];
  for (let from = 0, to = 0; from < values.length; from += channels) {
    picture.data[to++] = values[from];
    picture.data[to++] = values[from + green];
    picture.data[to++] = values[from + blue];
    picture.data[to++] = 255;
  }
  from.putImageData(picture, 0, 0);
  const to = canvas(newHeight, newWidth);
  Object.assign(to, { imageSmoothingEnabled: true, imageSmoothingQuality: quality });
  to.drawImage(from.canvas, 0, 0, newWidth, newHeight);
  const drawn = withoutAlpha(to.getImageData(0, 0, newWidth, newHeight).data, newHeight, newWidth, false);
  if (channels === 3) return drawn;
  // The three channels of a grey picture are equal.
  return { ...drawn, values: drawn.values.filter((_, i) => i % 3 === 0) };
};

/**
 * @param {Tf} tf with its backend started
 * @returns {Steps}
 */
export function browserSteps(tf) {
  return {
    decoders: { canvas: decodeOnCanvas, 'from-pixels': decodeFromPixels(tf) },
    resizers: {
      'draw-image-low': drawImage('low'),
      'draw-image-medium': drawImage('medium'),
      'draw-image-high': drawImage('high'),
      ...tfjsResizers(tf),
    },
    environment: { tfjs: tf.version_core, backend: tf.getBackend() },
  };
}
