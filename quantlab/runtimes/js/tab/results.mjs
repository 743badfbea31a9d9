/** Shows what a run has measured: headline, charts, table, layers, changed samples, notes and downloads. */

import { cardList, cardsOf, conclusionOf } from './changed.mjs';
import { layerChart, sizeChart, whisker } from './chart.mjs';
import { LAYER_SAMPLES } from './choices.mjs';
import { downloadButton } from './downloads.mjs';
import { element } from './elements.mjs';
import { scoredOutput } from './experiment.mjs';
import { count, fixed, size } from './shown-figures.mjs';
import { layerSentence, linesOf, worstLayers } from './layers-shown.mjs';
import { columnsOf, headline, lossOf, sentences } from './trials.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./experiment.mjs').Result} Result */
/** @typedef {import('./trials.mjs').Trial} Trial */

/**
 * @typedef {object} Shown
 * @property {Result} result
 * @property {Samples} samples
 * @property {string} preprocessing one sentence; empty for arrays
 * @property {(sample: number) => Promise<HTMLCanvasElement | null>} picture
 * @property {(artifact: Artifact) => Promise<Uint8Array>} artifactZip
 * @property {() => Promise<Uint8Array>} studyZip
 */

const STOPPED = 'The run was stopped: rows that are missing were not measured.';

/** @type {(id: string, title: string, ...children: import('./elements.mjs').Child[]) => HTMLElement} */
function section(id, title, ...children) {
  const heading = element('h2', { id: `${id}-title` }, title);
  return element('section', { id, 'aria-labelledby': heading.id }, heading, ...children);
}

/**
 * @param {HTMLElement} place
 * @param {Shown} shown
 */
export function showResults(place, shown) {
  const { measured } = shown.result;
  const width = Math.max(320, place.clientWidth || place.parentElement?.clientWidth || 320);
  const { claim, evidence } = headline(measured);
  const chart = sizeChart(measured.trials, width);
  const title = element('h2', { id: 'outcome', class: 'claim', tabindex: -1 }, unbroken(claim));
  place.replaceChildren(
    element('section', { 'aria-labelledby': 'outcome' }, title, element('p', { class: 'evidence' }, unbroken(evidence)),
      measured.stopped ? element('p', { class: 'failed' }, STOPPED) : null,
      chart && element('figure', {}, chart, element('figcaption', {}, 'Each setting where it loses most. Lines are 95 % '
        + 'intervals; the scale is linear to 1 and logarithmic beyond.'))),
    section('table', 'The table', table(shown), ...belowTable(shown)),
    ...layerSection(shown, width),
    ...changedSection(shown),
    section('downloads', 'Downloads', downloads(shown)),
  );
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: 'start' });
}

/** @param {Shown} shown */
function table({ result: { measured } }) {
  const columns = columnsOf(measured);
  const losses = measured.trials.map(({ row }) => lossOf(row?.scores));
  const bounds = losses.flatMap((loss) => (loss?.interval ? [loss.interval.lower, loss.interval.upper, 0] : []));
  const [least, most] = [Math.min(0, ...bounds), Math.max(0, ...bounds)].map((one) => Math.sign(one)
    * (Math.abs(one) <= 1 ? Math.abs(one) : 1 + Math.log10(Math.abs(one))));
  const rows = measured.trials.map((trial, i) => element('tr', {}, ...columns.map(({ name, numeric, text }, place) => {
    const shownText = text(trial);
    if (!place) return element('th', { scope: 'row' }, shownText, element('small', { class: 'narrow' }, below(trial)));
    if (trial.reason !== null && place > 2) {
      const rest = { class: 'text failed', colspan: columns.length - 3 };
      return place === 3 ? element('td', rest, 'failed: see below') : null;
    }
    const line = name.startsWith('loss') && losses[i] ? whisker(/** @type {any} */ (losses[i]), least, most) : null;
    return element('td', { class: styleOf(name, numeric) }, shownText, line);
  })));
  return element('div', { class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'The table, which scrolls sideways' },
    element('table', {}, element('thead', {}, element('tr', {}, ...columns.map(({ name, numeric }) => element(
      'th', { scope: 'col', class: styleOf(name, numeric) }, name.replaceAll(' %', '\u00a0%'))))),
    element('tbody', {}, referenceRow(columns, measured), ...rows)));
}

/** @type {(columns: import('./trials.mjs').Column[], measured: import('./trials.mjs').Measured) => HTMLElement} */
function referenceRow(columns, { reference }) {
  const own = reference?.top1 === null ? null : `top-1 ${fixed(reference?.top1, 2)} %`;
  return element('tr', {}, ...columns.map(({ name, numeric }, place) => {
    if (!place) return element('th', { scope: 'row' }, 'reference', own && element('small', { class: 'narrow' }, own));
    const text = name === 'top-1 %' ? fixed(reference?.top1, 2) : '–';
    return element('td', { class: styleOf(name, numeric) }, text);
  }));
}

/** Columns that a phone has no room for; `below` has what they tell, or the loss does. */
const BELOW = Object.freeze(['runtime', 'gzip KB', 'top-1 %']);

/** @type {(name: string, numeric: boolean) => string} */
function styleOf(name, numeric) {
  return [...(numeric ? ['number'] : []), ...(BELOW.includes(name) ? ['roomy'] : [])].join(' ');
}

/** @param {Trial} trial */
function below({ runtime, gzip }) {
  return [runtime, gzip === null ? '' : size(gzip)].filter(Boolean).join(', ');
}

/** Without a line break between a number and its unit. @param {string} text */
function unbroken(text) {
  return text.replace(/(\d) (?=KB|MB|GB|%|points|dB)/g, '$1\u00a0');
}

const LOSS = 'loss = reference − variant, in percentage points of top-1; positive is worse; 95 % interval by Tango.';

/** @param {Shown} shown */
function belowTable({ result: { measured, referenceRun }, samples, preprocessing }) {
  const { failures, notes } = sentences(measured.trials);
  const n = count(measured.reference?.n ?? samples.n);
  const loss = measured.task === 'classification' ? `${LOSS} ` : '';
  const environment = Object.entries(referenceRun.environment).filter(([name]) => name !== 'user_agent')
    .map(([name, value]) => `${name} ${value}`).join(', ');
  return [
    element('p', { class: 'small' }, `n = ${n} samples; SHA-256 ${samples.sha256.slice(0, 12)}. The reference is ${
      measured.artifact.name} as it was dropped, in ${referenceRun.ranOn}. ${loss}${preprocessing}`),
    element('p', { class: 'small' }, `Times are of this device, and rank no other. ${environment}.`),
    failures.length ? element('ul', { class: 'warnings' }, ...failures.map((one) => element('li', {}, one))) : null,
    ...[...samples.notes, ...notes].map((note) => element('p', { class: 'small' }, note)),
  ];
}

/** @type {(shown: Shown, width: number) => HTMLElement[]} */
function layerSection({ result: { layers } }, width) {
  if (!layers.length) return [];
  const failed = layers.filter(({ reason }) => reason !== null);
  const lines = linesOf(layers);
  return [section('layers', 'Where the error is born',
    element('p', { class: 'conclusion' }, layerSentence(layers)),
    lines.length ? element('figure', {}, layerChart(lines, width), element('figcaption', {},
      `Accumulated error of each setting, on up to ${LAYER_SAMPLES} samples. In the band, the noise is more than 1 % of `
        + 'the signal. The mark is the worst layer.')) : null,
    worstLayers(layers),
    ...failed.map(({ setting, reason }) => element('p', { class: 'failed' }, `${setting}: ${reason}`)))];
}

/** @param {Shown} shown */
function changedSection({ result, samples, picture }) {
  const { measured, referenceRun } = result;
  const trials = measured.trials.filter(({ row }) => row && row.scores.agreement !== null);
  if (!trials.length) return [];
  const reference = scoredOutput(measured.artifact, referenceRun);
  const first = defaultTrial(trials);
  const content = element('div', {});
  const show = (/** @type {Trial} */ trial) => {
    const outputs = scoredOutput(measured.artifact, /** @type {import('./experiment.mjs').Run} */ (trial.run));
    const cards = cardsOf(trial, reference, outputs, samples.labels);
    const conclusion = element('p', { class: 'conclusion' }, conclusionOf(trial, cards));
    content.replaceChildren(conclusion, cardList(cards, samples, picture));
  };
  const select = element('select', { class: 'inline', change: () => show(trials[select.selectedIndex]) });
  select.append(...trials.map((trial) => element('option', { selected: trial === first }, `${trial.setting} in ${
    trial.runtime} (${count(trial.row?.changed.length ?? 0)})`)));
  show(first);
  return [section('changed', 'What changed', element('p', {}, element('label', {}, 'Variant ', select)), content)];
}

/** The one with most changed samples. @param {Trial[]} trials */
function defaultTrial(trials) {
  return trials.reduce((most, one) => ((one.row?.changed.length ?? 0) > (most.row?.changed.length ?? 0) ? one : most));
}

/** @param {Shown} shown */
function downloads({ result: { measured }, artifactZip, studyZip }) {
  const made = measured.trials.filter(({ artifact }) => artifact);
  const artifacts = [...new Map(made.map((trial) => [trial.setting, trial])).values()];
  return element('ul', { class: 'downloads' },
    element('li', {}, ...downloadButton('The study', 'study.zip', studyZip),
      element('span', { class: 'small' }, ' unpack it, then: quantlab show study')),
    ...artifacts.map(({ setting, artifact }) => {
      const files = /** @type {Artifact} */ (artifact).files;
      const bytes = [...files.values()].reduce((sum, file) => sum + file.byteLength, 0);
      const names = `${[...files.keys()].slice(0, 3).join(', ')}${files.size > 3 ? ', …' : ''}`;
      const make = () => artifactZip(/** @type {Artifact} */ (artifact));
      return element('li', {}, ...downloadButton(setting, `${setting}.zip`, make),
        element('span', { class: 'small' }, ` ${size(bytes)}: ${names}`));
    }));
}
