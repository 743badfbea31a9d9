/**
 * tfjs-node's backend, TensorFlow's own kernels, on an addon that quantlab compiled (`quantlab/runtimes/native.py`).
 *
 * This does what tfjs-node does at import, except for loading the addon from its own folder.
 */

import { createRequire } from 'node:module';
import util from 'node:util';

import * as core from '@tensorflow/tfjs-core';

import { JobError } from './run.mjs';

/** The backend name for which tfjs-node registers its kernels; some of them check it. */
const NAME = 'tensorflow';

/** Register the backend; the path of the addon is in the environment. */
export async function startNative() {
  const addon = process.env.QUANTLAB_NATIVE_ADDON;
  if (!addon) {
    throw new JobError("the addon of node-native is not built; build it with 'quantlab doctor --build node-native'");
  }
  // Removed in Node.js 23, but tfjs-node still calls them.
  const old = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (util));
  old.isNullOrUndefined ??= (/** @type {unknown} */ value) => value === null || value === undefined;
  old.isArray ??= Array.isArray;
  const [{ NodeJSKernelBackend }] = await Promise.all([
    import('@tensorflow/tfjs-node/dist/nodejs_kernel_backend.js'),
    import('@tensorflow/tfjs-node/dist/register_all_kernels.js'),
    // Some of its kernels call ops as methods of tensors.
    import('@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js'),
  ]);
  const binding = load(addon);
  core.registerBackend(NAME, () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node'));
}

/** @param {string} addon */
function load(addon) {
  try {
    return createRequire(addon)(addon);
  } catch (error) {
    throw new JobError(`the addon of node-native does not load (${/** @type {Error} */ (error).message}); build it `
      + "again with 'quantlab doctor --build node-native'");
  }
}
