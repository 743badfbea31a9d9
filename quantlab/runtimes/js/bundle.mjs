/** Bundles the entry for Node.js into `dist/`, with the WebAssembly files it loads and the licences of all of it. */

import fs from 'node:fs';
import path from 'node:path';

import { build } from 'esbuild';

import { licencesText, packagesOf } from './licences.mjs';

const HERE = import.meta.dirname;
const DIST = path.join(HERE, 'dist');
const MODULES = path.join(HERE, 'node_modules');

/** Without threads, which Node.js gives to neither, and for LiteRT.js without JSPI: each file is 9 MB. */
const WASM_FILES = Object.freeze({
  '@tensorflow/tfjs-backend-wasm/dist': ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm'],
  '@litertjs/core/wasm': [
    'litert_wasm_internal.js', 'litert_wasm_internal.wasm',
    'litert_wasm_compat_internal.js', 'litert_wasm_compat_internal.wasm',
  ],
});

/** Where the entry looks for them, below `dist`. */
const TARGETS = Object.freeze({ '@tensorflow/tfjs-backend-wasm/dist': '.', '@litertjs/core/wasm': 'litert' });

async function bundleNode() {
  const { metafile } = await build({
    entryPoints: [path.join(HERE, 'node.mjs')],
    outfile: path.join(DIST, 'node.cjs'),
    absWorkingDir: HERE,
    bundle: true,
    platform: 'node',
    // Their sources: the files made for Node.js hold other packages already, and licences.txt would miss them.
    mainFields: ['module', 'main'],
    // tfjs' wasm backend needs __dirname, which an ES module lacks.
    format: 'cjs',
    target: 'node20',
    define: { 'import.meta.dirname': '__dirname' },
    // tfjs asks for it only where there is no global fetch, and Node.js has one.
    external: ['node-fetch'],
    minify: true,
    // They go into licences.txt, once each.
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
  });
  return Object.keys(metafile.inputs).map((file) => path.join(HERE, file));
}

function copyWasmFiles() {
  for (const [from, names] of Object.entries(WASM_FILES)) {
    const to = path.join(DIST, TARGETS[/** @type {keyof typeof TARGETS} */ (from)]);
    fs.mkdirSync(to, { recursive: true });
    for (const name of names) fs.copyFileSync(path.join(MODULES, from, name), path.join(to, name));
  }
}

/** @param {string[]} files */
function writeLicences(files) {
  // Of all the bundled packages of that licence only this one brings its text.
  const apacheText = fs.readFileSync(path.join(MODULES, 'long', 'LICENSE'), 'utf8');
  fs.writeFileSync(path.join(DIST, 'licences.txt'), licencesText(packagesOf(files), apacheText));
}

try {
  fs.rmSync(DIST, { recursive: true, force: true });
  const files = await bundleNode();
  copyWasmFiles();
  writeLicences(files);
} catch (error) {
  // Without its stack, which would push the message out of the tail that the build shows.
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
