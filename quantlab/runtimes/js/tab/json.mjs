/**
 * JSON as Python's `json` reads and writes it, so that a `model.json` that is written here has the bytes that Python
 * writes. Objects are Maps: they keep the order of their keys, integer-like ones too, and a key `__proto__` is a key.
 * Numbers without a fraction or exponent are BigInts, which stay exact, and all others are numbers: Python has the same
 * two types.
 */

import { DropError } from './types.mjs';

/** @typedef {null | boolean | bigint | number | string | Json[] | JsonObject} Json */
/** @typedef {Map<string, any>} JsonObject values are Json; `any` spares a cast for each member that is read */

const DEEPEST = 500;
const LONGEST_INTEGER = 4300; // as Python, whose time grows with the square of the digits
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPES = Object.freeze(/** @type {Record<string, string>} */ ({
  '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
}));
const LITERALS = Object.freeze(/** @type {[string, Json][]} */ ([['true', true], ['false', false], ['null', null]]));

/** Reads one document; `at` is the place of the next character. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** @type {(expected: string) => SyntaxError} */
  error(expected) {
    return new SyntaxError(`${expected} was expected at character ${this.at + 1}`);
  }

  /** @type {(pattern: RegExp) => RegExpExecArray | null} */
  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  /** @type {(character: string) => boolean} */
  take(character) {
    this.match(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  /** @type {(depth?: number) => Json} */
  value(depth = 0) {
    if (depth > DEEPEST) throw new SyntaxError(`it is nested more than ${DEEPEST} levels deep`);
    if (this.take('{')) return this.object(depth);
    if (this.take('[')) return this.array(depth);
    if (this.take('"')) return this.string();
    const literal = LITERALS.find(([word]) => this.text.startsWith(word, this.at));
    if (literal) {
      this.at += literal[0].length;
      return literal[1];
    }
    return this.number();
  }

  /** @type {(depth: number) => JsonObject} */
  object(depth) {
    const object = new Map();
    if (this.take('}')) return object;
    do {
      if (!this.take('"')) throw this.error('a key');
      const key = this.string();
      if (!this.take(':')) throw this.error('a colon');
      object.set(key, this.value(depth + 1));
    } while (this.take(','));
    if (!this.take('}')) throw this.error('a comma or }');
    return object;
  }

  /** @type {(depth: number) => Json[]} */
  array(depth) {
    /** @type {Json[]} */
    const array = [];
    if (this.take(']')) return array;
    do array.push(this.value(depth + 1)); while (this.take(','));
    if (!this.take(']')) throw this.error('a comma or ]');
    return array;
  }

  string() {
    let string = '';
    for (;;) {
      string += /** @type {RegExpExecArray} */ (this.match(PLAIN))[0];
      const character = this.text[this.at];
      this.at += 1;
      if (character === '"') return string;
      if (character !== '\\') throw this.error('the end of a text');
      string += this.escaped();
    }
  }

  escaped() {
    const character = this.text[this.at];
    this.at += 1;
    if (character === 'u') {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[\da-fA-F]{4}$/.test(digits)) throw this.error('four hexadecimal digits');
      this.at += 4;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    if (character === undefined || !Object.hasOwn(ESCAPES, character)) throw this.error('an escape');
    return ESCAPES[character];
  }

  /** @type {() => bigint | number} */
  number() {
    const found = this.match(NUMBER);
    if (!found) throw this.error('a value');
    const [digits, fraction, exponent] = found;
    if (fraction !== undefined || exponent !== undefined) return Number(digits);
    if (digits.length > LONGEST_INTEGER) throw new SyntaxError(`a number has more than ${LONGEST_INTEGER} digits`);
    return BigInt(digits);
  }
}

/**
 * @param {string} text
 * @returns {Json}
 * @throws {SyntaxError} if it is not JSON; NaN and Infinity, which Python accepts, are not: browsers refuse them
 */
export function parseJson(text) {
  const reader = new Reader(text);
  const value = reader.value();
  reader.match(SPACE);
  if (reader.at < text.length) throw reader.error('the end of the document');
  return value;
}

/**
 * The document of a file.
 * @param {Uint8Array} bytes UTF-8
 * @param {string} path of the file, for the message
 * @returns {Json}
 * @throws {DropError} if it is not JSON
 */
export function readJson(bytes, path) {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    const said = error instanceof SyntaxError ? error.message : 'it is not text in UTF-8';
    throw new DropError(`'${path}' could not be read as JSON (${said}); convert the model again.`);
  }
}

/**
 * As `json.dumps` writes it: ASCII, with a space after commas and colons.
 * @param {Json} value
 * @returns {string}
 * @throws {RangeError} for a number that is not finite
 */
export function writeJson(value) {
  if (typeof value === 'string') return writeString(value);
  if (typeof value === 'number') return writeFloat(value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join(', ')}]`;
  if (!(value instanceof Map)) return String(value);
  const members = [];
  for (const [key, member] of value) members.push(`${writeString(key)}: ${writeJson(member)}`);
  return `{${members.join(', ')}}`;
}

const SHORT = Object.freeze(/** @type {Record<string, string>} */ ({
  '"': '\\"', '\\': '\\\\', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t',
}));

/** @type {(text: string) => string} */
function writeString(text) {
  const escaped = text.replace(/["\\]|[^ -~]/g, (character) => SHORT[character]
    ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `"${escaped}"`;
}

/**
 * A number as Python's `repr` of a float: the shortest digits that are read as the same number, like in JavaScript, but
 * with an exponent below 1e-4 and from 1e16.
 * @param {number} value
 * @returns {string}
 * @throws {RangeError} if it is not finite, for which JSON has no notation
 */
export function writeFloat(value) {
  if (!Number.isFinite(value)) throw new RangeError(`JSON has no notation for ${value}`);
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa, power] = value.toExponential().split('e');
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const sign = value < 0 ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/**
 * Compare texts as Python does: by code points.
 * @param {string} first
 * @param {string} second
 */
export function compareText(first, second) {
  const length = Math.min(first.length, second.length);
  for (let at = 0; at < length; at += 1) {
    const [one, other] = [first.charCodeAt(at), second.charCodeAt(at)];
    if (one === other) continue;
    // Surrogates stand for code points above all others.
    return [one, other].some((unit) => (unit & 0xf800) === 0xd800) ? byPoints(first, second) : one - other;
  }
  return first.length - second.length;
}

/** @type {(first: string, second: string) => number} */
function byPoints(first, second) {
  const [ones, others] = [first, second].map((text) => Array.from(text, (character) => character.codePointAt(0) ?? 0));
  const place = ones.findIndex((point, at) => point !== others[at]);
  return place < 0 ? ones.length - others.length : ones[place] - (others[place] ?? -1);
}

/**
 * The value with the keys of all its objects sorted, as `json.dumps(…, sort_keys=True)` has them.
 * @param {Json} value
 * @returns {Json}
 */
export function sortedKeys(value) {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (!(value instanceof Map)) return value;
  const members = [...value].sort(([first], [second]) => compareText(first, second));
  return new Map(members.map(([key, member]) => [key, sortedKeys(member)]));
}
