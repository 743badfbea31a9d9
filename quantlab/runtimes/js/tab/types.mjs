/** Types that the modules of the page "quantlab in a tab" share. And the error that they throw. */

/**
 * A file as it was dropped: its path with `/`, below the dropped folder if there is one.
 * @typedef {{ path: string, size: number, bytes: () => Promise<Uint8Array> }} DroppedFile
 */

/**
 * A file that is not used, and why: one sentence or two, with what to do.
 * @typedef {{ path: string, reason: string }} Refused
 */

/** @typedef {import('../run.mjs').Codes} Codes */

/**
 * An input or output of an artifact. `shape` is that of one sample, without the batch axis; null is an open size. The
 * shape is empty for scalars and where an artifact states none. `dtype` is NumPy's name of the values that the
 * reference takes or gives: float32 where the file has codes. `batch` is the size of the batch axis: null if it is
 * open, undefined if the file states no shape. `tensor` is the name in the file, and `position` the place among its
 * inputs or outputs.
 * @typedef {{ name: string, shape: (number | null)[], dtype: string, batch: number | null | undefined, tensor: string,
 *   position: number, codes: Codes | null }} TensorSpec
 */

/**
 * A model in files, as they are served. Paths in `files` are relative to the folder of the artifact; that of a tfjs
 * artifact has its JSON file first. `name` is that of the dropped folder or file. `setting` is `as-given` for what was
 * dropped, and otherwise the name of the setting. `stored` has the bytes of the weights by stored dtype.
 * @typedef {object} Artifact
 * @property {'tfjs' | 'tfjs-layers' | 'tflite' | 'onnx'} format
 * @property {string} name
 * @property {string} setting
 * @property {Map<string, Uint8Array>} files
 * @property {TensorSpec[]} inputs
 * @property {TensorSpec[]} outputs
 * @property {Record<string, number>} stored
 */

/**
 * Elements in C order. float16 is widened to float32 when it is read, and its dtype stays float16.
 * @typedef {Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array
 *   | BigInt64Array | BigUint64Array} TypedArray
 */

/** @typedef {{ shape: number[], dtype: string, data: TypedArray }} Tensor */

/**
 * What is fed and scored. The first axis of each input is the samples. `places` has the place of each sample, ascending,
 * among the `available` ones that were dropped. `names` has one name for each sample: that of
 * its file, or its number. `notes` are sentences for the user, such as that samples were left out.
 * @typedef {object} Samples
 * @property {Map<string, Tensor>} inputs by name of the artifact's input
 * @property {number} n
 * @property {number} available
 * @property {Uint32Array} places
 * @property {Int32Array | null} labels class of each sample
 * @property {string[]} names
 * @property {string[] | null} classNames
 * @property {string} sha256 Python's hash of the same samples
 * @property {string[]} notes
 */

/**
 * What was found in a drop. `labels` has the class of each image, from the names of folders.
 * @typedef {object} Drop
 * @property {Artifact | null} artifact
 * @property {Map<string, Tensor> | null} arrays
 * @property {DroppedFile[]} images
 * @property {string[] | null} classNames
 * @property {Int32Array | null} imageLabels
 * @property {Refused[]} refused
 */

/** What a user dropped is not usable; the message is for them. */
export class DropError extends Error {
  name = 'DropError';
}
