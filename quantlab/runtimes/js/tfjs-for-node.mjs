/**
 * What tfjs-node gets for `@tensorflow/tfjs`: the core that everything else in the bundle uses.
 *
 * Its code is of before there were classes and calls its base class as a function, which a class does not allow.
 */

import { KernelBackend as Class } from '@tensorflow/tfjs-core';

export * from '@tensorflow/tfjs-core';

/** The base class without a constructor of its own, which it has no need of. */
export function KernelBackend() {}
Object.setPrototypeOf(KernelBackend.prototype, Class.prototype);
