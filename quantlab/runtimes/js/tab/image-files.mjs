/** Image files of a drop in the order of `quantlab.samples.images`: one folder per class, or images without labels. */

import { compareText } from './json.mjs';
import { DropError } from './types.mjs';

/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */

const SUFFIXES = /\.(png|jpe?g|webp)$/i;

/** @param {string} path */
export function isImage(path) {
  return SUFFIXES.test(path);
}

/**
 * @param {DroppedFile[]} files
 * @param {string[] | null} classNames of the model, if they are known
 * @returns {{ files: DroppedFile[], labels: Int32Array | null, classNames: string[] | null }}
 * @throws {DropError} if the classes are ambiguous
 */
export function imagesOf(files, classNames) {
  const parents = new Set(files.map(({ path }) => path.split('/').slice(0, -1).join('/')));
  const depths = new Set([...parents].map((parent) => (parent ? parent.split('/').length : 0)));
  const straight = [...parents][0] ?? '';
  // A single folder is one of images without labels, unless it is inside of the dropped one.
  if (parents.size <= 1 && !straight.includes('/')) return { files: inOrder(files), labels: null, classNames: null };
  const above = new Set([...parents].map((parent) => parent.split('/').slice(0, -1).join('/')));
  if (depths.size > 1 || above.size > 1) {
    throw new DropError('The images are in folders of different depth, so that their classes are ambiguous; drop one '
      + 'folder with one folder of images for each class, or one folder of images.');
  }
  const folders = ordered([...parents].map((parent) => parent.slice(parent.lastIndexOf('/') + 1)), classNames);
  const place = (/** @type {DroppedFile} */ { path }) => folders.indexOf(path.split('/').at(-2) ?? '');
  const sorted = inOrder(files).sort((one, other) => place(one) - place(other));
  return { files: sorted, labels: Int32Array.from(sorted, place), classNames: folders };
}

/** @type {(files: DroppedFile[]) => DroppedFile[]} */
const inOrder = (files) => [...files].sort((one, other) => compareText(one.path, other.path));

/** @type {(names: string[], classNames: string[] | null) => string[]} */
function ordered(names, classNames) {
  if (classNames && names.every((name) => classNames.includes(name))) return classNames;
  if (!names.every((name) => /^\d+$/.test(name))) return names.sort(compareText);
  const numbers = names.sort((one, other) => Number(one) - Number(other) || compareText(one, other));
  const gap = numbers.findIndex((name, place) => place > 0 && Number(name) !== Number(numbers[place - 1]) + 1);
  if (gap < 0) return numbers;
  throw new DropError(`The class folders are numbers, and '${numbers[gap - 1]}' is followed by '${numbers[gap]}', `
    + 'which would shift the labels; drop labels.txt with the names of all classes, too.');
}
