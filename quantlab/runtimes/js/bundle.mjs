/** Bundles the entries for Node.js and the browser into `dist/`, with the WebAssembly files they load and licences. */

import fs from 'node:fs';
import path from 'node:path';

import { build } from 'esbuild';

import { licencesText, packagesOf } from './licences.mjs';

const HERE = import.meta.dirname;
const DIST = path.join(HERE, 'dist');
const MODULES = path.join(HERE, 'node_modules');

/**
 * Builds without threads, which neither library can use in Node.js; for LiteRT.js also without JSPI, 9 MB each. For
 * ONNX Runtime the CPU-only build, 14 MB, which runs on one thread although it could use more.
 */
const WASM_FILES = Object.freeze({
  '@tensorflow/tfjs-backend-wasm/dist': ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm'],
  '@litertjs/core/wasm': [
    'litert_wasm_internal.js', 'litert_wasm_internal.wasm',
    'litert_wasm_compat_internal.js', 'litert_wasm_compat_internal.wasm',
  ],
  'onnxruntime-web/dist': ['ort-wasm-simd-threaded.wasm'],
});

/** Their folders below `dist`, where the entries load them. */
const TARGETS = Object.freeze({
  '@tensorflow/tfjs-backend-wasm/dist': '.', '@litertjs/core/wasm': 'litert', 'onnxruntime-web/dist': '.',
});

/** Options of both bundles. */
const SHARED = Object.freeze({
  absWorkingDir: HERE,
  bundle: true,
  // The files for Node.js already contain other packages, which licences.txt would miss.
  mainFields: ['module', 'main'],
  minify: true,
  // They are in licences.txt, once each.
  legalComments: /** @type {const} */ ('none'),
  metafile: true,
  logLevel: /** @type {const} */ ('silent'),
});

/** Folders with the sources from which users compile the addon of node-native. */
const ADDON_SOURCES = Object.freeze(['@tensorflow/tfjs-node/binding', 'node-api-headers/include']);

/** The package that is contained in ONNX Runtime's bundled file. */
const ONNX_COMMON = path.join(MODULES, 'onnxruntime-common', 'lib', 'index.ts');

async function bundleNode() {
  const { metafile } = await build({
    ...SHARED,
    entryPoints: [path.join(HERE, 'node.mjs')],
    outfile: path.join(DIST, 'node.cjs'),
    platform: 'node',
    // tfjs' wasm backend needs __dirname, which an ES module lacks.
    format: 'cjs',
    target: 'node20',
    define: { 'import.meta.dirname': '__dirname' },
    // tfjs needs it only if there is no global fetch, and Node.js has one.
    external: ['node-fetch'],
    alias: { '@tensorflow/tfjs': './tfjs-for-node.mjs' },
  });
  return sourcesOf(metafile);
}

/** Pages and their styles, which stand beside the bundled scripts. */
const PAGES = Object.freeze(['browser.html', 'phone.html', 'phone-frame.html', 'phone.css']);

/** Write one chunk per backend, so that a page loads only its own, and copy the pages beside them. */
async function bundleBrowser() {
  const { metafile } = await build({
    ...SHARED,
    entryPoints: ['browser', 'phone'].map((name) => ({ in: path.join(HERE, `${name}.mjs`), out: name })),
    outdir: path.join(DIST, 'browser'),
    platform: 'browser',
    format: 'esm',
    splitting: true,
    target: 'chrome113',
  });
  for (const name of PAGES) fs.copyFileSync(path.join(HERE, name), path.join(DIST, 'browser', name));
  return sourcesOf(metafile);
}

/** The entries of the page that runs in a tab. A worker is loaded by its name, so names have no hash. */
const TAB_ENTRIES = Object.freeze(['page', 'worker']);

/** Write the page of `quantlab page`, which loads no library before it runs a model with it. */
async function bundleTab() {
  const to = path.join(DIST, 'tab');
  const pages = await build({
    ...SHARED,
    entryPoints: TAB_ENTRIES.map((name) => path.join(HERE, 'tab', `${name}.mjs`)),
    outdir: to,
    platform: 'browser',
    format: 'esm',
    splitting: true,
    target: 'es2022',
  });
  // A service worker is a classic script, before which `quantlab page` writes the list of files.
  const worker = await build({
    ...SHARED,
    entryPoints: [path.join(HERE, 'tab', 'service-worker.mjs')],
    outfile: path.join(to, 'sw.js'),
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
  });
  fs.copyFileSync(path.join(HERE, 'tab', 'page.html'), path.join(to, 'index.html'));
  for (const name of ['page.css', 'start.js']) fs.copyFileSync(path.join(HERE, 'tab', name), path.join(to, name));
  return [...sourcesOf(pages.metafile), ...sourcesOf(worker.metafile)];
}

/** @param {import('esbuild').Metafile} metafile */
function sourcesOf({ inputs }) {
  // Modules that a package disables for browsers are listed but not bundled.
  return Object.keys(inputs).filter((file) => !file.startsWith('(disabled):')).map((file) => path.join(HERE, file));
}

function copyWasmFiles() {
  for (const [from, names] of Object.entries(WASM_FILES)) {
    const to = path.join(DIST, TARGETS[/** @type {keyof typeof TARGETS} */ (from)]);
    fs.mkdirSync(to, { recursive: true });
    for (const name of names) fs.copyFileSync(path.join(MODULES, from, name), path.join(to, name));
  }
}

/** Copy them into one folder, and return the copied files. */
function copyAddonSources() {
  const to = path.join(DIST, 'native');
  fs.mkdirSync(to, { recursive: true });
  return ADDON_SOURCES.flatMap((from) => {
    const names = fs.readdirSync(path.join(MODULES, from)).filter((name) => /\.(cc|h)$/.test(name));
    for (const name of names) fs.copyFileSync(path.join(MODULES, from, name), path.join(to, name));
    return names.map((name) => path.join(MODULES, from, name));
  });
}

/** @param {string[]} files */
function writeLicences(files) {
  // Of all bundled packages with this licence, only this one includes its text.
  const apacheText = fs.readFileSync(path.join(MODULES, 'long', 'LICENSE'), 'utf8');
  const [mitText] = /Permission is hereby granted[^]*/.exec(
    fs.readFileSync(path.join(MODULES, 'node-api-headers', 'LICENSE'), 'utf8')) ?? [''];
  fs.writeFileSync(path.join(DIST, 'licences.txt'), licencesText(packagesOf(files), apacheText, mitText));
}

/** Write the size of every file that a job may load, so that quantlab can tell a bundle that is incomplete. */
function writeSizes() {
  const names = /** @type {string[]} */ (fs.readdirSync(DIST, { recursive: true, encoding: 'utf8' }));
  const loaded = names.filter((name) => /\.(cjs|css|js|wasm|html)$/.test(name)).sort();
  const sizes = Object.fromEntries(loaded.map((name) => [name, fs.statSync(path.join(DIST, name)).size]));
  fs.writeFileSync(path.join(DIST, 'files.json'), `${JSON.stringify(sizes, null, 1)}\n`);
}

try {
  fs.rmSync(DIST, { recursive: true, force: true });
  const files = [...await bundleNode(), ...await bundleBrowser(), ...await bundleTab()];
  copyWasmFiles();
  writeLicences([...new Set([...files, ONNX_COMMON, ...copyAddonSources()])]);
  writeSizes();
} catch (error) {
  // Without its stack, because the build shows only the last lines.
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
