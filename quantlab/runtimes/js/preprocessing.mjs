/**
 * Turns decoded pixels into the input of a model, in plain arithmetic on typed arrays: no TensorFlow.js, no canvas.
 *
 * Each resizer repeats the arithmetic of `quantlab.preprocessing.resizers` step by step, and its results are equal to
 * the last bit. Exported code contains this file as it is, so it imports nothing.
 */

/** @typedef {Uint8Array | Uint8ClampedArray | Float32Array | Float64Array} Numbers */

/**
 * An image: rows from the top, pixels from the left, the values of a pixel side by side, red first.
 * @typedef {object} Image
 * @property {Numbers} data values from 0 to 255
 * @property {number} height
 * @property {number} width
 * @property {number} channels 1, 3, or 4 with an alpha channel, which is dropped
 */

/**
 * A complete pipeline, with the keys of `quantlab.types.Pipeline`.
 * @typedef {object} Pipeline
 * @property {string} decoder
 * @property {'rgb' | 'bgr' | 'grey'} colour
 * @property {number} central_crop
 * @property {number[]} size height and width
 * @property {string} resize
 * @property {string} resizer
 * @property {'stretch' | 'crop' | 'pad'} aspect
 * @property {number | null} shorter_side
 * @property {number} pad_value
 * @property {number[]} scale
 * @property {number[]} offset
 * @property {'channels-last' | 'channels-first' | 'no-channels'} layout
 * @property {string} dtype
 */

/** @typedef {{ places: Int32Array, weights: Float64Array, taps: number }} Taps */
/** @typedef {{ lower: Int32Array, upper: Int32Array, share: Float64Array }} Between */
/** @typedef {(x: number) => number} Kernel */
/** @typedef {(image: Image, size: number[]) => Image} Resize */

const { floor, ceil, min, max, abs, trunc, fround, PI, sin } = Math;

/** Round to the nearest whole number, halves to the even one. @type {(x: number) => number} */
function halfToEven(x) {
  const lower = floor(x);
  if (x - lower !== 0.5) return floor(x + 0.5);
  return lower % 2 === 0 ? lower : lower + 1;
}

/** @type {(x: number, lowest: number, highest: number) => number} */
function clip(x, lowest, highest) {
  return min(max(x, lowest), highest);
}

// Kernels

/** @type {Kernel} */
function triangle(x) {
  return max(1 - abs(x), 0);
}

/** Keys' cubic convolution with a = −1/2. @type {Kernel} */
function bicubic(signed) {
  const a = -0.5;
  const x = abs(signed);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** `bicubic` of a float32 distance from 0, in float32. @type {Kernel} */
function bicubic32(x) {
  if (x >= 2) return 0;
  if (x >= 1) {
    const inner = fround(fround(fround(fround(-0.5 * x) + 2.5) * x) - 4);
    return fround(fround(inner * x) + 2);
  }
  return fround(fround(fround(fround(fround(1.5 * x) - 2.5) * x) * x) + 1);
}

/** sinc(x) · sinc(x / 3). @type {Kernel} */
function lanczos3(x) {
  if (x === 0) return 1;
  if (!(x >= -3 && x < 3)) return 0;
  const angle = x * PI;
  return sin(angle) / angle * (sin(angle / 3) / (angle / 3));
}

/** @type {Kernel} */
function box(x) {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

// Sums along one dimension

/**
 * Take whole pixels.
 * @param {Image} image
 * @param {number[]} size
 * @param {(n: number, wanted: number) => Int32Array} places
 * @returns {Image}
 */
function gather(image, [height, width], places) {
  const { channels } = image;
  const [rows, columns] = [places(image.height, height), places(image.width, width)];
  const data = new (/** @type {new (n: number) => Numbers} */ (image.data.constructor))(height * width * channels);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * image.width + column) * channels;
      for (let channel = 0; channel < channels; channel += 1) data[at++] = image.data[from + channel];
    }
  }
  return { data, height, width, channels };
}

/**
 * Interpolate along columns, then along rows; the result is float32.
 * @param {Image} image
 * @param {number[]} size
 * @param {(n: number, wanted: number) => Between} between
 * @param {(x: number) => number} rounded what each step is rounded to: `Math.fround`, or nothing
 * @returns {Image}
 */
function lerp(image, [height, width], between, rounded) {
  const { channels, data: pixels } = image;
  const [rows, columns] = [between(image.height, height), between(image.width, width)];
  const data = new Float32Array(height * width * channels);
  /** @type {(row: number, column: number, channel: number) => number} */
  const across = (row, column, channel) => {
    const start = row * image.width;
    const left = pixels[(start + columns.lower[column]) * channels + channel];
    const right = pixels[(start + columns.upper[column]) * channels + channel];
    return rounded(left + rounded(rounded(right - left) * columns.share[column]));
  };
  let at = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        const top = across(rows.lower[y], x, channel);
        const bottom = across(rows.upper[y], x, channel);
        data[at++] = rounded(top + rounded(rounded(bottom - top) * rows.share[y]));
      }
    }
  }
  return { data, height, width, channels };
}

/**
 * Add weight × pixel along rows or columns, tap by tap.
 * @param {Image} image
 * @param {Taps} taps
 * @param {'rows' | 'columns'} along
 * @param {{ start: number, rounded: (x: number) => number, stored: (x: number) => number }} arithmetic `start` begins
 *   each sum, `rounded` is applied to each product and sum, `stored` to the result
 * @returns {Image}
 */
function summed(image, { places, weights, taps }, along, { start, rounded, stored }) {
  const { channels } = image;
  const wanted = weights.length / taps;
  const [height, width] = along === 'rows' ? [wanted, image.width] : [image.height, wanted];
  const data = new Float64Array(height * width * channels);
  let at = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const first = (along === 'rows' ? y : x) * taps;
      for (let channel = 0; channel < channels; channel += 1) {
        let total = start;
        for (let tap = first; tap < first + taps; tap += 1) {
          const pixel = along === 'rows' ? places[tap] * width + x : y * image.width + places[tap];
          total = rounded(total + rounded(image.data[pixel * channels + channel] * weights[tap]));
        }
        data[at++] = stored(total);
      }
    }
  }
  return { data, height, width, channels };
}

/** @type {(image: Image, kind: Uint8ArrayConstructor | Float32ArrayConstructor) => Image} */
function stored(image, kind) {
  return { ...image, data: kind.from(image.data) };
}

// Pillow

const PILLOW_BITS = 2 ** 22;

/** @type {(n: number, wanted: number) => Int32Array} */
function pillowNearest(n, wanted) {
  const step = n / wanted;
  const places = new Int32Array(wanted);
  for (let x = 0, position = step * 0.5; x < wanted; x += 1, position += step) places[x] = trunc(position);
  return places;
}

/** @type {(n: number, wanted: number, kernel: Kernel, support: number) => Taps} */
function pillowTaps(n, wanted, kernel, support) {
  const scale = n / wanted;
  const widened = max(scale, 1);
  const reach = support * widened;
  const taps = ceil(reach) * 2 + 1;
  const places = new Int32Array(wanted * taps);
  const weights = new Float64Array(wanted * taps);
  for (let x = 0; x < wanted; x += 1) {
    const centre = (x + 0.5) * scale;
    const first = max(trunc(centre - reach + 0.5), 0);
    const end = min(trunc(centre + reach + 0.5), n);
    let total = 0;
    for (let tap = 0; tap < taps; tap += 1) {
      const weight = first + tap < end ? kernel((first + tap - centre + 0.5) * (1 / widened)) : 0;
      places[x * taps + tap] = min(first + tap, n - 1);
      weights[x * taps + tap] = weight;
      total += weight;
    }
    for (let tap = x * taps; tap < (x + 1) * taps; tap += 1) {
      const weight = weights[tap] / total;
      weights[tap] = trunc(weight * PILLOW_BITS + (weight < 0 ? -0.5 : 0.5));
    }
  }
  return { places, weights, taps };
}

const PILLOW_ARITHMETIC = Object.freeze({
  start: PILLOW_BITS / 2,
  rounded: (/** @type {number} */ x) => x,
  stored: (/** @type {number} */ x) => clip(floor(x / PILLOW_BITS), 0, 255),
});

/** @type {(rowsFirst: (rows: number, columns: number) => boolean) => Record<string, Resize>} */
function pillow(rowsFirst) {
  /** @type {(kernel: Kernel, support: number) => Resize} */
  const convolved = (kernel, support) => (image, [height, width]) => {
    /** @type {(from: Image) => Image} */
    const rows = (from) => (from.height === height ? from
      : summed(from, pillowTaps(from.height, height, kernel, support), 'rows', PILLOW_ARITHMETIC));
    /** @type {(from: Image) => Image} */
    const columns = (from) => (from.width === width ? from
      : summed(from, pillowTaps(from.width, width, kernel, support), 'columns', PILLOW_ARITHMETIC));
    const resized = rowsFirst(image.height - height, image.width - width) ? columns(rows(image)) : rows(columns(image));
    return stored(resized, Uint8Array);
  };
  return {
    bilinear: convolved(triangle, 1),
    nearest: (image, size) => gather(image, size, pillowNearest),
    bicubic: convolved(bicubic, 2),
    lanczos: convolved(lanczos3, 3),
    area: convolved(box, 0.5),
  };
}

// tf.image.resize

/** @type {(n: number, wanted: number) => Float32Array} */
function tfCentres(n, wanted) {
  const step = fround(n / wanted);
  return Float32Array.from({ length: wanted }, (_, x) => fround(fround(fround(x + 0.5) * step) - 0.5));
}

/** @type {(n: number, wanted: number) => Int32Array} */
function tfNearest(n, wanted) {
  const step = fround(n / wanted);
  return Int32Array.from({ length: wanted }, (_, x) => min(floor(fround(fround(x + 0.5) * step)), n - 1));
}

/** @type {(n: number, wanted: number) => Between} */
function tfBetween(n, wanted) {
  const centres = tfCentres(n, wanted);
  return {
    lower: Int32Array.from(centres, (centre) => clip(floor(centre), 0, n - 1)),
    upper: Int32Array.from(centres, (centre) => clip(ceil(centre), 0, n - 1)),
    share: Float64Array.from(centres, (centre) => fround(centre - floor(centre))),
  };
}

/** @type {(n: number, wanted: number) => Taps} */
function tfCubicTaps(n, wanted) {
  const steps = 1024;
  const [places, weights] = [new Int32Array(wanted * 4), new Float64Array(wanted * 4)];
  tfCentres(n, wanted).forEach((centre, x) => {
    const lower = floor(centre);
    const offset = halfToEven(fround(fround(centre - lower) * steps));
    const distances = [offset / steps + 1, offset / steps, (steps - offset) / steps, (steps - offset) / steps + 1];
    let total = 0;
    distances.forEach((distance, tap) => {
      const place = lower - 1 + tap;
      const weight = place >= 0 && place < n ? fround(bicubic(distance)) : 0;
      places[x * 4 + tap] = clip(place, 0, n - 1);
      weights[x * 4 + tap] = weight;
      total = fround(total + weight);
    });
    const share = fround(1 / total);
    for (let tap = x * 4; tap < x * 4 + 4; tap += 1) weights[tap] = fround(weights[tap] * share);
  });
  return { places, weights, taps: 4 };
}

/** @type {(n: number, wanted: number, kernel: Kernel, radius: number, antialias: boolean) => Taps} */
function tfSpans(n, wanted, kernel, radius, antialias) {
  const inverse = fround(1 / fround(wanted / n));
  const stretch = antialias ? max(inverse, 1) : 1;
  const reach = fround(radius * stretch);
  const narrowed = fround(1 / stretch);
  const centres = Array.from({ length: wanted }, (_, x) => fround(fround(x + 0.5) * inverse));
  const firsts = centres.map((centre) => max(ceil(fround(fround(centre - reach) - 0.5)), 0));
  const lasts = centres.map((centre) => min(floor(fround(fround(centre + reach) - 0.5)), n - 1));
  const taps = max(...lasts.map((last, x) => last - firsts[x])) + 1;
  const [places, weights] = [new Int32Array(wanted * taps), new Float64Array(wanted * taps)];
  centres.forEach((centre, x) => {
    let total = 0;
    for (let tap = 0; tap < taps; tap += 1) {
      const place = firsts[x] + tap;
      const distance = fround(fround(fround(place + 0.5) - centre) * narrowed);
      const weight = place <= lasts[x] ? fround(kernel(abs(distance))) : 0;
      places[x * taps + tap] = min(place, n - 1);
      weights[x * taps + tap] = weight;
      total = fround(total + weight);
    }
    const share = fround(1 / total);
    for (let tap = x * taps; tap < (x + 1) * taps; tap += 1) weights[tap] = fround(weights[tap] * share);
  });
  return { places, weights, taps };
}

const FLOAT_ARITHMETIC = Object.freeze({ start: 0, rounded: fround, stored: fround });

/** @type {(tapsOf: (n: number, wanted: number) => Taps) => Resize} */
function rowsFirst(tapsOf) {
  return (image, [height, width]) => {
    const rows = summed(image, tapsOf(image.height, height), 'rows', FLOAT_ARITHMETIC);
    return stored(summed(rows, tapsOf(image.width, width), 'columns', FLOAT_ARITHMETIC), Float32Array);
  };
}

// OpenCV

const OPENCV_BITS = 2048;

/** @type {(n: number, wanted: number) => Taps} */
function opencvTaps(n, wanted) {
  const [places, weights] = [new Int32Array(wanted * 2), new Float64Array(wanted * 2)];
  for (let x = 0; x < wanted; x += 1) {
    const centre = fround((x + 0.5) * (n / wanted) - 0.5);
    const lower = floor(centre);
    const share = fround(centre - lower);
    places.set([clip(lower, 0, n - 1), clip(lower + 1, 0, n - 1)], x * 2);
    weights.set([halfToEven(fround(fround(1 - share) * OPENCV_BITS)), halfToEven(fround(share * OPENCV_BITS))], x * 2);
  }
  return { places, weights, taps: 2 };
}

/** @type {Resize} */
function opencvBilinear(image, [height, width]) {
  const columns = opencvTaps(image.width, width);
  for (let tap = 0; tap < columns.weights.length; tap += 2) {
    // Columns outside of the image get the whole weight at once; rows are added up from two equal ones.
    if (columns.places[tap] === columns.places[tap + 1]) columns.weights.set([OPENCV_BITS, 0], tap);
  }
  const across = summed(image, columns, 'columns', { start: 0, rounded: (x) => x, stored: (x) => floor(x / 16) });
  const rows = opencvTaps(image.height, height);
  const line = width * image.channels;
  const data = new Uint8Array(height * line);
  /** Products are cut to 16 bits less, as the vector instructions do. @type {(tap: number, at: number) => number} */
  const product = (tap, at) => floor(across.data[rows.places[tap] * line + at] * rows.weights[tap] / 65536);
  for (let y = 0; y < height; y += 1) {
    for (let at = 0; at < line; at += 1) {
      data[y * line + at] = clip((product(y * 2, at) + product(y * 2 + 1, at) + 2) >> 2, 0, 255);
    }
  }
  return { data, height, width, channels: image.channels };
}

/** @type {(n: number, wanted: number) => Int32Array} */
function cornerNearest(n, wanted) {
  return Int32Array.from({ length: wanted }, (_, x) => min(floor(x * (n / wanted)), n - 1));
}

// TensorFlow.js

/** @typedef {(n: number, wanted: number) => (x: number) => number} Positions */

/** @type {Positions} */
const corners = (n, wanted) => (x) => x * (n / wanted);
/** @type {Positions} */
const halfPixels = (n, wanted) => (x) => (x + 0.5) * (n / wanted) - 0.5;
/** @type {Positions} */
const alignedCorners = (n, wanted) => (wanted === 1 ? corners(n, wanted) : (x) => x * ((n - 1) / (wanted - 1)));

/** @type {(positions: Positions) => (n: number, wanted: number) => Between} */
function tfjsBetween(positions) {
  return (n, wanted) => {
    const centres = Array.from({ length: wanted }, (_, x) => positions(n, wanted)(x));
    return {
      lower: Int32Array.from(centres, (centre) => min(max(floor(centre), 0), n - 1)),
      upper: Int32Array.from(centres, (centre) => clip(ceil(centre), 0, n - 1)),
      share: Float64Array.from(centres, (centre) => centre - max(floor(centre), 0)),
    };
  };
}

/** @type {(positions: Positions, nearest: Positions) => Record<string, Resize>} */
function tfjs(positions, nearest) {
  return {
    bilinear: (image, size) => lerp(image, size, tfjsBetween(positions), (x) => x),
    nearest: (image, size) => gather(image, size, (n, wanted) => Int32Array.from(
      { length: wanted }, (_, x) => clip(floor(nearest(n, wanted)(x)), 0, n - 1))),
  };
}

/** Name of a resizer → its methods. @type {Readonly<Record<string, Record<string, Resize>>>} */
export const RESIZERS = Object.freeze({
  pillow: pillow((rows, columns) => rows > max(0, 2 * columns)),
  'pillow-12': pillow(() => false),
  torchvision: pillow((rows, columns) => rows > max(0, 2 * columns)),
  tf: {
    bilinear: (image, size) => lerp(image, size, tfBetween, fround),
    nearest: (image, size) => gather(image, size, tfNearest),
    bicubic: rowsFirst(tfCubicTaps),
    lanczos: rowsFirst((n, wanted) => tfSpans(n, wanted, lanczos3, 3, false)),
  },
  'tf-antialias': {
    bilinear: rowsFirst((n, wanted) => tfSpans(n, wanted, (x) => max(fround(1 - x), 0), 1, true)),
    bicubic: rowsFirst((n, wanted) => tfSpans(n, wanted, bicubic32, 2, true)),
    lanczos: rowsFirst((n, wanted) => tfSpans(n, wanted, lanczos3, 3, true)),
  },
  opencv: { bilinear: opencvBilinear, nearest: (image, size) => gather(image, size, cornerNearest) },
  tfjs: tfjs(corners, corners),
  'tfjs-half-pixel': tfjs(halfPixels, (n, wanted) => (x) => (x + 0.5) * (n / wanted)),
  'tfjs-align-corners': tfjs(alignedCorners, (n, wanted) => (x) => alignedCorners(n, wanted)(x) + 0.5),
});

/** @type {(tapsOf: (n: number, wanted: number) => Taps, unit: number) => (n: number, wanted: number) => Taps} */
function inUnits(tapsOf, unit) {
  return (n, wanted) => {
    const { places, weights, taps } = tapsOf(n, wanted);
    return { places, weights: weights.map((weight) => weight / unit), taps };
  };
}

/** @type {(between: (n: number, wanted: number) => Between) => (n: number, wanted: number) => Taps} */
function asTaps(between) {
  return (n, wanted) => {
    const { lower, upper, share } = between(n, wanted);
    const pair = (/** @type {number} */ at, /** @type {number} */ first, /** @type {number} */ second) =>
      (at % 2 === 0 ? first : second);
    const index = (/** @type {number} */ at) => floor(at / 2);
    return {
      places: Int32Array.from({ length: wanted * 2 }, (_, at) => pair(at, lower[index(at)], upper[index(at)])),
      weights: Float64Array.from({ length: wanted * 2 }, (_, at) => pair(at, 1 - share[index(at)], share[index(at)])),
      taps: 2,
    };
  };
}

/** @type {(places: (n: number, wanted: number) => Int32Array) => (n: number, wanted: number) => Taps} */
function asOne(places) {
  return (n, wanted) => ({ places: places(n, wanted), weights: new Float64Array(wanted).fill(1), taps: 1 });
}

const PILLOW_WEIGHTS = Object.freeze({
  bilinear: inUnits((n, wanted) => pillowTaps(n, wanted, triangle, 1), PILLOW_BITS),
  nearest: asOne(pillowNearest),
  bicubic: inUnits((n, wanted) => pillowTaps(n, wanted, bicubic, 2), PILLOW_BITS),
  lanczos: inUnits((n, wanted) => pillowTaps(n, wanted, lanczos3, 3), PILLOW_BITS),
  area: inUnits((n, wanted) => pillowTaps(n, wanted, box, 0.5), PILLOW_BITS),
});

/**
 * Name of a resizer → method → the weights of pixels along one dimension, which add up to one, for products of
 * matrices. The resizers of TensorFlow.js are its own operations.
 * @type {Readonly<Record<string, Record<string, (n: number, wanted: number) => Taps>>>}
 */
export const WEIGHTS = Object.freeze({
  pillow: PILLOW_WEIGHTS,
  'pillow-12': PILLOW_WEIGHTS,
  torchvision: PILLOW_WEIGHTS,
  tf: {
    bilinear: asTaps(tfBetween),
    nearest: asOne(tfNearest),
    bicubic: tfCubicTaps,
    lanczos: (n, wanted) => tfSpans(n, wanted, lanczos3, 3, false),
  },
  'tf-antialias': {
    bilinear: (n, wanted) => tfSpans(n, wanted, (x) => max(fround(1 - x), 0), 1, true),
    bicubic: (n, wanted) => tfSpans(n, wanted, bicubic32, 2, true),
    lanczos: (n, wanted) => tfSpans(n, wanted, lanczos3, 3, true),
  },
  opencv: { bilinear: inUnits(opencvTaps, OPENCV_BITS), nearest: asOne(cornerNearest) },
});

/** Name of a decoder → its grey, for values of red, green and blue. */
export const GREYS = Object.freeze({
  pillow: (/** @type {number} */ r, /** @type {number} */ g, /** @type {number} */ b) =>
    (19595 * r + 38470 * g + 7471 * b + 32768) >> 16,
  tf: (/** @type {number} */ r, /** @type {number} */ g, /** @type {number} */ b) => {
    const [red, green, blue] = [[r, 0.2989], [g, 0.587], [b, 0.114]].map(
      ([value, weight]) => fround(fround(value * fround(1 / 255)) * fround(weight)));
    return floor(fround(fround(fround(red + green) + blue) * 255.5));
  },
  opencv: (/** @type {number} */ r, /** @type {number} */ g, /** @type {number} */ b) =>
    (9798 * r + 19235 * g + 3735 * b + 16384) >> 15,
});

/**
 * Make an image grey, or drop its alpha channel.
 * @param {Image} image
 * @param {Pipeline} pipeline
 * @returns {Image}
 */
export function inChannels(image, { colour, decoder }) {
  const channels = colour === 'grey' ? 1 : 3;
  if (image.channels === channels) return image;
  const count = image.height * image.width;
  const data = new Uint8Array(count * channels);
  const grey = GREYS[/** @type {keyof typeof GREYS} */ (decoder)];
  for (let pixel = 0; pixel < count; pixel += 1) {
    const from = pixel * image.channels;
    const [r, g, b] = image.channels === 1 ? [0, 0, 0].fill(image.data[from]) : image.data.subarray(from, from + 3);
    if (channels === 1) data[pixel] = grey(r, g, b);
    else data.set([r, g, b], pixel * 3);
  }
  return { data, height: image.height, width: image.width, channels };
}

/**
 * Where a resized image lies: its size, and the rows and columns of it above and to the left of the sample.
 * @param {Pipeline} pipeline
 * @param {number} height
 * @param {number} width
 * @returns {{ size: number[], top: number, left: number }}
 */
export function placement({ aspect, size, shorter_side: side }, height, width) {
  const [H, W] = size;
  if (aspect === 'stretch') return { size, top: 0, left: 0 };
  if (aspect === 'crop') {
    let resized;
    if (side !== null) {
      resized = height <= width ? [side, floor(side * width / height)] : [floor(side * height / width), side];
    } else if (H * width >= W * height) {
      resized = [H, max(W, floor(H * width / height))];
    } else {
      resized = [max(H, floor(W * height / width)), W];
    }
    return { size: resized, top: halfToEven((resized[0] - H) / 2), left: halfToEven((resized[1] - W) / 2) };
  }
  const resized = H * width <= W * height
    ? [H, max(1, floor(H * width / height))] : [max(1, floor(W * height / width)), W];
  return { size: resized, top: -floor((H - resized[0]) / 2), left: -floor((W - resized[1]) / 2) };
}

/** @type {(image: Image, top: number, left: number, size: number[], fill: number) => Image} */
function placed(image, top, left, [height, width], fill) {
  const { channels } = image;
  const data = new (/** @type {new (n: number) => Numbers} */ (image.data.constructor))(height * width * channels);
  data.fill(fill);
  for (let y = max(0, -top); y < min(height, image.height - top); y += 1) {
    const from = max(0, left);
    const to = min(image.width, left + width);
    const row = (y + top) * image.width;
    data.set(image.data.subarray((row + from) * channels, (row + to) * channels), (y * width + from - left) * channels);
  }
  return { data, height, width, channels };
}

/**
 * Crop, resize and pad to `pipeline.size`.
 * @param {Image} image
 * @param {Pipeline} pipeline
 * @returns {Image}
 */
export function fitted(image, pipeline) {
  let from = inChannels(image, pipeline);
  if (pipeline.central_crop < 1) {
    const [top, left] = [from.height, from.width].map((n) => trunc((n - n * pipeline.central_crop) / 2));
    from = placed(from, top, left, [from.height - 2 * top, from.width - 2 * left], 0);
  }
  const [height, width] = pipeline.size;
  if (from.height === height && from.width === width && pipeline.shorter_side === null) return from;
  if (pipeline.resize === 'none') {
    throw new Error(`the image has ${from.height}×${from.width} pixels, and ${height}×${width} are expected`);
  }
  const place = placement(pipeline, from.height, from.width);
  const same = from.height === place.size[0] && from.width === place.size[1];
  const resized = same ? from : RESIZERS[pipeline.resizer][pipeline.resize](from, place.size);
  return placed(resized, place.top, place.left, pipeline.size, pipeline.pad_value);
}

const DTYPES = Object.freeze({
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array,
});

/**
 * Turn pixels into the tensor of one sample, without the batch dimension.
 * @param {Image} image
 * @param {Pipeline} pipeline
 * @returns {{ data: Float32Array | Float64Array | Uint8Array | Int8Array | Int32Array, shape: number[] }}
 */
export function preprocess(image, pipeline) {
  const { data: pixels, height, width, channels } = fitted(image, pipeline);
  const { colour, scale, offset, layout } = pipeline;
  const data = new DTYPES[/** @type {keyof typeof DTYPES} */ (pipeline.dtype)](pixels.length);
  const first = layout === 'channels-first';
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      const value = pixels[pixel * channels + (colour === 'bgr' ? channels - 1 - channel : channel)];
      const scaled = value * scale[scale.length === 1 ? 0 : channel] + offset[offset.length === 1 ? 0 : channel];
      data[first ? channel * height * width + pixel : pixel * channels + channel] = scaled;
    }
  }
  if (layout === 'no-channels') return { data, shape: [height, width] };
  return { data, shape: first ? [channels, height, width] : [height, width, channels] };
}
