/** Says and lists where the error of the layers is born. */

import { element } from './elements.mjs';
import { fixed, number } from './shown-figures.mjs';

/** @typedef {import('./experiment.mjs').Layers} Layers */
/** @typedef {import('./layers.mjs').LayerRow} LayerRow */
/** @typedef {import('./chart.mjs').LayerLine} LayerLine */

/** Rows of the list of the worst layers. */
const WORST = 8;

/** @param {LayerRow[]} rows */
function compared(rows) {
  return rows.filter(({ sqnr_db: db }) => db !== null).sort((one, other) => one.place - other.place);
}

/** The row with the largest increase of the relative error. @param {LayerRow[]} rows */
function growingMost(rows) {
  const growth = (/** @type {LayerRow} */ row) => row.relative_rms_growth ?? -Infinity;
  return rows.reduce((/** @type {LayerRow | null} */ most, row) => (
    most && growth(most) >= growth(row) ? most : row), null);
}

/** The row with the lowest SQNR. @param {LayerRow[]} rows */
function lowest(rows) {
  return rows.reduce((/** @type {LayerRow | null} */ worst, row) => (
    worst && Number(worst.sqnr_db) <= Number(row.sqnr_db) ? worst : row), null);
}

/** The setting whose worst layer is the worst of all, with its rows. @param {Layers[]} layers */
function worstSetting(layers) {
  const all = layers.map(({ setting, rows }) => ({ setting, rows: compared(rows) })).filter(({ rows }) => rows.length);
  return all.sort((one, other) => Number(lowest(one.rows)?.sqnr_db) - Number(lowest(other.rows)?.sqnr_db))[0] ?? null;
}

/**
 * The lines of the chart: settings with at least one difference.
 * @param {Layers[]} layers
 * @returns {LayerLine[]}
 */
export function linesOf(layers) {
  return layers.map(({ setting, rows }) => {
    const own = compared(rows);
    const worst = lowest(own);
    const points = own.map(({ layer, sqnr_db: db }) => ({ name: layer, db: Number(db) }));
    return { setting, points, label: worst ? own.indexOf(worst) : -1 };
  }).filter(({ points }) => points.some(({ db }) => db !== Infinity));
}

/**
 * The conclusion, computed from the worst setting.
 * @param {Layers[]} layers
 */
export function layerSentence(layers) {
  const worst = worstSetting(layers);
  if (!worst) return 'No layer could be compared.';
  const { setting, rows } = worst;
  const low = /** @type {LayerRow} */ (lowest(rows));
  if (low.sqnr_db === Infinity) return 'No layer of any setting differs from the reference.';
  const most = /** @type {LayerRow} */ (growingMost(rows));
  const before = rows[rows.indexOf(most) - 1]?.sqnr_db ?? Infinity;
  const growth = most.relative_rms_growth !== null && most.relative_rms_growth > 0
    ? `In ${setting}, ${most.layer} adds most: there the SQNR goes from ${fixed(before, 1)} to ${fixed(most.sqnr_db, 1)} dB. ` : '';
  return `${growth}The lowest of all layers is ${fixed(low.sqnr_db, 1)} dB, in ${low.layer}${growth ? '' : ` of ${setting}`}.`;
}

/**
 * The worst layers of the worst setting; null if nothing differs.
 * @param {Layers[]} layers
 * @returns {HTMLElement | null}
 */
export function worstLayers(layers) {
  const worst = worstSetting(layers);
  if (!worst || lowest(worst.rows)?.sqnr_db === Infinity) return null;
  const rows = [...worst.rows].sort((one, other) => Number(one.sqnr_db) - Number(other.sqnr_db)).slice(0, WORST);
  const columns = /** @type {[string, boolean, (row: LayerRow) => string][]} */ ([
    ['layer', false, ({ layer }) => layer],
    ['op', false, ({ op }) => op],
    ['SQNR dB', true, ({ sqnr_db: db }) => fixed(db, 1)],
    ['error growth', true, ({ relative_rms_growth: growth }) => growthInPoints(growth)],
    ['worst channel: dB', true, ({ worst_channel: channel, worst_channel_sqnr_db: db }) => (
      channel === null ? '–' : `${channel}: ${fixed(db, 1)}`)],
  ]);
  return element('div', { class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'The worst layers, which scrolls sideways' },
    element('h3', {}, `The worst layers of ${worst.setting}`),
    element('table', {}, element('thead', {}, element('tr', {}, ...columns.map(([name, numeric]) => element(
      'th', { scope: 'col', class: numeric ? 'number' : '' }, name)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...columns.map(([, numeric, text], place) => (
      place ? element('td', { class: numeric ? 'number' : '' }, text(row)) : element('th', { scope: 'row' }, text(row)))))))));
}

/** @param {number | null} growth */
function growthInPoints(growth) {
  if (growth === null) return '–';
  return `${growth > 0 ? '+' : ''}${number(100 * growth, 2)} pt`;
}
