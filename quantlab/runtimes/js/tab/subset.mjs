/** A random part of samples, seeded and stratified by label: at least one of every class, and never the beginning. */

/**
 * Numbers from 0 to 1 that are the same for the same seed: mulberry32, by Tommy Ettinger (public domain).
 * @param {number} seed
 */
function randomNumbers(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {number} n
 * @param {Int32Array | null} labels class of each sample
 * @param {number} limit at least 1; the classes may need more
 * @param {number} [seed]
 * @returns {Uint32Array} ascending positions: all, if there are not more than the limit
 */
export function drawnPlaces(n, labels, limit, seed = 0) {
  if (n <= limit) return Uint32Array.from({ length: n }, (_, place) => place);
  const random = randomNumbers(seed);
  /** @type {Map<number, number[]>} */
  const classes = new Map();
  for (let place = 0; place < n; place += 1) {
    const label = labels?.[place] ?? 0;
    const places = classes.get(label) ?? [];
    classes.set(label, places);
    places.push(place);
  }
  const ranked = [...classes.values()].flatMap((places) => shuffled(places, random).map((place, rank) => (
    { place, share: (rank + 0.5) / places.length, isFirst: rank === 0 })));
  ranked.sort((one, other) => Number(other.isFirst) - Number(one.isFirst) || one.share - other.share);
  return Uint32Array.from(ranked.slice(0, Math.max(limit, classes.size)), ({ place }) => place).sort();
}

/** @type {(places: number[], random: () => number) => number[]} */
function shuffled(places, random) {
  const mixed = [...places];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}
