/** The form of the preprocessing, with a preview of what is fed. */

import { byId, element } from './elements.mjs';
import { decode, framed, MODES, pictureInput, pipelineOf, RESIZES } from './images.mjs';
import { drawImage } from './pixels.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */
/** @typedef {import('./images.mjs').Chosen} Chosen */
/** @typedef {import('./images.mjs').PictureInput} PictureInput */

/** Images of the preview, from the whole list. */
const PREVIEWS = 4;

/** @type {(name: string, label: string, options: [string, string][], note?: string) => HTMLElement} */
function choice(name, label, options, note = '') {
  return element('label', {}, label, element('select', { name },
    ...options.map(([value, words]) => element('option', { value }, words))), note ? element('small', {}, note) : null);
}

const ASPECTS = /** @type {[string, string][]} */ ([
  ['stretch', 'stretch to the size'], ['crop', 'cover the size, cut the rest'], ['pad', 'fit into the size, pad with 0'],
]);

const DEFAULT_SIDE = 224;

/** @type {(name: string, label: string, value: number | null) => HTMLElement} */
function side(name, label, value) {
  return element('label', {}, label, element('input', {
    type: 'number', name, min: 1, max: 4096, value: value ?? DEFAULT_SIDE, readonly: value !== null,
  }), element('small', {}, value === null ? 'The model takes any size.' : 'As the model takes it.'));
}

/** @type {(value: string) => [string, string]} */
const resizeOption = (value) => [value, value.replace('/', ', ')];

/**
 * Show the form. `changed` is called when a choice changes.
 * @param {Artifact} artifact
 * @param {DroppedFile[]} images
 * @param {() => void} changed
 * @returns {boolean} whether the model takes images
 */
export function showPictures(artifact, images, changed) {
  const form = byId('pictures');
  const input = pictureInput(artifact);
  form.hidden = !input;
  if (!input) return false;
  const grey = input.channels === 1;
  const modes = Object.entries(MODES).filter(([, { scale, offset }]) => !grey || scale.length + offset.length === 2)
    .map(([name, { words }]) => /** @type {[string, string]} */ ([name, words]));
  const previews = element('ul', { class: 'previews', 'aria-label': 'Preview' });
  form.replaceChildren(
    element('h3', {}, 'How images become inputs'),
    element('p', { class: 'small' }, 'Choose what your application does. Another range of values or another resize makes '
      + 'every figure below one of another model.'),
    element('div', { class: 'fields' },
      choice('mode', 'Range of values', [['', 'choose …'], ...modes]),
      ...(grey ? [] : [choice('colour', 'Order of colours', [['rgb', 'red, green, blue'], ['bgr', 'blue, green, red']])]),
      choice('resize', 'Resize: library, method', RESIZES.map(resizeOption)),
      choice('aspect', 'Aspect', ASPECTS),
      side('height', 'Height', input.height),
      side('width', 'Width', input.width)),
    element('p', { class: 'small' }, 'What is fed, before the range of values is changed:'),
    previews,
  );
  form.onchange = () => {
    changed();
    preview(artifact, images, previews);
  };
  preview(artifact, images, previews);
  return true;
}

/**
 * The pipeline that is chosen, or null while the range of values is not.
 * @param {Artifact} artifact
 */
export function chosenPipeline(artifact) {
  const mode = formOf().get('mode');
  return mode ? pipelineIn(artifact, String(mode)) : null;
}

function formOf() {
  return new FormData(/** @type {HTMLFormElement} */ (byId('pictures')));
}

/** @type {(artifact: Artifact, mode: string) => import('../preprocessing.mjs').Pipeline} */
function pipelineIn(artifact, mode) {
  const form = formOf();
  const [resizer, resize] = String(form.get('resize')).split('/');
  const chosen = /** @type {Chosen} */ ({
    mode, resizer, resize, colour: form.get('colour') ?? 'rgb', aspect: form.get('aspect'),
    size: [Number(form.get('height')), Number(form.get('width'))],
  });
  return pipelineOf(/** @type {PictureInput} */ (pictureInput(artifact)), artifact.inputs[0].dtype, chosen);
}

/** @type {(artifact: Artifact, images: DroppedFile[], place: HTMLElement) => Promise<void>} */
async function preview(artifact, images, place) {
  const pipeline = pipelineIn(artifact, 'raw');
  const step = Math.max(1, Math.floor(images.length / PREVIEWS));
  const shown = images.filter((_, i) => i % step === 0).slice(0, PREVIEWS);
  const items = await Promise.all(shown.map(async (file) => {
    const name = file.path.slice(file.path.lastIndexOf('/') + 1);
    try {
      return element('li', { title: file.path }, drawImage(framed(await decode(file), pipeline)), name);
    } catch (error) {
      return element('li', {}, /** @type {Error} */ (error).message);
    }
  }));
  place.replaceChildren(...items);
}
