/**
 * Turns decoded pixels into the input of a model with operations of TensorFlow.js, so that the pixels stay on the
 * graphics card. Weights are those of `preprocessing.mjs`; sums are in float32, in the order that the backend chooses.
 */

import { inChannels, placement, WEIGHTS } from './preprocessing.mjs';

/** @typedef {import('./preprocessing.mjs').Pipeline} Pipeline */
/** @typedef {import('./preprocessing.mjs').Image} Image */
/** @typedef {typeof import('@tensorflow/tfjs-core')} TF */
/** @typedef {import('@tensorflow/tfjs-core').Tensor3D} Tensor3D */
/** @typedef {import('@tensorflow/tfjs-core').Tensor} Tensor */

/** Flags of the two resize operations: align corners, half-pixel centres. @type {Record<string, [boolean, boolean]>} */
const FLAGS = { tfjs: [false, false], 'tfjs-half-pixel': [false, true], 'tfjs-align-corners': [true, false] };

/** Resizers whose pixels are whole numbers after each dimension, or after both. */
const ROUNDED = Object.freeze({
  pillow: 'each', 'pillow-12': 'each', torchvision: 'each', opencv: 'both',
});

/**
 * The weights of a dimension as a matrix.
 * @param {TF} tf
 * @param {string} resizer
 * @param {string} method
 * @param {number} n
 * @param {number} wanted
 */
function matrix(tf, resizer, method, n, wanted) {
  const { places, weights, taps } = WEIGHTS[resizer][method](n, wanted);
  const values = new Float32Array(wanted * n);
  places.forEach((place, tap) => {
    values[Math.floor(tap / taps) * n + place] += weights[tap];
  });
  return tf.tensor2d(values, [wanted, n]);
}

/** @type {(image: Tensor) => Tensor} */
function whole(image) {
  return image.add(0.5).floor().clipByValue(0, 255);
}

/** @type {(tf: TF, image: Tensor3D, size: number[], pipeline: Pipeline) => Tensor3D} */
function resized(tf, image, size, { resizer, resize }) {
  const [height, width, channels] = image.shape;
  const flags = FLAGS[resizer];
  if (flags) {
    const operation = resize === 'nearest' ? tf.image.resizeNearestNeighbor : tf.image.resizeBilinear;
    return operation(image, /** @type {[number, number]} */ (size), ...flags);
  }
  const between = resize === 'nearest' ? undefined : ROUNDED[/** @type {keyof typeof ROUNDED} */ (resizer)];
  /** @type {(from: Tensor) => Tensor} */
  const rows = (from) => {
    const [h, w] = from.shape;
    if (h === size[0]) return from;
    const sums = matrix(tf, resizer, resize, h, size[0]).matMul(from.reshape([h, w * channels]));
    const made = sums.reshape([size[0], w, channels]);
    return between === 'each' ? whole(made) : made;
  };
  /** @type {(from: Tensor) => Tensor} */
  const columns = (from) => {
    const turned = from.transpose([1, 0, 2]);
    const [w, h] = turned.shape;
    if (w === size[1]) return from;
    const sums = matrix(tf, resizer, resize, w, size[1]).matMul(turned.reshape([w, h * channels]));
    const made = sums.reshape([size[1], h, channels]).transpose([1, 0, 2]);
    return between === 'each' ? whole(made) : made;
  };
  const tall = resizer !== 'pillow-12' && height - size[0] > Math.max(0, 2 * (width - size[1]));
  const both = tall || resizer.startsWith('tf') ? columns(rows(image)) : rows(columns(image));
  return /** @type {Tensor3D} */ (between === 'both' ? whole(both) : both);
}

/** @type {(tf: TF, image: Tensor3D, pipeline: Pipeline) => Tensor3D} */
function fitted(tf, image, pipeline) {
  let from = image;
  let [height, width] = from.shape;
  if (pipeline.central_crop < 1) {
    const corner = [height, width].map((n) => Math.trunc((n - n * pipeline.central_crop) / 2));
    from = from.slice([...corner, 0], [height - 2 * corner[0], width - 2 * corner[1], -1]);
    [height, width] = from.shape;
  }
  const [wantedHeight, wantedWidth] = pipeline.size;
  if (height === wantedHeight && width === wantedWidth && pipeline.shorter_side === null) return from;
  if (pipeline.resize === 'none') {
    throw new Error(`the image has ${height}×${width} pixels, and ${wantedHeight}×${wantedWidth} are expected`);
  }
  const { size, top, left } = placement(pipeline, height, width);
  if (height !== size[0] || width !== size[1]) from = resized(tf, from, size, pipeline);
  if (pipeline.aspect !== 'pad') return from.slice([top, left, 0], [wantedHeight, wantedWidth, -1]);
  const below = wantedHeight - size[0] + top;
  const right = wantedWidth - size[1] + left;
  return from.pad([[Math.abs(top), below], [Math.abs(left), right], [0, 0]], pipeline.pad_value);
}

/**
 * Turn an image into a batch of one sample.
 * @param {TF} tf
 * @param {Image} image
 * @param {Pipeline} pipeline
 * @returns {Tensor} its first dimension has the size 1
 */
export function preprocessOnTfjs(tf, image, pipeline) {
  return tf.tidy(() => {
    // Grey is made of whole numbers here, because float32 cannot hold every sum of weights.
    const { data, height, width, channels } = inChannels(image, pipeline);
    let values = fitted(tf, tf.tensor3d(Float32Array.from(data), [height, width, channels]), pipeline);
    if (pipeline.colour === 'bgr') values = values.reverse(-1);
    /** @type {Tensor} */
    let scaled = values.mul(tf.tensor1d(pipeline.scale)).add(tf.tensor1d(pipeline.offset));
    if (pipeline.layout === 'channels-first') scaled = scaled.transpose([2, 0, 1]);
    if (pipeline.layout === 'no-channels') scaled = scaled.squeeze([2]);
    return (pipeline.dtype.startsWith('float') ? scaled : scaled.round().toInt()).expandDims(0);
  });
}
