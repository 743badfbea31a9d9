/** The JSON records of a study, with the hash that each carries of itself (`quantlab/seals.py`). */

import { parseJson, sortedKeys, writeFloat } from './json.mjs';
import { sha256 } from './sha256.mjs';

/** @typedef {import('./json.mjs').Json} Json */

/** The key of the hash. */
const SEAL = 'record_sha256';

/**
 * Plain values of a record: JSON has no NaN and no infinity, which are the strings "NaN", "Infinity" and "-Infinity".
 * @param {unknown} value without undefined
 * @returns {any}
 */
function plain(value) {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

/**
 * The bytes of a record with its hash.
 * @param {object} record
 * @returns {Uint8Array}
 */
export function recordBytes(record) {
  const document = plain(record);
  const seal = sha256(new TextEncoder().encode(canonical(JSON.stringify(document))));
  return new TextEncoder().encode(`${JSON.stringify({ ...document, [SEAL]: seal }, null, 1)}\n`);
}

/**
 * A document as Python writes it for hashing: with sorted keys, without white space, in ASCII.
 * @param {string} text as JavaScript writes it, from which Python would read the same numbers
 */
export function canonical(text) {
  return compact(sortedKeys(parseJson(text)));
}

/** @type {(value: Json) => string} */
function compact(value) {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return writeFloat(value);
  if (Array.isArray(value)) return `[${value.map(compact).join(',')}]`;
  if (!(value instanceof Map)) return String(value);
  return `{${[...value].map(([key, member]) => `${quoted(key)}:${compact(member)}`).join(',')}}`;
}

/** @param {string} text */
function quoted(text) {
  const escape = (/** @type {string} */ unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[^ -~]/g, escape);
}
