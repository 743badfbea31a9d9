/** The entry of the page: what was dropped, the choices, the run. Everything large is loaded when it is needed. */

import { filesOfDrop, filesOfPicker } from './dropped-files.mjs';
import { breathe, byId, element } from './elements.mjs';
import { count, duration, size } from './shown-figures.mjs';
import { workOffline } from './offline.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Drop} Drop */
/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */

/** What was dropped so far. */
const held = {
  artifact: /** @type {Artifact | null} */ (null),
  given: /** @type {Artifact[]} */ ([]),
  arrays: /** @type {Drop['arrays']} */ (null),
  images: /** @type {DroppedFile[]} */ ([]),
  imageLabels: /** @type {Int32Array | null} */ (null),
  classNames: /** @type {string[] | null} */ (null),
  /** Whether the model takes images as they are dropped. */
  takesImages: false,
};

/** @type {AbortController | null} */
let running = null;

const EXAMPLE = ['model.json', 'group1-shard1of1.bin', 'digits.npz'];

/** The drop that is read: one after the other, so that what is held and what is shown are of the same drops. */
let turn = Promise.resolve();

/** @param {DroppedFile[]} files */
function take(files) {
  turn = turn.catch(() => {}).then(() => takeNow(files));
  return turn;
}

/** @param {DroppedFile[]} files */
async function takeNow(files) {
  if (running) byId('reading').textContent = 'Stop the run before you drop something else.';
  if (running || !files.length) return;
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  byId('reading').textContent = `Reading ${count(files.length)} files, ${size(bytes)} …`;
  await breathe();
  const { readDrop } = await import('./drop.mjs');
  const drop = await readDrop(files);
  keep(drop);
  byId('refused').replaceChildren(...drop.refused.map(({ path, reason }) => element('li', {}, `${path}: ${reason}`)));
  await refresh(Boolean(drop.artifact));
  // Only now: what can be chosen is shown after the backends were tried, which takes a while.
  const isUsed = drop.artifact || drop.arrays || drop.images.length;
  byId('reading').textContent = isUsed ? '' : 'Nothing of this drop can be used.';
}

/** @param {Drop} drop */
function keep(drop) {
  if (drop.artifact) {
    if (held.artifact) held.given.push({ ...drop.artifact, setting: freeName(drop.artifact.name) });
    else held.artifact = drop.artifact;
  }
  if (drop.arrays) Object.assign(held, { arrays: drop.arrays, images: [], imageLabels: null });
  if (drop.images.length) Object.assign(held, { images: drop.images, imageLabels: drop.imageLabels, arrays: null });
  if (drop.classNames) held.classNames = drop.classNames;
}

/** A name for a given variant that no other has. @param {string} name */
function freeName(name) {
  const plain = name.replace(/\.(tflite|onnx|json)$/, '') || 'given';
  const taken = new Set(held.given.map(({ setting }) => setting));
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? plain : `${plain}-${number}`;
    if (!taken.has(free)) return free;
  }
}

/** Show what is held. @param {boolean} [anew] whether the model is a new one */
async function refresh(anew = false) {
  byId('found').replaceChildren(facts());
  const { artifact, images } = held;
  /** @type {HTMLButtonElement} */ (byId('run')).disabled = true;
  byId('pictures').hidden = true;
  if (artifact && images.length) {
    const { showPictures } = await import('./pictures.mjs');
    held.takesImages = showPictures(artifact, images, sayMissing);
  }
  if (!artifact || anew) byId('plan').hidden = true;
  if (artifact && anew) {
    await showChoicesFor(artifact);
  }
  byId('plan').hidden = !artifact;
  await sayMissing();
}

/** @param {Artifact} artifact */
async function showChoicesFor(artifact) {
  const [{ AS_GIVEN, narrowDtypes, settingsFor }, { backendsFor }] = await Promise.all([
    import('./settings.mjs'), import('./measure.mjs'),
  ]);
  const [{ hostOf }, { UNREADABLE }, { showChoices }] = await Promise.all([
    import('./place.mjs'), import('./layer-taps.mjs'), import('./choices.mjs'),
  ]);
  // Of float32 weights it would be the float32 setting under another name.
  const isNarrow = narrowDtypes(artifact).length > 0;
  const given = isNarrow ? [{ name: AS_GIVEN, words: 'what was dropped, unchanged', why: null }] : [];
  showChoices([...given, ...settingsFor(artifact)], await backendsFor(artifact.format), {
    runtimeOf: (backend) => `${hostOf()}-${backend}`, noLayers: UNREADABLE[artifact.format] ?? null,
  });
}

function facts() {
  const { artifact, given, arrays, images, imageLabels } = held;
  /** @type {(name: string, text: string, remove: () => void) => HTMLElement[]} */
  const fact = (name, text, remove) => [element('dt', {}, name), element('dd', {}, text, element('button', {
    type: 'button', 'aria-label': `Remove: ${name}`, click: async () => {
      const before = held.artifact;
      remove();
      await refresh(held.artifact !== before);
      byId('files').focus();
    },
  }, 'Remove'))];
  const labels = imageLabels ? `, labels from ${new Set(imageLabels).size} folders` : ', without labels';
  return element('dl', { class: 'facts' },
    ...(artifact ? fact('Model', modelInWords(artifact), () => Object.assign(held, { artifact: null, given: [] })) : []),
    ...given.flatMap((one) => fact('Compared with it', modelInWords(one), () => {
      held.given.splice(held.given.indexOf(one), 1);
    })),
    ...(arrays ? fact('Samples', arraysInWords(arrays), () => Object.assign(held, { arrays: null })) : []),
    ...(images.length ? fact('Samples', `${count(images.length)} images${labels}`, () => {
      held.images = [];
    }) : []));
}

/** @param {Map<string, Tensor>} arrays */
function arraysInWords(arrays) {
  return [...arrays].map(([name, { shape, dtype }]) => `${name} ${shape.join('×')} ${dtype}`).join(', ');
}

/** @param {Artifact} artifact */
function modelInWords({ name, format, inputs, files, stored }) {
  const bytes = [...files.values()].reduce((sum, file) => sum + file.byteLength, 0);
  const sizes = (/** @type {(number | null)[]} */ shape) => shape.map((one) => one ?? '?').join('×');
  const takes = inputs.map((input) => `${input.name} ${sizes(input.shape)} ${input.dtype}`).join(', ');
  const weights = Object.entries(stored).sort(([, one], [, other]) => other - one).map(([dtype]) => dtype);
  return `${name}, ${format}, ${size(bytes)}, weights in ${weights.join(', ') || 'no dtype'}; takes ${takes}`;
}

/** Say what is missing for a run, and allow it only if nothing is. */
async function sayMissing() {
  const missing = await whatIsMissing();
  byId('missing').textContent = missing;
  /** @type {HTMLButtonElement} */ (byId('run')).disabled = Boolean(missing);
}

async function whatIsMissing() {
  const { artifact, arrays, images } = held;
  if (!artifact) return 'Drop a model.';
  if (!arrays && !images.length) return 'Drop samples: an .npz file, or images.';
  if (!arrays && !held.takesImages) return `${artifact.name} does not take one image per sample; drop an .npz file.`;
  if (!arrays && !(await import('./pictures.mjs')).chosenPipeline(artifact)) {
    return 'Choose the range of values of the images.';
  }
  const { chosen } = await import('./choices.mjs');
  const { settings, backends } = chosen();
  if (!settings.length && !held.given.length) return 'Choose a setting.';
  return backends.length ? '' : 'Choose a runtime.';
}

async function start() {
  if (await whatIsMissing() || running) return;
  running = new AbortController();
  byId('running').hidden = false;
  byId('results').hidden = true;
  /** @type {HTMLButtonElement} */ (byId('run')).disabled = true;
  byId('stop').focus();
  tell('Preparing', 0, null);
  try {
    const { runHeld } = await import('./running.mjs');
    await runHeld(/** @type {any} */ (held), byId('results'), tell, running.signal);
    byId('doing').textContent = '';
  } catch (error) {
    byId('results').hidden = true;
    byId('missing').textContent = running.signal.aborted ? 'Stopped before the reference was measured.'
      : `It could not be run: ${error instanceof Error ? error.message : error}`;
  } finally {
    byId('running').hidden = true;
    running = null;
    /** @type {HTMLButtonElement} */ (byId('run')).disabled = false;
  }
}

let said = 0;

/**
 * Show the progress; in words at most once a second, so that a screen reader can follow.
 * @type {import('./experiment.mjs').Tell}
 */
function tell(what, share, left) {
  /** @type {HTMLProgressElement} */ (byId('progress')).value = share;
  if (performance.now() - said < 1000 && share > 0) return;
  said = performance.now();
  const time = left === null ? 'how long it takes is not known yet' : `about ${duration(left)} left`;
  byId('doing').textContent = `${what} … ${time}`;
}

async function example() {
  byId('reading').textContent = 'Loading the example …';
  const files = await Promise.all(EXAMPLE.map(async (name) => {
    const answer = await fetch(`example/${name}`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return { path: `digits/${name}`, size: bytes.length, bytes: async () => bytes };
  }));
  Object.assign(held, { artifact: null, given: [], arrays: null, images: [], imageLabels: null, classNames: null });
  await take(files);
  byId('run').focus();
}

/** Errors of the page itself are shown, because nobody looks into the console. @param {() => unknown} work */
function shown(work) {
  return async () => {
    try {
      await work();
    } catch (error) {
      byId('reading').textContent = `The page failed: ${error instanceof Error ? error.message : error}`;
    }
  };
}

function listen() {
  for (const id of ['files', 'folder']) {
    const input = /** @type {HTMLInputElement} */ (byId(id));
    input.addEventListener('change', shown(async () => {
      const files = filesOfPicker(input.files ?? []);
      input.value = '';
      await take(files);
    }));
  }
  byId('folder-button').hidden = !('webkitdirectory' in HTMLInputElement.prototype);
  const zone = byId('drop');
  addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? zone.classList.remove('over'));
  addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    const files = event.dataTransfer ? filesOfDrop(event.dataTransfer) : Promise.resolve([]);
    shown(async () => take(await files))();
  });
  byId('example').addEventListener('click', shown(example));
  byId('choices').addEventListener('change', shown(sayMissing));
  byId('choices').addEventListener('submit', (event) => {
    event.preventDefault();
    shown(start)();
  });
  byId('stop').addEventListener('click', () => running?.abort());
  byId('colours').addEventListener('click', switchColours);
  nameColours();
}

function isDark() {
  const { colours } = document.documentElement.dataset;
  return colours ? colours === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function nameColours() {
  byId('colours').textContent = isDark() ? 'Light colours' : 'Dark colours';
}

function switchColours() {
  const colours = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.colours = colours;
  try {
    localStorage.setItem('quantlab-colours', colours);
  } catch {
    // A browser that keeps nothing forgets the choice, too.
  }
  nameColours();
}

listen();
const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 2000));
addEventListener('load', () => idle(() => workOffline()));
