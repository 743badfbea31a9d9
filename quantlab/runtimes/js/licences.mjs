/** Collects the licences of the bundled packages from their own files. */

import fs from 'node:fs';
import path from 'node:path';

/**
 * A package as described in its `package.json`, with its folder and its bundled files.
 * @typedef {object} BundledPackage
 * @property {string} name
 * @property {string} version
 * @property {string} licence SPDX
 * @property {string} origin author or repository
 * @property {string} folder
 * @property {string[]} files
 */

const APACHE = 'Apache-2.0';

/**
 * The packages that files belong to, by name.
 * @param {string[]} files
 * @returns {BundledPackage[]}
 * @throws {Error} if a package states no licence
 */
export function packagesOf(files) {
  const inPackages = files.filter((file) => folderOf(file));
  return [...new Set(inPackages.map(folderOf))]
    .map((folder) => describe(folder, inPackages.filter((file) => folderOf(file) === folder)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @param {string} file */
function folderOf(file) {
  return /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file.replaceAll('\\', '/'))?.[0] ?? '';
}

/** @type {(folder: string, files: string[]) => BundledPackage} */
function describe(folder, files) {
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const { name, version, license, author, repository } = manifest;
  if (typeof license !== 'string' || /^(UNLICENSED|SEE LICENSE)/.test(license)) {
    throw new Error(`the package '${name}' ${version} states no licence, so it must not be bundled; replace it`);
  }
  const origin = [author?.name ?? author, repository?.url ?? repository].filter(Boolean).join(', ');
  return { name, version, licence: license, origin, folder, files };
}

/**
 * One section per package; the texts of the Apache and MIT licences are at the end, once each.
 * @param {BundledPackage[]} packages
 * @param {string} apacheText
 * @param {string} mitText without a copyright line
 */
export function licencesText(packages, apacheText, mitText) {
  const sections = packages.map((bundled) => [
    `${bundled.name} ${bundled.version}`,
    `licence: ${bundled.licence}`,
    ...(bundled.origin ? [`by: ${bundled.origin}`] : []),
    ...notices(bundled),
  ].join('\n'));
  return [
    'What is bundled in node.cjs and beside it, and its licences.',
    ...sections,
    `${APACHE}\n\n${apacheText.trim()}`,
    `MIT\n\n${mitText.trim()}`,
  ].join(`\n\n${'='.repeat(80)}\n\n`).concat('\n');
}

/**
 * Notices of sources that a package took from others under the Apache licence, which must be kept.
 * @param {string[]} comments
 * @param {string[]} own what is said of the package itself
 */
function takenIn(comments, own) {
  const below = `The text of ${APACHE} is below.`;
  const taken = [...new Set(comments)].filter((comment) => /Apache License/i.test(comment));
  if (!taken.length || own.includes(below)) return [];
  return [...taken.map((comment) => `\n${comment}`), below];
}

/**
 * A package's licence files, or, if it has none, the copyright notices in its sources.
 * @type {(bundled: BundledPackage) => string[]}
 */
function notices({ folder, files, licence }) {
  const names = fs.readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name)).sort();
  const texts = names.map((name) => fs.readFileSync(path.join(folder, name), 'utf8').trim());
  const comments = files.flatMap((file) => copyrightComments(fs.readFileSync(file, 'utf8')));
  if (texts.length) {
    const own = texts.map((text) => (isApache(text) ? `The text of ${APACHE} is below.` : `\n${text}`));
    return [...own, ...takenIn(comments, own)];
  }
  if (licence === 'MIT' && !comments.some((comment) => /permission/i.test(comment))) {
    return [...new Set(comments), 'The text of MIT is below.'].map((text) => `\n${text}`);
  }
  if (!licence.includes(APACHE)) return [...new Set(comments)].map((comment) => `\n${comment}`);
  return [...new Set(comments.flatMap(copyrightLines)), `The text of ${APACHE} is below.`];
}

/** @param {string} text */
function isApache(text) {
  return /^Apache License\s+Version 2\.0, January 2004/.test(text);
}

/** @param {string} source */
function copyrightComments(source) {
  const comments = source.match(/\/\*[^]*?\*\/|(?:^[ \t]*\/\/.*\n?)+/gm) ?? [];
  return comments.filter((comment) => /copyright/i.test(comment)).map(withoutMarks);
}

/** @param {string} comment */
function withoutMarks(comment) {
  const marks = /^\s*(\/\*+!?|\*\/|\*|\/\/)?\s?|\s*(\*\/)?$/g;
  return comment.split('\n').map((line) => line.replace(marks, '')).join('\n').trim();
}

/** @param {string} comment */
function copyrightLines(comment) {
  return comment.split('\n').filter((line) => /^\W*copyright/i.test(line));
}
