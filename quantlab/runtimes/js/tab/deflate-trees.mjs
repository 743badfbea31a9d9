/**
 * How many bits the blocks of deflate take: the Huffman codes that zlib builds (`trees.c`, zlib 1.3), without writing
 * them. Ties are decided as there, because the lengths of the codes are a part of what is written.
 */

const LITERALS = 286;
const DISTANCES = 30;
const BIT_LENGTHS = 19;
const END_BLOCK = 256;
const MOST_BITS = 15;

const LENGTH_EXTRA = Uint8Array.from({ length: 29 }, (_, code) => (code < 28 ? Math.max(0, (code >> 2) - 1) : 0));
const DISTANCE_EXTRA = Uint8Array.from({ length: DISTANCES }, (_, code) => Math.max(0, (code >> 1) - 1));
const BIT_LENGTH_EXTRA = Uint8Array.from({ length: BIT_LENGTHS }, (_, code) => [2, 3, 7][code - 16] ?? 0);
/** The order in which the lengths of the codes for lengths are written. */
const ORDER = Object.freeze([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);

/** Code of each match length − 3. */
const LENGTH_CODES = codesOf(LENGTH_EXTRA.subarray(0, 28), 256);
LENGTH_CODES[255] = 28; // the longest match has a code of its own
/** Code of each distance − 1 below 256, and above of each 128 distances. */
const DISTANCE_CODES = codesOf(DISTANCE_EXTRA, 32768);

/** @type {(extra: Uint8Array, size: number) => Uint8Array} */
function codesOf(extra, size) {
  const codes = new Uint8Array(size);
  let at = 0;
  extra.forEach((bits, code) => {
    codes.fill(code, at, at + (1 << bits));
    at += 1 << bits;
  });
  return codes;
}

/**
 * A kind of code. `extra` are the bits behind each code, from the code `base` on; `fixed` the lengths of the codes that
 * are never written.
 * @typedef {{ count: number, extra: Uint8Array, base: number, fixed: Uint8Array | null, most: number }} Kind
 */

/** @type {Kind} */
const LITERAL = Object.freeze({
  count: LITERALS,
  extra: LENGTH_EXTRA,
  base: 257,
  fixed: Uint8Array.from({ length: 288 }, (_, code) => (code < 144 ? 8 : code < 256 ? 9 : code < 280 ? 7 : 8)),
  most: MOST_BITS,
});
/** @type {Kind} */
const DISTANCE = Object.freeze({
  count: DISTANCES, extra: DISTANCE_EXTRA, base: 0, fixed: new Uint8Array(DISTANCES).fill(5), most: MOST_BITS,
});
/** @type {Kind} */
const BIT_LENGTH = Object.freeze({ count: BIT_LENGTHS, extra: BIT_LENGTH_EXTRA, base: 0, fixed: null, most: 7 });

/** A heap of nodes with the least frequent first; of equals, the one with the lower tree. */
class Heap {
  constructor() {
    this.nodes = new Int32Array(2 * LITERALS + 2);
    this.depth = new Uint8Array(2 * LITERALS + 2);
    this.length = 0;
  }

  /** @type {(frequencies: Uint32Array, one: number, other: number) => boolean} */
  isSmaller(frequencies, one, other) {
    return frequencies[one] < frequencies[other]
      || (frequencies[one] === frequencies[other] && this.depth[one] <= this.depth[other]);
  }

  /** @type {(frequencies: Uint32Array, place: number) => void} */
  sink(frequencies, place) {
    const node = this.nodes[place];
    let at = place;
    for (let below = at << 1; below <= this.length; below <<= 1) {
      if (below < this.length && this.isSmaller(frequencies, this.nodes[below + 1], this.nodes[below])) below += 1;
      if (this.isSmaller(frequencies, node, this.nodes[below])) break;
      this.nodes[at] = this.nodes[below];
      at = below;
    }
    this.nodes[at] = node;
  }
}

/** The codes of one kind for a block, and the bits that a block takes with them. */
class Tree {
  /** @param {Kind} kind */
  constructor(kind) {
    this.kind = kind;
    this.frequencies = new Uint32Array(2 * kind.count + 1);
    this.lengths = new Uint16Array(2 * kind.count + 2);
    this.parents = new Uint16Array(2 * kind.count + 1);
    this.last = 0;
    this.bits = 0;
    this.fixedBits = 0;
  }

  clear() {
    this.frequencies.fill(0, 0, this.kind.count);
  }

  /** @param {Heap} heap */
  build(heap) {
    const { count } = this.kind;
    this.bits = 0;
    this.fixedBits = 0;
    heap.length = 0;
    this.last = -1;
    for (let code = 0; code < count; code += 1) {
      this.lengths[code] = 0;
      if (!this.frequencies[code]) continue;
      this.last = code;
      this.push(heap, code);
    }
    while (heap.length < 2) { // at least two codes exist
      const code = this.last < 2 ? this.last += 1 : 0;
      this.frequencies[code] = 1;
      this.push(heap, code);
      this.bits -= 1;
      if (this.kind.fixed) this.fixedBits -= this.kind.fixed[code];
    }
    for (let place = heap.length >> 1; place >= 1; place -= 1) heap.sink(this.frequencies, place);
    this.limit(heap, this.join(heap));
  }

  /** @type {(heap: Heap, code: number) => void} */
  push(heap, code) {
    heap.length += 1;
    heap.nodes[heap.length] = code;
    heap.depth[code] = 0;
  }

  /**
   * Join the least frequent nodes until one is left.
   * @param {Heap} heap
   * @returns {number} where the nodes begin in the order of their frequencies, behind the heap
   */
  join(heap) {
    let node = this.kind.count;
    let sorted = heap.nodes.length;
    do {
      const first = heap.nodes[1];
      heap.nodes[1] = heap.nodes[heap.length];
      heap.length -= 1;
      heap.sink(this.frequencies, 1);
      const second = heap.nodes[1];
      heap.nodes[sorted -= 1] = first;
      heap.nodes[sorted -= 1] = second;
      this.frequencies[node] = this.frequencies[first] + this.frequencies[second];
      heap.depth[node] = Math.max(heap.depth[first], heap.depth[second]) + 1;
      this.parents[first] = node;
      this.parents[second] = node;
      heap.nodes[1] = node;
      node += 1;
      heap.sink(this.frequencies, 1);
    } while (heap.length >= 2);
    sorted -= 1;
    heap.nodes[sorted] = heap.nodes[1];
    return sorted;
  }

  /**
   * Compute the lengths of the codes, none above the most that is allowed.
   * @param {Heap} heap
   * @param {number} sorted where the nodes begin
   */
  limit(heap, sorted) {
    const { count, extra, base, fixed, most } = this.kind;
    const counts = new Uint32Array(MOST_BITS + 1);
    let overflow = 0;
    this.lengths[heap.nodes[sorted]] = 0;
    for (let place = sorted + 1; place < heap.nodes.length; place += 1) {
      const node = heap.nodes[place];
      let length = this.lengths[this.parents[node]] + 1;
      if (length > most) {
        length = most;
        overflow += 1;
      }
      this.lengths[node] = length;
      if (node > this.last || node >= count) continue;
      counts[length] += 1;
      const behind = node >= base ? extra[node - base] : 0;
      this.bits += this.frequencies[node] * (length + behind);
      if (fixed) this.fixedBits += this.frequencies[node] * (fixed[node] + behind);
    }
    if (overflow) this.shorten(heap, counts, overflow);
  }

  /** @type {(heap: Heap, counts: Uint32Array, overflow: number) => void} */
  shorten(heap, counts, overflow) {
    const { most } = this.kind;
    for (let left = overflow; left > 0; left -= 2) {
      let bits = most - 1;
      while (!counts[bits]) bits -= 1;
      counts[bits] -= 1;
      counts[bits + 1] += 2;
      counts[most] -= 1;
    }
    let place = heap.nodes.length;
    for (let bits = most; bits; bits -= 1) {
      for (let left = counts[bits]; left;) {
        const node = heap.nodes[place -= 1];
        if (node > this.last) continue;
        this.bits += (bits - this.lengths[node]) * this.frequencies[node];
        this.lengths[node] = bits;
        left -= 1;
      }
    }
  }
}

/** The symbols of a block that is being filled. */
export class Block {
  constructor() {
    this.heap = new Heap();
    this.literals = new Tree(LITERAL);
    this.distances = new Tree(DISTANCE);
    this.bitLengths = new Tree(BIT_LENGTH);
    this.symbols = 0;
    this.clear();
  }

  clear() {
    for (const tree of [this.literals, this.distances, this.bitLengths]) tree.clear();
    this.literals.frequencies[END_BLOCK] = 1;
    this.symbols = 0;
  }

  /** @param {number} byte */
  addLiteral(byte) {
    this.literals.frequencies[byte] += 1;
    this.symbols += 1;
  }

  /** @type {(distance: number, length: number) => void} */
  addMatch(distance, length) {
    this.literals.frequencies[LENGTH_CODES[length - 3] + END_BLOCK + 1] += 1;
    this.distances.frequencies[DISTANCE_CODES[distance - 1]] += 1;
    this.symbols += 1;
  }

  /**
   * The bits of the block with codes of its own, and with the fixed ones, without its header of 3 bits.
   * @returns {{ own: number, fixed: number }}
   */
  bits() {
    this.literals.build(this.heap);
    this.distances.build(this.heap);
    this.scan(this.literals);
    this.scan(this.distances);
    this.bitLengths.build(this.heap);
    let last = BIT_LENGTHS - 1;
    while (last >= 3 && !this.bitLengths.lengths[ORDER[last]]) last -= 1;
    const header = 3 * (last + 1) + 5 + 5 + 4;
    return {
      own: this.literals.bits + this.distances.bits + this.bitLengths.bits + header,
      fixed: this.literals.fixedBits + this.distances.fixedBits,
    };
  }

  /** Count the codes with which the lengths of codes are written: runs of one length are short. @param {Tree} tree */
  scan({ lengths, last }) {
    const { frequencies } = this.bitLengths;
    let [before, next, run] = [-1, lengths[0], 0];
    let [most, least] = next ? [7, 4] : [138, 3];
    const guarded = lengths[last + 1];
    lengths[last + 1] = 0xffff;
    for (let code = 0; code <= last; code += 1) {
      const length = next;
      next = lengths[code + 1];
      run += 1;
      if (run < most && length === next) continue;
      if (run < least) frequencies[length] += run;
      else if (length) {
        if (length !== before) frequencies[length] += 1;
        frequencies[16] += 1;
      } else frequencies[run <= 10 ? 17 : 18] += 1;
      [run, before] = [0, length];
      [most, least] = !next ? [138, 3] : length === next ? [6, 3] : [7, 4];
    }
    lengths[last + 1] = guarded;
  }
}
