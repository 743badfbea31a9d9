/**
 * The steps of pipelines with sharp, a package of the user: its decoder, its resizers, and both in one call.
 *
 * Apps call both at once. Then sharp may decode a JPEG file at a half, a quarter or an eighth of its size, so the pixels
 * are others than those of the two steps.
 */

/** @typedef {import('./pipelines.mjs').AtOnce} AtOnce */
/** @typedef {import('./pipelines.mjs').Decode} Decode */
/** @typedef {import('./pipelines.mjs').Pixels} Pixels */
/** @typedef {import('./pipelines.mjs').Resize} Resize */
/** @typedef {import('./pipelines.mjs').Steps} Steps */

/**
 * What is used of a chain of sharp's calls.
 * @typedef {object} Chain
 * @property {(width: number, height: number, options: { fit: 'fill', kernel: string }) => Chain} resize
 * @property {() => Chain} greyscale
 * @property {() => Chain} removeAlpha
 * @property {() => Chain} raw
 * @property {(options: { resolveWithObject: true }) => Promise<Written>} toBuffer
 */

/** @typedef {{ data: Uint8Array, info: { width: number, height: number } }} Written */

/** @typedef {{ raw?: { width: number, height: number, channels: number } }} InputOptions */

/**
 * What is used of sharp.
 * @typedef {((bytes: Uint8Array, options?: InputOptions) => Chain) & { versions: Record<string, string> }} Sharp
 */

const KERNELS = Object.freeze(['lanczos3', 'linear', 'cubic']);

/** @type {(chain: Chain, grey: boolean) => Promise<Pixels>} */
async function pixelsOf(chain, grey) {
  const { data, info: { height, width } } = await (grey ? chain.greyscale() : chain)
    .removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { height, width, values: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/**
 * @param {Sharp} sharp
 * @returns {Steps}
 */
export function sharpSteps(sharp) {
  /** @type {Decode} */
  const decode = (bytes, grey) => pixelsOf(sharp(bytes), grey);

  /** @type {(kernel: string) => Resize} */
  const resizer = (kernel) => ({ height, width, values }, newHeight, newWidth) => {
    const channels = values.length / (height * width);
    const pixels = sharp(/** @type {Uint8Array} */ (values), { raw: { width, height, channels } });
    return pixelsOf(pixels.resize(newWidth, newHeight, { fit: 'fill', kernel }), channels === 1);
  };

  /** @type {(kernel: string) => AtOnce} */
  const reader = (kernel) => (bytes, grey, height, width) => (
    pixelsOf(sharp(bytes).resize(width, height, { fit: 'fill', kernel }), grey));

  return {
    decoders: { sharp: decode },
    resizers: Object.fromEntries(KERNELS.map((kernel) => [`sharp-${kernel}`, resizer(kernel)])),
    atOnce: Object.fromEntries(KERNELS.map((kernel) => [`sharp-${kernel}`, reader(kernel)])),
    environment: { sharp: sharp.versions.sharp, libvips: sharp.versions.vips },
  };
}
