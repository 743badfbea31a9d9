/** Recognizes what was dropped: one artifact, arrays, images, names of classes. Everything else is refused by name. */

import { readNpy, readNpz } from './arrays.mjs';
import { imagesOf, isImage } from './image-files.mjs';
import { readJson } from './json.mjs';
import { describeOnnx } from './onnx-file.mjs';
import { reading } from './settings.mjs';
import { graphPorts, isLayersModel, layersPorts } from './tfjs-ports.mjs';
import { describeTflite } from './tflite-file.mjs';
import { DropError } from './types.mjs';
import { readDocument, readTfjs, shardPaths, storedBytes } from './weights.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Drop} Drop */
/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */
/** @typedef {import('./types.mjs').Refused} Refused */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./json.mjs').JsonObject} JsonObject */

/** Bytes of all files that are read; a tab holds about three copies of the weights. */
export const MOST_BYTES = 1.5e9;

const CLASS_FILES = new Set(['class_names.txt', 'labels.txt', 'class_names.json']);
const MOST_TEXT_BYTES = 10_000_000;
const MOST_DOCUMENT_BYTES = 200_000_000;

const CONVERT = 'convert it to a TensorFlow.js model, a .tflite or an .onnx file, or give it to quantlab analyze.';
const FOREIGN = Object.freeze(new Map(Object.entries({
  keras: `A Keras file does not run in a browser; ${CONVERT}`,
  h5: `A Keras file does not run in a browser; ${CONVERT}`,
  hdf5: `A Keras file does not run in a browser; ${CONVERT}`,
  pb: `A SavedModel does not run in a browser; ${CONVERT}`,
  pt: 'A PyTorch file does not run in a browser; export it to an .onnx file with torch.onnx.export.',
  pth: 'A PyTorch file does not run in a browser; export it to an .onnx file with torch.onnx.export.',
  safetensors: 'A .safetensors file has weights and no graph; export the model to an .onnx file.',
  ckpt: `A checkpoint has weights and no graph; export the model, and ${CONVERT}`,
  mlmodel: 'A Core ML file does not run in a browser; drop the model that it was made from.',
  zip: 'An archive is not opened; unpack it, and drop the folder.',
  gz: 'An archive is not opened; unpack it, and drop the folder.',
  tar: 'An archive is not opened; unpack it, and drop the folder.',
  bin: 'It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the whole folder, with its '
    + 'model.json.',
  bmp: 'Images are read as PNG, JPEG or WebP; save it as one of these.',
  gif: 'Images are read as PNG, JPEG or WebP; save it as one of these.',
})));

/** @type {(path: string) => string} */
const baseOf = (path) => path.slice(path.lastIndexOf('/') + 1);

/** The folder of a path with its last `/`; empty at the top. @type {(path: string) => string} */
const folderOf = (path) => path.slice(0, path.lastIndexOf('/') + 1);

/** @type {(path: string) => string} */
const suffixOf = (path) => /\.([^./]+)$/.exec(path)?.[1].toLowerCase() ?? '';

/** Files that systems put into folders. @type {(file: DroppedFile) => boolean} */
const isHidden = ({ path }) => path.split('/').some((part) => part.startsWith('.') || part === '__MACOSX')
  || ['Thumbs.db', 'desktop.ini'].includes(baseOf(path));

/** @type {(bytes: number) => string} */
const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;

/**
 * Read what was dropped. Nothing is read of a drop that is too large, and images are not read here.
 * @param {DroppedFile[]} files
 * @returns {Promise<Drop>}
 */
export async function readDrop(files) {
  const sorted = new Sorted(files.filter((file) => !isHidden(file)));
  await sorted.sort();
  return sorted.drop;
}

/** One drop while it is sorted. */
class Sorted {
  /** @param {DroppedFile[]} files */
  constructor(files) {
    /** Files that nothing has taken yet. */
    this.left = new Map(files.map((file) => [file.path, file]));
    /** @type {Drop} */
    this.drop = { artifact: null, arrays: null, images: [], classNames: null, imageLabels: null, refused: [] };
  }

  /** @type {(path: string, reason: string) => void} */
  refuse(path, reason) {
    this.left.delete(path);
    this.drop.refused.push({ path, reason });
  }

  async sort() {
    const images = [...this.left.values()].filter(({ path }) => isImage(path));
    for (const { path } of images) this.left.delete(path);
    if (this.isTooLarge()) return;
    await this.takeModel();
    await this.takeArrays();
    await this.takeClassNames();
    await this.attempt(images[0]?.path ?? '', () => {
      const { files, labels, classNames } = imagesOf(images, this.drop.classNames);
      Object.assign(this.drop, { images: files, imageLabels: labels, classNames: classNames ?? this.drop.classNames });
    });
    for (const path of [...this.left.keys()]) this.refuse(path, this.whyNot(path));
  }

  /**
   * Run a step, whose errors are reasons why a file is refused.
   * @type {(path: string, step: () => unknown) => Promise<void>}
   */
  async attempt(path, step) {
    try {
      await reading(`'${path}'`, step);
    } catch (error) {
      this.refuse(path, /** @type {Error} */ (error).message);
    }
  }

  isTooLarge() {
    const files = [...this.left.values()];
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    if (bytes <= MOST_BYTES) return false;
    const largest = files.reduce((most, file) => (file.size > most.size ? file : most));
    this.refuse(largest.path, `The dropped files have ${gigabytes(bytes)}, '${baseOf(largest.path)}' alone has `
      + `${gigabytes(largest.size)}, and a browser tab has memory for about ${gigabytes(MOST_BYTES)}; use `
      + 'quantlab analyze.');
    return true;
  }

  /** @type {(path: string) => string} */
  whyNot(path) {
    const known = FOREIGN.get(suffixOf(path));
    if (suffixOf(path) === 'bin' && this.drop.artifact) return 'It is not used, because the model does not name it.';
    if (known) return known;
    if (this.drop.artifact) return 'It is not used: it is no part of the model, and no samples.';
    return 'It is not a file that this page reads; drop a TensorFlow.js folder with its model.json, a .tflite or .onnx '
      + 'file, an .npz file, or images.';
  }

  async takeModel() {
    const documents = await this.findDocuments();
    const single = [...this.left.values()].filter(({ path }) => ['tflite', 'onnx'].includes(suffixOf(path)));
    const paths = [...documents.map(({ path }) => path), ...single.map(({ path }) => path)];
    if (paths.length > 1) {
      const listed = paths.slice(0, 3).join(', ') + (paths.length > 3 ? ', …' : '');
      for (const path of paths) this.refuse(path, `There are ${paths.length} models in the drop (${listed}); drop `
        + `one.`);
      return;
    }
    const [path] = paths;
    if (path === undefined) return;
    await this.attempt(path, async () => {
      this.drop.artifact = documents.length ? await this.readTfjsFiles(documents[0]) : await this.readSingle(single[0]);
    });
    this.left.delete(path);
  }

  /** The JSON files of tfjs models; in a folder with a model.json it is the only one. */
  async findDocuments() {
    /** @type {{ path: string, document: JsonObject, bytes: Uint8Array }[]} */
    const found = [];
    for (const file of [...this.left.values()].filter(({ path }) => suffixOf(path) === 'json')) {
      if (CLASS_FILES.has(baseOf(file.path)) || file.size > MOST_DOCUMENT_BYTES) continue;
      await this.attempt(file.path, async () => {
        const bytes = await file.bytes();
        if (baseOf(file.path) !== 'model.json' && !hasManifest(bytes)) return;
        found.push({ path: file.path, document: readDocument(bytes, baseOf(file.path)), bytes });
      });
    }
    const usual = new Set(found.map(({ path }) => path).filter((path) => baseOf(path) === 'model.json').map(folderOf));
    return found.filter(({ path }) => baseOf(path) === 'model.json' || !usual.has(folderOf(path)));
  }

  /** @type {(found: { path: string, document: JsonObject, bytes: Uint8Array }) => Promise<Artifact>} */
  async readTfjsFiles({ path, document, bytes }) {
    const [folder, json] = [folderOf(path), baseOf(path)];
    const files = new Map([[json, bytes]]);
    for (const name of shardPaths(document, json).flat()) {
      const shard = this.left.get(folder + name);
      if (!shard) {
        throw new DropError(`The shard '${name}' that '${json}' lists is missing; drop the whole folder, with all `
          + 'shards.');
      }
      files.set(name, await shard.bytes());
      this.left.delete(folder + name);
    }
    const { groups } = readTfjs(document, json, files);
    const isLayers = isLayersModel(document);
    const { inputs, outputs } = isLayers ? layersPorts(document, json) : graphPorts(document);
    const name = json === 'model.json' && folder ? baseOf(folder.slice(0, -1)) : json;
    const format = isLayers ? 'tfjs-layers' : 'tfjs';
    return { format, name, setting: 'as-given', files, inputs, outputs, stored: storedBytes(groups) };
  }

  /** @type {(file: DroppedFile) => Promise<Artifact>} */
  async readSingle(file) {
    const name = baseOf(file.path);
    const bytes = await file.bytes();
    const given = { name, setting: 'as-given', files: new Map([[name, bytes]]) };
    if (suffixOf(name) === 'tflite') return { format: 'tflite', ...given, ...describeTflite(bytes) };
    const { external, ...described } = describeOnnx(bytes);
    if (external.length) {
      throw new DropError(`'${name}' keeps weights in other files (${external.slice(0, 3).join(', ')}), which this `
        + 'page does not read; save it as one file with onnx.save(onnx.load(path), path), or use quantlab analyze.');
    }
    return { format: 'onnx', ...given, ...described };
  }

  async takeArrays() {
    const files = [...this.left.values()].filter(({ path }) => ['npz', 'npy'].includes(suffixOf(path)));
    /** @type {Map<string, Tensor>} */
    const arrays = new Map();
    for (const file of files) {
      await this.attempt(file.path, async () => {
        const held = suffixOf(file.path) === 'npz'
          ? await readNpz(await file.bytes())
          : new Map([[arrayName(baseOf(file.path)), readNpy(await file.bytes())]]);
        for (const [name, tensor] of held) {
          if (arrays.has(name)) {
            throw new DropError(`Another file of the drop has the array '${name}', too; drop one of them.`);
          }
          arrays.set(name, tensor);
        }
        this.left.delete(file.path);
      });
    }
    if (arrays.size) this.drop.arrays = arrays;
  }

  async takeClassNames() {
    for (const file of [...this.left.values()].filter(({ path }) => CLASS_FILES.has(baseOf(path)))) {
      await this.attempt(file.path, async () => {
        if (file.size > MOST_TEXT_BYTES) throw new DropError(`'${file.path}' is too large for names of classes.`);
        const names = classNamesIn(await file.bytes(), file.path);
        this.drop.classNames ??= names;
        this.left.delete(file.path);
      });
    }
  }
}

/** @type {(bytes: Uint8Array) => boolean} */
function hasManifest(bytes) {
  try {
    const document = readJson(bytes, '');
    return document instanceof Map && Array.isArray(document.get('weightsManifest'));
  } catch {
    return false;
  }
}

/** The name of a `.npy` file's array; labels beside it are `y`. @type {(name: string) => string} */
function arrayName(name) {
  const stem = name.slice(0, -'.npy'.length);
  return /[._]labels$/.test(stem) ? 'y' : stem;
}

/** @type {(bytes: Uint8Array, path: string) => string[]} */
function classNamesIn(bytes, path) {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  const names = suffixOf(path) === 'json' ? JSON.parse(text) : text.replace(/\n+$/, '').split('\n');
  const isList = Array.isArray(names) && names.length && names.every((name) => typeof name === 'string' && name.trim());
  if (!isList) {
    throw new DropError(`'${path}' is no list of names of classes; write one name per line, and none empty.`);
  }
  const isNumbered = path.endsWith('labels.txt') && names.every((name) => /^\s*\d+\s*$/.test(name));
  if (isNumbered) {
    throw new DropError(`'${path}' holds numbers, which are labels of samples and no names of classes; put them into the `
      + ".npz file as 'y'.");
  }
  /** @type {string[]} */
  const stripped = names.map((/** @type {string} */ name) => name.trim());
  const twice = stripped.find((name, place) => stripped.indexOf(name) < place);
  if (twice === undefined) return stripped;
  throw new DropError(`'${path}' names the class '${twice.slice(0, 60)}' twice; write one name for each class.`);
}
