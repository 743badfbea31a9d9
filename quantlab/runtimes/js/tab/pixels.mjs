/** Draws samples as small pictures: an image file, or a tensor that has the shape of an image. */

/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('../preprocessing.mjs').Image} Image */

/** Pixels of the drawn pictures along their longer side, at most. */
const MOST_PIXELS = 192;

/** @param {number} height @param {number} width */
function canvasOf(height, width) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { height, width });
  canvas.setAttribute('aria-hidden', 'true');
  return canvas;
}

/**
 * @param {Image} image values from 0 to 255, in 1, 3 or 4 channels
 * @param {'rgb' | 'bgr'} [colour] order of the channels
 */
export function drawImage({ data, height, width, channels }, colour = 'rgb') {
  const canvas = canvasOf(height, width);
  const pixels = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const from = channels === 1 ? 0 : colour === 'bgr' ? 2 - channel : channel;
      pixels.data[pixel * 4 + channel] = Math.round(data[pixel * channels + from]);
    }
    pixels.data[pixel * 4 + 3] = 255;
  }
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * A picture of a file, smaller; null if the browser cannot decode it.
 * @param {Blob} file
 */
export async function drawFile(file) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
    const scale = Math.min(1, MOST_PIXELS / Math.max(bitmap.height, bitmap.width));
    const scaled = (/** @type {number} */ side) => Math.max(1, Math.round(side * scale));
    const canvas = canvasOf(scaled(bitmap.height), scaled(bitmap.width));
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas;
  } catch {
    return null;
  }
}

/**
 * One sample of a tensor as a picture, from its smallest value (black) to its largest (white); null if its shape is none
 * of an image: (height, width), or with 1 or 3 channels at either end.
 * @param {Tensor} tensor
 * @param {number} sample
 */
export function drawSample({ shape, data }, sample) {
  const place = imageShape(shape.slice(1));
  if (!place) return null;
  const { height, width, channels, first } = place;
  const length = height * width * channels;
  const values = Array.from(data.subarray(sample * length, (sample + 1) * length), Number);
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  const scaled = new Float32Array(length);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      const value = values[first ? channel * height * width + pixel : pixel * channels + channel];
      scaled[pixel * channels + channel] = Number.isFinite(value) ? 255 * (value - low) / (high - low || 1) : 0;
    }
  }
  return drawImage({ data: scaled, height, width, channels });
}

const SMALLEST = 4;

/**
 * @param {number[]} shape of one sample
 * @returns {{ height: number, width: number, channels: number, first: boolean } | null}
 */
export function imageShape(shape) {
  const isChannels = (/** @type {number} */ n) => n === 1 || n === 3;
  const found = shape.length === 2 ? { height: shape[0], width: shape[1], channels: 1, first: false }
    : shape.length !== 3 ? null
      : isChannels(shape[2]) ? { height: shape[0], width: shape[1], channels: shape[2], first: false }
        : isChannels(shape[0]) ? { height: shape[1], width: shape[2], channels: shape[0], first: true } : null;
  return found && found.height >= SMALLEST && found.width >= SMALLEST ? found : null;
}
