/**
 * How many bytes gzip makes of a file at its highest level, which browsers do not offer: zlib's search for repetitions
 * (`deflate.c`, `deflate_slow`, zlib 1.3) with what `deflate-trees.mjs` says of the blocks. Nothing is written.
 */

import { Block } from './deflate-trees.mjs';
import { Pauses } from './pauses.mjs';

const WINDOW = 32768;
const MASK = WINDOW - 1;
const LEAST_MATCH = 3;
const LONGEST_MATCH = 258;
const LOOKAHEAD = LONGEST_MATCH + LEAST_MATCH + 1;
const FARTHEST = WINDOW - LOOKAHEAD;
const TOO_FAR = 4096; // for a match of three bytes
const GOOD_MATCH = 32;
const LONGEST_CHAIN = 4096;
const SYMBOLS = 16383; // of a block
const HEADER_AND_TRAILER = 18;

/** One stream; places are relative to a window that moves on, as in zlib. */
class Deflate {
  constructor() {
    this.window = new Uint8Array(2 * WINDOW);
    this.heads = new Uint16Array(WINDOW);
    this.previous = new Uint16Array(WINDOW);
    this.block = new Block();
    this.bits = 0;
    this.blockStart = 0;
    this.start = 0;
    this.lookahead = 0;
    this.matchStart = 0;
    this.matchLength = LEAST_MATCH - 1;
    this.hasByte = false;
  }

  /** Take the next part of the file in. @param {Uint8Array} bytes */
  add(bytes) {
    let taken = 0;
    do {
      taken += this.fill(bytes, taken);
      while (this.lookahead >= LOOKAHEAD) this.step();
    } while (taken < bytes.byteLength);
  }

  /** The size of the whole in bytes. */
  finish() {
    while (this.lookahead) this.step();
    if (this.hasByte) this.block.addLiteral(this.window[this.start - 1]);
    this.flush();
    return Math.ceil(this.bits / 8) + HEADER_AND_TRAILER;
  }

  /** Move the window on if it is full, and copy bytes into it. @type {(bytes: Uint8Array, from: number) => number} */
  fill(bytes, from) {
    if (this.start >= WINDOW + FARTHEST) {
      this.window.copyWithin(0, WINDOW);
      this.matchStart -= WINDOW;
      this.start -= WINDOW;
      this.blockStart -= WINDOW;
      for (const places of [this.heads, this.previous]) {
        for (let at = 0; at < WINDOW; at += 1) places[at] = Math.max(places[at] - WINDOW, 0);
      }
    }
    const begin = this.start + this.lookahead;
    const part = bytes.subarray(from, from + this.window.byteLength - begin);
    this.window.set(part, begin);
    this.lookahead += part.byteLength;
    return part.byteLength;
  }

  /** Remember the string at a place, and return where it was last; 0 if nowhere. @type {(place: number) => number} */
  insert(place) {
    const { window, heads } = this;
    const hash = ((window[place] << 10) ^ (window[place + 1] << 5) ^ window[place + 2]) & MASK;
    const before = heads[hash];
    this.previous[place & MASK] = before;
    heads[hash] = place;
    return before;
  }

  /** Look at the string at the start; a match is taken if that at the next place is not longer. */
  step() {
    const head = this.lookahead >= LEAST_MATCH ? this.insert(this.start) : 0;
    const [length, match] = [this.matchLength, this.matchStart];
    this.matchLength = LEAST_MATCH - 1;
    if (head && length < LONGEST_MATCH && this.start - head <= FARTHEST) {
      this.matchLength = this.longestMatch(head, length);
      const isFar = this.matchLength === LEAST_MATCH && this.start - this.matchStart > TOO_FAR;
      if (isFar) this.matchLength = LEAST_MATCH - 1;
    }
    if (length >= LEAST_MATCH && this.matchLength <= length) this.take(length, match);
    else this.wait();
  }

  /** Take the match at the place before the start. @type {(length: number, match: number) => void} */
  take(length, match) {
    const last = this.start + this.lookahead - LEAST_MATCH;
    this.block.addMatch(this.start - 1 - match, length);
    this.lookahead -= length - 1;
    for (let left = length - 2; left; left -= 1) {
      this.start += 1;
      if (this.start <= last) this.insert(this.start);
    }
    this.hasByte = false;
    this.matchLength = LEAST_MATCH - 1;
    this.start += 1;
    if (this.block.symbols === SYMBOLS) this.flush();
  }

  /** Go on by one byte; that before it is a literal, if it is in no match. */
  wait() {
    if (this.hasByte) {
      this.block.addLiteral(this.window[this.start - 1]);
      if (this.block.symbols === SYMBOLS) this.flush();
    }
    this.hasByte = true;
    this.start += 1;
    this.lookahead -= 1;
  }

  /**
   * The longest match in the chain of a place, if it is longer than the one before.
   * @param {number} head
   * @param {number} before its length
   */
  longestMatch(head, before) {
    const { window, previous, start, lookahead } = this;
    const limit = Math.max(start - FARTHEST, 0);
    const nice = Math.min(LONGEST_MATCH, lookahead);
    let chain = before >= GOOD_MATCH ? LONGEST_CHAIN >> 2 : LONGEST_CHAIN;
    let best = before;
    for (let place = head; ;) {
      const isCandidate = window[place + best] === window[start + best]
        && window[place + best - 1] === window[start + best - 1]
        && window[place] === window[start] && window[place + 1] === window[start + 1];
      if (isCandidate) {
        let length = 2;
        while (length < LONGEST_MATCH && window[place + length] === window[start + length]) length += 1;
        if (length > best) {
          this.matchStart = place;
          best = length;
          if (length >= nice) break;
        }
      }
      place = previous[place & MASK];
      chain -= 1;
      if (place <= limit || chain === 0) break;
    }
    return Math.min(best, lookahead);
  }

  /** Count a block as it is smallest: as it is, with the fixed codes, or with its own. */
  flush() {
    const { own, fixed } = this.block.bits();
    const stored = this.start - this.blockStart;
    const bytes = Math.min((own + 10) >> 3, (fixed + 10) >> 3);
    const isInWindow = this.blockStart >= 0;
    if (stored + 4 <= bytes && isInWindow) this.bits = Math.ceil((this.bits + 3) / 8) * 8 + 8 * (4 + stored);
    else this.bits += 3 + ((fixed + 10) >> 3 === bytes ? fixed : own);
    this.block.clear();
    this.blockStart = this.start;
  }
}

/** Python gives zlib a file in parts of this size, which decides where the window moves on. */
const PART_BYTES = 1 << 20;

/**
 * @param {Uint8Array} file
 * @returns {Promise<number>} bytes, with the header and the sum at the end
 */
export async function gzipSize(file) {
  const [deflate, pauses] = [new Deflate(), new Pauses()];
  for (let at = 0; at < file.byteLength; at += PART_BYTES) {
    deflate.add(file.subarray(at, at + PART_BYTES));
    await pauses.worked(4 * PART_BYTES); // each part takes about as long as four of a setting
  }
  return deflate.finish();
}
