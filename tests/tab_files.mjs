/**
 * Reads drops with the modules of the page, and makes every setting: `node tab_files.mjs TAB JOBS`.
 *
 * JOBS is a JSON file with a list of `{ files: { path: file on the disk }, out, cuts, changes }`. The files of each
 * setting are written below `out`, and each array as a `.npy` file. With `cuts`, each file is cut at so many places,
 * and read again. With `changes`, it is read so many times with a few other bytes. What was found is printed as JSON.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [tab, jobs] = process.argv.slice(2);
const { readDrop } = await import(pathToFileURL(join(tab, 'drop.mjs')).href);
const { downloadBytes, makeVariant, settingsFor } = await import(pathToFileURL(join(tab, 'settings.mjs')).href);
const { writeNpy } = await import(pathToFileURL(join(tab, 'arrays.mjs')).href);
const { samplesOf } = await import(pathToFileURL(join(tab, 'samples.mjs')).href);

const dropped = (path, bytes) => ({ path, size: bytes.byteLength, bytes: async () => bytes.slice() });
const read = (files) => Object.entries(files).map(([path, file]) => dropped(path, new Uint8Array(readFileSync(file))));

function write(folder, files) {
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
}

async function settings(artifact, out) {
  const made = {};
  for (const { name, words, why } of settingsFor(artifact)) {
    made[name] = { words, why };
    if (why) continue;
    try {
      const variant = await makeVariant(artifact, name);
      write(join(out, name), variant.files);
      Object.assign(made[name], { stored: variant.stored, download: await downloadBytes(variant) });
    } catch (error) {
      if (error.name !== 'DropError') throw error;
      made[name].error = error.message;
    }
  }
  return made;
}

function samples(artifact, arrays) {
  try {
    const { sha256, n, labels, notes, inputs } = samplesOf(artifact, { arrays, text: 'data.npz' });
    const dtypes = Object.fromEntries([...inputs].map(([name, { dtype }]) => [name, dtype]));
    return { sha256, n, labels: labels && [...labels], notes, dtypes };
  } catch (error) {
    if (error.name !== 'DropError') throw error;
    return { error: error.message };
  }
}

/** Places in a file, the same in each run; most are near its beginning, where the structure is. */
const places = (size, count) => Array.from({ length: count }, (_, at) => Math.floor(size * ((at + 0.37) / count) ** 2));

/** Reasons why what was cut is refused; a cut that changes nothing that is read gives none. */
async function cut(files, count) {
  const reasons = [];
  for (const one of files) {
    const whole = await one.bytes();
    for (const place of places(whole.byteLength, count)) {
      const short = files.map((file) => (file === one ? dropped(one.path, whole.slice(0, place)) : file));
      const { artifact, arrays, refused } = await readDrop(short);
      const said = refused.map(({ reason }) => reason);
      reasons.push({ path: one.path, place, read: Boolean(artifact || arrays), refused: said });
    }
  }
  return reasons;
}

/** Numbers from 0 to 1, the same in each run. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A few bytes changed, most of them near the beginning, or in the order of digits and letters. */
function spoiled(bytes, random) {
  const copy = bytes.slice();
  for (let change = Math.floor(random() * 4); change >= 0; change -= 1) {
    const place = Math.floor(copy.byteLength * random() ** 3);
    copy[place] = random() < 0.5 ? Math.floor(random() * 256) : copy[place] + 1;
  }
  return copy;
}

/** What is said of files with changed bytes, and of every setting that is made of them. */
async function change(files, count) {
  const random = randomNumbers(count);
  const reasons = [];
  for (let round = 0; round < count; round += 1) {
    const one = files[Math.floor(random() * files.length)];
    const bytes = spoiled(await one.bytes(), random);
    const drop = await readDrop(files.map((file) => (file === one ? dropped(one.path, bytes) : file)));
    reasons.push(...drop.refused.map(({ reason }) => reason));
    for (const { name, why } of drop.artifact ? settingsFor(drop.artifact) : []) {
      if (why) continue;
      await makeVariant(drop.artifact, name).catch(({ name: kind, message, stack }) => {
        reasons.push(kind === 'DropError' ? message : stack);
      });
    }
  }
  return reasons;
}

const answers = [];
for (const { files, out, cuts, changes } of JSON.parse(readFileSync(jobs, 'utf8'))) {
  const given = read(files);
  const { artifact, arrays, refused, images, imageLabels, classNames } = await readDrop(given);
  if (arrays && out) write(out, [...arrays].map(([name, tensor]) => [`${name}.npy`, writeNpy(tensor)]));
  answers.push({
    refused,
    classNames,
    images: images.map(({ path }) => path),
    imageLabels: imageLabels && [...imageLabels],
    artifact: artifact && { ...artifact, files: [...artifact.files.keys()] },
    settings: artifact && out ? await settings(artifact, out) : null,
    samples: artifact && arrays ? samples(artifact, arrays) : null,
    arrays: arrays && [...arrays].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    cut: cuts ? await cut(given, cuts) : null,
    changed: changes ? await change(given, changes) : null,
  });
}
process.stdout.write(JSON.stringify(answers));
