/** Turns dropped images into samples by a declared pipeline, with the arithmetic of `quantlab.preprocessing`. */

import { fitted, preprocess, RESIZERS } from '../preprocessing.mjs';
import { DropError } from './types.mjs';

/** @typedef {import('../preprocessing.mjs').Image} Image */
/** @typedef {import('../preprocessing.mjs').Pipeline} Pipeline */
/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./types.mjs').TensorSpec} TensorSpec */

/**
 * What a visitor chooses; the rest follows from the model's input.
 * @typedef {{ mode: string, colour: 'rgb' | 'bgr', resizer: string, resize: string, aspect: 'stretch' | 'crop' | 'pad',
 *   size: number[] }} Chosen
 */

/** @typedef {{ height: number | null, width: number | null, channels: 1 | 3, layout: Pipeline['layout'] }} PictureInput */

const IMAGENET_MEAN = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION = [0.229, 0.224, 0.225];

/**
 * The modes of `quantlab.preprocessing` that are no family: words, scale and offset of each. `caffe` is blue first.
 * @type {Readonly<Record<string, { words: string, scale: number[], offset: number[] }>>}
 */
export const MODES = Object.freeze({
  raw: { words: '0…255, as they are', scale: [1], offset: [0] },
  unit: { words: '0…1', scale: [1 / 255], offset: [0] },
  tf: { words: '−1…1', scale: [1 / 127.5], offset: [-1] },
  torch: {
    words: 'minus the mean of ImageNet, divided by its deviation (torch)',
    scale: IMAGENET_DEVIATION.map((deviation) => 1 / (255 * deviation)),
    offset: IMAGENET_MEAN.map((mean, place) => -mean / IMAGENET_DEVIATION[place]),
  },
  caffe: {
    words: 'minus the mean of ImageNet, blue first (caffe)', scale: [1], offset: [-103.939, -116.779, -123.68],
  },
});

/** The resizers that are offered, as `resizer/method`; all are equal to the named call to the last bit. */
export const RESIZES = Object.freeze(
  Object.entries(RESIZERS).flatMap(([resizer, methods]) => (
    Object.keys(methods).map((method) => `${resizer}/${method}`))),
);

/**
 * How an input takes pictures, or null if it takes none: other inputs, or a number of channels that is not 1 or 3.
 * @param {Artifact} artifact
 * @returns {PictureInput | null}
 */
export function pictureInput({ inputs }) {
  if (inputs.length !== 1) return null;
  const [{ shape }] = inputs;
  if (shape.length === 2) return { height: shape[0], width: shape[1], channels: 1, layout: 'no-channels' };
  if (shape.length !== 3) return null;
  const [first, second, third] = shape;
  if (third === 1 || third === 3) return { height: first, width: second, channels: third, layout: 'channels-last' };
  if (first === 1 || first === 3) return { height: second, width: third, channels: first, layout: 'channels-first' };
  return null;
}

/**
 * The complete pipeline, as `quantlab.types.Pipeline` has it.
 * @type {(input: PictureInput, dtype: string, chosen: Chosen) => Pipeline}
 */
export function pipelineOf({ channels, layout }, dtype, { mode, colour, resizer, resize, aspect, size }) {
  const { scale, offset } = MODES[mode];
  const grey = channels === 1;
  if (grey && scale.length + offset.length > 2) {
    throw new DropError(`the mode '${mode}' has figures for three colours, and the model takes grey pictures; choose `
      + 'another range of values');
  }
  return {
    // Pixels come from the browser; only grey is computed here, as Pillow does it.
    decoder: 'pillow',
    colour: grey ? 'grey' : mode === 'caffe' ? 'bgr' : colour,
    central_crop: 1, size, resize, resizer, aspect, shorter_side: null, pad_value: 0, scale, offset, layout, dtype,
  };
}

/**
 * The pixels of an image file, as exported JavaScript decodes them: upright, and without its colour profile.
 * @param {DroppedFile} file
 * @returns {Promise<Image>}
 */
export async function decode(file) {
  const blob = new Blob([/** @type {BlobPart} */ (await file.bytes())]);
  /** @type {ImageBitmap} */
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', colorSpaceConversion: 'none' });
  } catch {
    throw new DropError(`'${file.path}' is no image that this browser decodes; leave it out`);
  }
  const { height, width } = bitmap;
  const canvas = Object.assign(document.createElement('canvas'), { height, width });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new DropError('this browser gives no canvas, so images cannot be decoded; drop an .npz file');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, height, width, channels: 4 };
}

/** What is fed of an image, as pixels from 0 to 255 before the range is changed. @type {typeof fitted} */
export const framed = fitted;

/**
 * The tensor of all images, image by image, so that the page stays usable and can be stopped.
 * @param {DroppedFile[]} files
 * @param {Pipeline} pipeline
 * @param {(done: number) => Promise<void>} tell called after each image; it may throw to stop
 * @returns {Promise<Tensor>}
 */
export async function tensorOf(files, pipeline, tell) {
  /** @type {Tensor | null} */
  let whole = null;
  for (const [place, file] of files.entries()) {
    const { data, shape } = preprocess(await decode(file), pipeline);
    if (!whole) {
      const kind = /** @type {new (n: number) => Float32Array} */ (data.constructor);
      whole = { shape: [files.length, ...shape], dtype: pipeline.dtype, data: new kind(files.length * data.length) };
    }
    /** @type {Float32Array} */ (whole.data).set(data, place * data.length);
    await tell(place + 1);
  }
  return /** @type {Tensor} */ (whole);
}
