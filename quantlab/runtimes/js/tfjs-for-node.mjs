/**
 * The replacement of `@tensorflow/tfjs` for tfjs-node: the core that all other code in the bundle uses.
 *
 * tfjs-node's code is compiled to functions and calls its base class as a function, which a class does not allow.
 */

import { KernelBackend as Class } from '@tensorflow/tfjs-core';

export * from '@tensorflow/tfjs-core';

/** The base class as a function without a body. */
export function KernelBackend() {}
Object.setPrototypeOf(KernelBackend.prototype, Class.prototype);
