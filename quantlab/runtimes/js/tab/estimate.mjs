/** How long the rest of a run will take, from what it has taken so far. */

/**
 * @typedef {object} Course
 * @property {{ kind: string, seconds: number }[]} finished steps; a kind is a backend, or the layers in it
 * @property {{ kind: string, seconds: number, share: number } | null} current the step that runs, and which share is done
 * @property {string[]} waiting kinds of the steps to come
 */

/** A step of which less is done says nothing about its length: most of it was the start of a library. */
const LEAST_SHARE = 0.2;

/**
 * Seconds that are left, or null while there is nothing to compute them from.
 *
 * A kind that has not run yet is taken to be as slow as the slowest that has.
 * @param {Course} course
 * @returns {number | null}
 */
export function secondsLeft({ finished, current, waiting }) {
  const told = current && current.share >= LEAST_SHARE
    ? [...finished, { kind: current.kind, seconds: current.seconds / current.share }] : finished;
  if (!told.length) return null;
  const means = new Map([...new Set(told.map(({ kind }) => kind))].map((kind) => {
    const own = told.filter((one) => one.kind === kind);
    return [kind, own.reduce((sum, { seconds }) => sum + seconds, 0) / own.length];
  }));
  const slowest = Math.max(...means.values());
  const length = (/** @type {string} */ kind) => means.get(kind) ?? slowest;
  const rest = current ? Math.max(0, length(current.kind) - current.seconds) : 0;
  return rest + waiting.reduce((sum, kind) => sum + length(kind), 0);
}
