/** The form of what to run: settings and runtimes, each with the reason if it cannot be chosen. */

import { byId, element } from './elements.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./measure.mjs').Backend} Backend */

/** @typedef {{ value: string, words: string, why: string | null, chosen: boolean }} Option */

/** Samples on which layers are compared, at most; `quantlab analyze` takes 256. */
export const LAYER_SAMPLES = 64;

/** @type {Readonly<Record<string, string>>} */
const BACKEND_WORDS = Object.freeze({
  wasm: 'processor, WebAssembly',
  webgl: 'graphics card, WebGL',
  webgpu: 'graphics card, WebGPU',
  cpu: 'processor, plain JavaScript: slow',
});

/** Backends that are not chosen by default. */
const SLOW = new Set(['cpu']);

/** @type {(name: string, option: Option) => HTMLElement} */
function checkbox(name, { value, words, why, chosen }) {
  const input = element('input', { type: 'checkbox', name, value, checked: chosen && !why, disabled: Boolean(why) });
  const said = `${value}: ${words}`;
  const reason = why ? element('small', {}, `Not here: ${why}`) : null;
  return element('label', { class: 'option' }, input, element('span', {}, said), reason);
}

/** @type {(legend: string, name: string, options: Option[]) => HTMLElement} */
function fieldset(legend, name, options) {
  return element('fieldset', {}, element('legend', {}, legend), ...options.map((option) => checkbox(name, option)));
}

/**
 * Show the form for an artifact.
 * @param {{ name: string, words: string, why: string | null }[]} settings
 * @param {{ backend: Backend, reason: string | null }[]} backends
 * @param {{ runtimeOf: (backend: Backend) => string, noLayers: string | null }} about `noLayers`: why layers cannot be
 *   compared
 */
export function showChoices(settings, backends, { runtimeOf, noLayers }) {
  byId('choices').replaceChildren(
    fieldset('Settings', 'setting', settings.map(({ name, words, why }) => ({ value: name, words, why, chosen: true }))),
    fieldset('Runtimes', 'backend', backends.map(({ backend, reason }) => ({
      value: backend, words: `${BACKEND_WORDS[backend]} (${runtimeOf(backend)})`, why: reason, chosen: !SLOW.has(backend),
    }))),
    ...withoutGraphics(backends),
    element('fieldset', {}, element('legend', {}, 'More'),
      checkbox('layers', {
        value: 'layers', words: `where the error is born, layer by layer, on up to ${LAYER_SAMPLES} samples`,
        why: noLayers, chosen: true,
      }),
      element('div', { class: 'fields' }, element('label', {}, 'Samples at once',
        element('input', { type: 'number', name: 'batch', min: 1, max: 1024, value: 32, required: true })))),
  );
}

/** @param {{ backend: Backend, reason: string | null }[]} backends */
function withoutGraphics(backends) {
  const graphics = backends.filter(({ backend }) => backend.startsWith('webg'));
  if (!graphics.length || graphics.some(({ reason }) => reason === null)) return [];
  return [element('p', { class: 'small' }, 'This browser offers no graphics card to pages, so only the processor is '
    + 'measured.')];
}

/**
 * What is chosen in the form.
 * @returns {{ settings: string[], backends: Backend[], layers: boolean, batchSize: number }}
 */
export function chosen() {
  const form = new FormData(/** @type {HTMLFormElement} */ (byId('choices')));
  return {
    settings: /** @type {string[]} */ (form.getAll('setting')),
    backends: /** @type {Backend[]} */ (form.getAll('backend')),
    layers: form.has('layers'),
    batchSize: Math.max(1, Math.trunc(Number(form.get('batch'))) || 32),
  };
}
