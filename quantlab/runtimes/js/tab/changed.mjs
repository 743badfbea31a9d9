/** The samples whose answer changed, as cards: became wrong first, those that the reference was most sure of first. */

import { breathe, drawn, element } from './elements.mjs';
import { count, counted, fixed } from './shown-figures.mjs';
import { comparedAs } from './statistics.mjs';

/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./statistics.mjs').Changed} Changed */
/** @typedef {import('./trials.mjs').Trial} Trial */

export const MOST_CARDS = 60;

/** @typedef {Changed & { before: number, after: number }} Card probabilities of the two top-1, each by its own side */

const ORDER = Object.freeze({ 'became wrong': 0, 'became right': 1, other: 2 });

/**
 * The probabilities of one sample: its row, or softmax of it; of one value p, 1 − p and p.
 * @type {(tensor: Tensor, sample: number, probabilities: boolean) => number[]}
 */
export function probabilitiesOf({ shape, data }, sample, probabilities) {
  const width = shape.length > 1 ? shape[1] : 1;
  const row = Array.from(data.subarray(sample * width, (sample + 1) * width), Number);
  const values = width > 1 ? row : probabilities ? [1 - row[0], row[0]] : [0, row[0]];
  if (probabilities) return values;
  const highest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - highest));
  const total = powers.reduce((sum, one) => sum + one, 0);
  return powers.map((one) => one / total);
}

/**
 * All changed samples of a trial in the order of the cards.
 * @type {(trial: Trial, reference: Tensor, outputs: Tensor, labels: Int32Array | null) => Card[]}
 */
export function cardsOf({ row }, reference, outputs, labels) {
  const { probabilities } = comparedAs(reference, labels ? 'classification' : 'similarity');
  return (row?.changed ?? []).map((one) => ({
    ...one,
    before: probabilitiesOf(reference, one.index, probabilities)[one.reference] ?? NaN,
    after: probabilitiesOf(outputs, one.index, probabilities)[one.candidate] ?? NaN,
  })).sort((one, other) => ORDER[one.change] - ORDER[other.change] || other.before - one.before
    || one.index - other.index);
}

/**
 * The sentence above the cards.
 * @type {(trial: Trial, cards: Card[]) => string}
 */
export function conclusionOf({ setting, runtime, row }, cards) {
  const n = count(row?.scores.n ?? 0);
  if (!cards.length) return `Of ${n} samples, none gets another answer from ${setting} in ${runtime}.`;
  const kinds = (/** @type {Changed['change']} */ kind) => cards.filter(({ change }) => change === kind).length;
  const labelled = cards.some(({ label }) => label !== null);
  const parts = labelled ? `: ${kinds('became wrong')} became wrong, ${kinds('became right')} became right` : '';
  const more = cards.length > MOST_CARDS ? ` The first ${MOST_CARDS} are shown.` : '';
  const get = counted(cards.length, 'gets', 'get');
  return `Of ${n} samples, ${get} another answer from ${setting} in ${runtime}${parts}.${more}`;
}

/**
 * @param {Card[]} cards
 * @param {Samples} samples
 * @param {(sample: number) => Promise<HTMLCanvasElement | null>} picture
 * @returns {HTMLElement}
 */
export function cardList(cards, samples, picture) {
  const shown = cards.slice(0, MOST_CARDS);
  const places = shown.map(() => element('div', { class: 'thumbnail' }));
  const list = element('ul', { class: 'cards' }, ...shown.map((card, i) => cardElement(card, samples, places[i])));
  fillPictures(shown, places, picture);
  return list;
}

/** @typedef {(sample: number) => Promise<HTMLCanvasElement | null>} Picture */

/** @type {(cards: Card[], places: HTMLElement[], picture: Picture) => Promise<void>} */
async function fillPictures(cards, places, picture) {
  for (const [i, { index }] of cards.entries()) {
    const drawnPicture = await picture(index);
    if (drawnPicture) places[i].replaceChildren(drawnPicture);
    await breathe();
  }
}

const KINDS = Object.freeze({
  'became wrong': { mark: '✕ became wrong', style: 'became-wrong' },
  'became right': { mark: '✓ became right', style: 'became-right' },
  other: { mark: 'another answer', style: '' },
});

/** @type {(card: Card, samples: Samples, place: HTMLElement) => HTMLElement} */
function cardElement(card, { names, classNames }, place) {
  const named = (/** @type {number} */ label) => classNames?.[label] ?? `class ${label}`;
  const { mark, style } = KINDS[card.change];
  return element('li', { class: 'card' },
    place,
    element('p', { class: `kind ${style}` }, mark),
    element('p', {}, nameOf(names[card.index])),
    card.label === null ? null : element('p', {}, `label: ${named(card.label)}`),
    bar(`before: ${named(card.reference)}`, card.before),
    bar(`after: ${named(card.candidate)}`, card.after));
}

/** A number is the place of a sample; anything else is the name of its file. @param {string} name */
function nameOf(name) {
  return /^\d+$/.test(name) ? `sample ${name}` : name;
}

/** @type {(text: string, share: number) => HTMLElement} */
function bar(text, share) {
  const width = Number.isFinite(share) ? 100 * share : 0;
  return element('p', { class: 'bar' },
    drawn('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      drawn('rect', { x: 0, y: 0, width, height: 10 })),
    element('b', {}, `${text}, ${fixed(100 * share, 0)}\u00a0%`));
}
