/**
 * Runs single steps of the pipelines that turn image files into tensors: decoders on files, resizers on pixels.
 *
 * Each entry passes its own steps; this module reads the sources, writes the pixels and reports each of them. The data
 * exchanged with Python are described in `quantlab/runtimes/requests.py` (`Prepare`) and `quantlab/types/messages.py`
 * (`Prepared`).
 */

import { failure } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Message} Message */
/** @typedef {import('./run.mjs').PrepareRequest} PrepareRequest */
/** @typedef {import('./run.mjs').Picture} Picture */
/** @typedef {typeof import('@tensorflow/tfjs-core')} Tf */

/**
 * Pixels with values 0–255, red first: (height, width, 1 or 3), in C order.
 * @typedef {{ height: number, width: number, values: Uint8Array | Float32Array }} Pixels
 */

/** @typedef {(bytes: Uint8Array<ArrayBuffer>, grey: boolean) => Pixels | Promise<Pixels>} Decode */
/** @typedef {(pixels: Pixels, height: number, width: number) => Pixels | Promise<Pixels>} Resize */
/**
 * @typedef {(bytes: Uint8Array<ArrayBuffer>, grey: boolean, height: number, width: number) => Promise<Pixels>} AtOnce
 */

/**
 * The steps of a host, by name.
 * @typedef {object} Steps
 * @property {Record<string, Decode>} decoders
 * @property {Record<string, Resize>} resizers
 * @property {Record<string, AtOnce>} [atOnce] resizers that decode the file themselves
 * @property {Record<string, string>} environment versions that their pixels depend on
 */

/**
 * Run the steps on each picture; an error costs only its picture. The last message is `done` or `failed`.
 * @param {PrepareRequest} asked
 * @param {(job: Job) => Promise<Steps>} start
 * @param {Platform} platform
 */
export async function preparePictures(asked, start, platform) {
  const last = await attempt(asked, start, platform);
  platform.closeFiles?.();
  platform.emit(last);
}

/** @type {(...given: Parameters<typeof preparePictures>) => Promise<Message>} */
async function attempt(asked, start, platform) {
  try {
    const steps = await start(asked.job);
    platform.emit({
      type: 'ready', ran_on: platform.host, environment: { ...platform.environment, ...steps.environment },
    });
    let offset = 0;
    for (const [place, picture] of asked.pictures.entries()) {
      for (const step of asked.steps) offset += await prepareOne(asked, { place, picture, step, offset }, steps, platform);
    }
  } catch (error) {
    return failure(error, asked.job);
  }
  return { type: 'done' };
}

/** @typedef {{ place: number, picture: Picture, step: string, offset: number }} One */

/**
 * Run one step on one picture, and return the number of bytes written.
 * @param {PrepareRequest} asked
 * @param {One} one
 * @param {Steps} steps
 * @param {Platform} platform
 */
async function prepareOne({ target, grey }, { place, picture, step, offset }, steps, platform) {
  /** @type {Pixels} */
  let pixels;
  try {
    pixels = await prepared(picture, step, { steps, grey, platform });
  } catch (error) {
    const reason = String(error instanceof Error ? error.message : error) || 'an error without a message';
    platform.emit({ type: 'prepared', place, step, offset, shape: [], dtype: '', reason });
    return 0;
  }
  const { values, height, width } = pixels;
  await platform.writeScratch(target, offset, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const dtype = values instanceof Uint8Array ? 'uint8' : 'float32';
  const shape = [height, width, values.length / (height * width)];
  platform.emit({ type: 'prepared', place, step, offset, shape, dtype, reason: null });
  return values.byteLength;
}

/** @typedef {{ steps: Steps, grey: boolean, platform: Platform }} Where */

/** @type {(picture: Picture, step: string, where: Where) => Promise<Pixels>} */
async function prepared(picture, step, { steps, grey, platform }) {
  const bytes = new Uint8Array(picture.length);
  await platform.readTensor(picture.file, picture.offset, bytes);
  const [newHeight, newWidth] = picture.size;
  if (!picture.shape.length) {
    if (!picture.size.length) return named(steps.decoders, step, platform)(bytes, grey);
    const read = steps.atOnce?.[step];
    if (!read) throw new Error(`${platform.host} has no step '${step}' that decodes a file`);
    return read(bytes, grey, newHeight, newWidth);
  }
  const [height, width] = picture.shape;
  return named(steps.resizers, step, platform)({ height, width, values: bytes }, newHeight, newWidth);
}

/**
 * @template T
 * @param {Record<string, T>} steps
 * @param {string} step
 * @param {Platform} platform
 */
function named(steps, step, { host }) {
  if (Object.hasOwn(steps, step)) return steps[step];
  throw new Error(`${host} has no step '${step}'; it has ${Object.keys(steps).join(', ')}`);
}

/**
 * Take the colours of pixels with four channels, or their grey as most programs compute it (Rec. 601, rounded).
 * @param {ArrayLike<number>} rgba
 * @param {number} height
 * @param {number} width
 * @param {boolean} grey
 * @returns {Pixels}
 */
export function withoutAlpha(rgba, height, width, grey) {
  const values = new Uint8Array(height * width * (grey ? 1 : 3));
  // Without an array for each pixel, which would take ten times as long.
  for (let from = 0, to = 0; from < 4 * height * width; from += 4) {
    if (grey) {
      values[to++] = Math.round(0.299 * rgba[from] + 0.587 * rgba[from + 1] + 0.114 * rgba[from + 2]);
    } else {
      values[to++] = rgba[from];
      values[to++] = rgba[from + 1];
      values[to++] = rgba[from + 2];
    }
  }
  return { height, width, values };
}

/**
 * The resizers of tfjs, by the name of their flags.
 * @param {Tf} tf
 * @returns {Record<string, Resize>}
 */
export function tfjsResizers(tf) {
  /** @type {(alignCorners: boolean, halfPixelCenters: boolean) => Resize} */
  const resizer = (alignCorners, halfPixelCenters) => async ({ height, width, values }, newHeight, newWidth) => {
    const resized = tf.tidy(() => {
      const image = tf.tensor3d(values, [height, width, values.length / (height * width)], 'int32');
      return tf.image.resizeBilinear(image, [newHeight, newWidth], alignCorners, halfPixelCenters);
    });
    try {
      return { height: newHeight, width: newWidth, values: /** @type {Float32Array} */ (await resized.data()) };
    } finally {
      resized.dispose();
    }
  };
  return {
    'resize-bilinear': resizer(false, false),
    'resize-bilinear-half-pixel': resizer(false, true),
    'resize-bilinear-align-corners': resizer(true, false),
  };
}
