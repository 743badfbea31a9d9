/** Zip archives: reads stored and deflated members, and writes stored ones, the same bytes for the same files. */

import { DropError } from './types.mjs';

/** @typedef {{ name: string, bytes: Uint8Array }} Member */

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const UNKNOWN = 0xffffffff; // the size is in a field of zip64
const UTF8 = 0x0800;
const DATE = 0x0021; // 1980-01-01, the first that the format has
const MOST_BYTES = 1.5e9;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  return value;
});

/** @type {(bytes: Uint8Array) => number} */
function crc32(bytes) {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.byteLength; at += 1) value = TABLE[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @type {(bytes: Uint8Array) => DataView} */
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The members of an archive, one after the other.
 * @param {Uint8Array} bytes
 * @returns {AsyncGenerator<Member>}
 * @throws {DropError} if it is damaged, encrypted, larger than 4 GB, or packed in another way
 */
export async function* readZip(bytes) {
  const view = viewOf(bytes);
  let left = MOST_BYTES;
  for (const entry of entriesOf(bytes, view)) {
    left -= entry.size;
    if (left < 0) throw new DropError('Its arrays need more than 1.5 GB of memory; drop fewer samples.');
    const begin = dataBegin(entry, view);
    if (begin + entry.packed > bytes.byteLength) throw damaged(`'${entry.name}' ends outside of the file`);
    const member = await unpacked(entry, bytes.subarray(begin, begin + entry.packed));
    const isWhole = member.byteLength === entry.size && crc32(member) === entry.crc;
    if (!isWhole) throw damaged(`'${entry.name}' is not what was packed`);
    yield { name: entry.name, bytes: member };
  }
}

/** @type {(what: string) => DropError} */
const damaged = (what) => new DropError(`It is not a complete archive (${what}); copy or save it again.`);

/** @typedef {{ name: string, method: number, crc: number, packed: number, size: number, offset: number }} Entry */

/** @type {(bytes: Uint8Array, view: DataView) => Generator<Entry>} */
function* entriesOf(bytes, view) {
  const end = endOf(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (at === UNKNOWN || count === 0xffff) throw new DropError('The archive has more than 4 GB; drop fewer samples.');
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) throw damaged('its list of members is broken');
    const [nameLength, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const [crc, packed, size, offset] = [16, 20, 24, 42].map((place) => view.getUint32(at + place, true));
    const isEncrypted = view.getUint16(at + 8, true) & 1;
    if (isEncrypted) throw new DropError(`'${name}' in it is encrypted; save it without a password.`);
    const isLarge = [packed, size, offset].includes(UNKNOWN);
    if (isLarge) throw new DropError(`'${name}' in it has more than 4 GB; drop fewer samples.`);
    yield { name, method: view.getUint16(at + 10, true), crc, packed, size, offset };
    at += 46 + nameLength + extra + comment;
  }
}

/** The place of the record at the end, before which a comment may stand. @type {(view: DataView) => number} */
function endOf(view) {
  for (let at = view.byteLength - 22; at >= 0 && at >= view.byteLength - 22 - 0xffff; at -= 1) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw damaged('its end is missing');
}

/** @type {(entry: Entry, view: DataView) => number} */
function dataBegin({ name, offset }, view) {
  const isThere = offset + 30 <= view.byteLength && view.getUint32(offset, true) === LOCAL;
  if (!isThere) throw damaged(`'${name}' is not where it should be`);
  return offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
}

/** @type {(entry: Entry, packed: Uint8Array) => Promise<Uint8Array>} */
async function unpacked({ name, method, size }, packed) {
  if (method === 0) return packed;
  if (method !== 8) throw new DropError(`'${name}' in it is packed by method ${method}; save it with numpy.savez.`);
  const stream = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (packed)]).stream()
    .pipeThrough(new DecompressionStream('deflate-raw'));
  const whole = new Uint8Array(size);
  let filled = 0;
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (filled + part.value.byteLength > size) throw damaged(`'${name}' is longer than it says`);
      whole.set(part.value, filled);
      filled += part.value.byteLength;
    }
  } catch (error) {
    if (error instanceof DropError) throw error;
    throw damaged(`'${name}' cannot be unpacked`);
  } finally {
    reader.cancel().catch(() => {}); // of what is left, nobody wants to hear
  }
  return whole.subarray(0, filled);
}

/**
 * An archive of files, in their order, not compressed; it has no times, so that equal files give equal bytes.
 * @param {Map<string, Uint8Array>} files
 * @returns {Uint8Array}
 * @throws {DropError} if it would have more than 4 GB, or too many files
 */
export function writeZip(files) {
  const entries = [...files].map(([name, bytes]) => ({ name: new TextEncoder().encode(name), bytes }));
  const total = entries.reduce((sum, { name, bytes }) => sum + 76 + 2 * name.byteLength + bytes.byteLength, 22);
  if (total >= UNKNOWN || entries.length >= 0xffff) {
    throw new DropError('The archive would have more than 4 GB; use quantlab convert.');
  }
  const zip = new Uint8Array(total);
  const view = viewOf(zip);
  let at = 0;
  const placed = entries.map((entry) => {
    const offset = at;
    const crc = crc32(entry.bytes);
    view.setUint32(at, LOCAL, true);
    writeAbout(view, at + 4, { crc, size: entry.bytes.byteLength, name: entry.name.byteLength });
    zip.set(entry.name, at + 30);
    zip.set(entry.bytes, at + 30 + entry.name.byteLength);
    at += 30 + entry.name.byteLength + entry.bytes.byteLength;
    return { ...entry, offset, crc };
  });
  const begin = at;
  for (const { name, bytes, offset, crc } of placed) {
    view.setUint32(at, CENTRAL, true);
    view.setUint16(at + 4, 20, true); // made by version 2.0
    writeAbout(view, at + 6, { crc, size: bytes.byteLength, name: name.byteLength });
    view.setUint32(at + 42, offset, true);
    zip.set(name, at + 46);
    at += 46 + name.byteLength;
  }
  writeEnd(view, { at, begin, count: placed.length });
  return zip;
}

/**
 * What both headers of a member say.
 * @type {(view: DataView, at: number, about: { crc: number, size: number, name: number }) => void}
 */
function writeAbout(view, at, { crc, size, name }) {
  view.setUint16(at, 20, true); // needs version 2.0
  view.setUint16(at + 2, UTF8, true);
  view.setUint16(at + 8, DATE, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, name, true);
}

/** @type {(view: DataView, directory: { at: number, begin: number, count: number }) => void} */
function writeEnd(view, { at, begin, count }) {
  view.setUint32(at, END, true);
  view.setUint16(at + 8, count, true);
  view.setUint16(at + 10, count, true);
  view.setUint32(at + 12, at - begin, true);
  view.setUint32(at + 16, begin, true);
}
