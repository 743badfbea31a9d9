/**
 * SHA-256 (FIPS 180-4), part by part: `crypto.subtle` hashes only at once, and is missing on pages over plain http.
 */

/** @type {(count: number, work: (index: number) => number) => Int32Array} */
const words = (count, work) => Int32Array.from({ length: count }, (_, index) => work(index));

/** @type {number[]} the first 64 */
const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number += 1) {
  if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
}

/**
 * The first 32 bits behind the point of a root, found by bisection in integers: a double has too few digits to be sure.
 * @type {(prime: number, degree: bigint) => number}
 */
function fractionOfRoot(prime, degree) {
  const target = BigInt(prime) << (32n * degree);
  let [low, high] = [0n, BigInt(prime) << 32n];
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle ** degree <= target) low = middle;
    else high = middle;
  }
  return Number(BigInt.asIntN(32, low));
}

const ROUNDS = words(64, (index) => fractionOfRoot(PRIMES[index], 3n));
const START = words(8, (index) => fractionOfRoot(PRIMES[index], 2n));
const BLOCK = 64;

export class Sha256 {
  constructor() {
    this.state = START.slice();
    this.schedule = new Int32Array(64);
    this.block = new Uint8Array(BLOCK);
    this.length = 0;
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {this}
   */
  update(bytes) {
    let at = 0;
    const held = this.length % BLOCK;
    this.length += bytes.byteLength;
    if (held) {
      at = Math.min(BLOCK - held, bytes.byteLength);
      this.block.set(bytes.subarray(0, at), held);
      if (held + at < BLOCK) return this;
      this.compress(this.block, 0);
    }
    for (; at + BLOCK <= bytes.byteLength; at += BLOCK) this.compress(bytes, at);
    this.block.set(bytes.subarray(at));
    return this;
  }

  /** The hash in hexadecimal digits; afterwards nothing can be added. @returns {string} */
  digest() {
    const bits = BigInt(this.length) * 8n;
    const padding = new Uint8Array(((119 - (this.length % BLOCK)) % BLOCK) + 1 + 8);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.byteLength - 8, bits);
    this.update(padding);
    return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** @type {(bytes: Uint8Array, at: number) => void} */
  compress(bytes, at) {
    const { schedule, state } = this;
    for (let index = 0; index < 16; index += 1) {
      const place = at + 4 * index;
      schedule[index] = (bytes[place] << 24) | (bytes[place + 1] << 16) | (bytes[place + 2] << 8) | bytes[place + 3];
    }
    for (let index = 16; index < 64; index += 1) {
      const early = schedule[index - 15];
      const late = schedule[index - 2];
      const first = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
      const second = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
      schedule[index] = (schedule[index - 16] + first + schedule[index - 7] + second) | 0;
    }
    // Eight variables: an array of them would take twice the time.
    let a = state[0], b = state[1], c = state[2], d = state[3];
    let e = state[4], f = state[5], g = state[6], h = state[7];
    for (let index = 0; index < 64; index += 1) {
      const ones = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const first = (h + ones + ((e & f) ^ (~e & g)) + ROUNDS[index] + schedule[index]) | 0;
      const zeros = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const second = (zeros + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + second) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {string} in hexadecimal digits
 */
export function sha256(bytes) {
  return new Sha256().update(bytes).digest();
}
