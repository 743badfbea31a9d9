/** Formats figures as `quantlab_reports.figures` does: few digits, a true minus sign, ∞ and NaN, a dash for none. */

/** @typedef {{ lower: number, upper: number }} Interval */

export const EMPTY = '–';

/** @param {number} value */
function special(value) {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return null;
  return value > 0 ? '∞' : '−∞';
}

/** @param {string} text */
function trueMinus(text) {
  return text.replace(/-/g, '−');
}

/**
 * With a number of decimals; a value that rounds to zero has no sign.
 * @type {(value: number | null | undefined, decimals: number) => string}
 */
export function fixed(value, decimals) {
  if (value === null || value === undefined) return EMPTY;
  const text = special(value);
  if (text !== null) return text;
  const shown = value.toFixed(decimals);
  return trueMinus(Number(shown) === 0 ? shown.replace('-', '') : shown);
}

/**
 * With significant digits.
 * @type {(value: number | null | undefined, digits?: number) => string}
 */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return EMPTY;
  const text = special(value);
  if (text !== null) return text;
  if (value === 0) return '0';
  const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 7) return trueMinus(String(Number(`${mantissa}e${power}`)));
  return trueMinus(`${Number(mantissa)}e${power > 0 ? '+' : ''}${power}`);
}

/** @type {(value: number | null | undefined, interval: Interval | null | undefined, decimals: number) => string} */
export function withInterval(value, interval, decimals) {
  const text = fixed(value, decimals);
  if (text === EMPTY || !interval) return text;
  return `${text} [${fixed(interval.lower, decimals)}, ${fixed(interval.upper, decimals)}]`;
}

/** A count with thousands separated. @param {number} n */
export function count(n) {
  return n.toLocaleString('en-US');
}

/** @type {(n: number, one: string, many: string) => string} */
export function counted(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Bytes in the decimal units of the table. @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e6) return `${fixed(bytes / 1e3, 1)} KB`;
  return bytes < 1e9 ? `${fixed(bytes / 1e6, 1)} MB` : `${fixed(bytes / 1e9, 1)} GB`;
}

/** A time that is left, so coarse that it does not promise what nobody knows. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 10) return 'a few seconds';
  if (seconds < 90) return `${Math.ceil(seconds / 10) * 10} seconds`;
  return counted(Math.round(seconds / 60), 'minute', 'minutes');
}

/** Words of a list. @param {readonly string[]} names */
export function joined(names) {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
