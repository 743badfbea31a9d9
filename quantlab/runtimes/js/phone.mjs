/**
 * The page for a phone: asks its server for jobs, and runs each in a frame of its own.
 *
 * A frame frees the memory of its job when it is removed. This page holds nothing that matters: it may be closed or
 * reloaded at any moment, and the server sends the unfinished job again. See `quantlab/runtimes/phone/`.
 */

import { askUntilAnswered } from './connection.mjs';
import { factRows, readFacts } from './phone-facts.mjs';

/**
 * What the server says.
 * @typedef {object} News
 * @property {number} version
 * @property {string | null} run the dispatch that this page should run
 * @property {string | null} over what is left to say, at the end
 * @property {boolean} complete whether all was run, then
 * @property {string} [words] the step
 * @property {number} [number] its number
 * @property {number} [of] of so many
 * @property {'run' | 'tap' | 'time'} [kind]
 * @property {number} [done] samples
 * @property {number} [stop]
 */

/** @typedef {{ request: (kind: 'screen') => Promise<{ released: boolean }> }} WakeLocks */

const stage = element('stage');
/** @type {string | null} */
let running = null;
let stop = 0;

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @type {(kind: 'waiting' | 'running' | 'done' | 'stopped', state: string, what?: string) => void} */
function show(kind, state, what = '') {
  element('state').dataset.kind = kind;
  element('state').textContent = state;
  element('what').textContent = what;
}

/** @type {(done: number, all: number, kind?: string) => void} */
function showProgress(done, all, kind = 'run') {
  const bar = /** @type {HTMLProgressElement} */ (element('progress'));
  bar.hidden = kind !== 'run' || all === 0;
  bar.max = all || 1;
  bar.value = done;
  element('count').textContent = bar.hidden ? '' : `${done.toLocaleString('en')} of ${all.toLocaleString('en')} samples`;
}

/** @type {(facts: import('./phone-facts.mjs').Facts, names: { device: string, browser: string }) => void} */
function showFacts(facts, names) {
  element('facts').replaceChildren(...factRows(facts, names).flatMap(([name, value]) => {
    const [term, told] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    told.textContent = value;
    return [term, told];
  }));
  element('phone').hidden = false;
}

/** Keep the screen on while the page is visible, where the browser can; otherwise say that it is up to the person. */
async function keepAwake() {
  const { wakeLock } = /** @type {{ wakeLock?: WakeLocks }} */ (/** @type {unknown} */ (navigator));
  try {
    if (!wakeLock) throw new Error('no wake lock');
    await wakeLock.request('screen');
    element('awake').textContent = 'The screen stays on as long as this page is in front.';
  } catch {
    element('awake').textContent = 'Keep the screen on and this page in front: a locked phone stops here, and goes on '
      + 'when you unlock it.';
  }
}

/** @param {News} news */
function follow(news) {
  if (news.run !== running) {
    stage.replaceChildren();
    running = news.run;
    if (running !== null) {
      const frame = document.createElement('iframe');
      frame.src = `run/${running}/`;
      frame.title = 'The job that runs now';
      stage.append(frame);
    }
  }
  const step = news.of ? `Step ${news.number} of ${news.of}` : 'Running';
  if (news.over !== null) {
    if (news.complete) show('done', 'Done', news.over);
    else show('stopped', 'Stopped', news.over);
    element('awake').textContent = '';
    showProgress(0, 0);
  } else if (running === null) {
    show('waiting', 'Waiting for the computer', 'The next step starts by itself. Leave this page open.');
    showProgress(0, 0);
  } else {
    stop = news.stop ?? 0;
    show('running', step, news.words);
    showProgress(news.done ?? 0, stop, news.kind);
  }
}

/** @type {(state: string, what: string) => void} */
function end(state, what) {
  stage.replaceChildren();
  show('stopped', state, what);
  showProgress(0, 0);
}

function missComputer() {
  show('stopped', 'No connection', 'The computer does not answer. This page tries again by itself; check the network or '
    + 'the cable.');
  element('count').textContent = '';
}

/** Ask what is new, again and again. */
async function main() {
  const facts = await readFacts();
  element('plain').hidden = facts.secure;
  await keepAwake();
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && keepAwake());
  addEventListener('message', ({ origin, data }) => {
    if (origin === location.origin && Number.isInteger(data?.done)) showProgress(data.done, stop);
  });
  // Repeated if the answer is lost: then the server knows this page by it, which has no cookie yet.
  const claim = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join('-');
  const hello = await askUntilAnswered('hello', { method: 'POST', body: JSON.stringify({ ...facts, claim }) });
  if (!hello.ok) {
    end('Not for this browser', await hello.text() || 'The address is not valid any more.');
    return;
  }
  const { page, ...names } = await hello.json();
  showFacts(facts, names);
  for (let seen = -1; ;) {
    const answer = await askUntilAnswered(`news?page=${page}&seen=${seen}`, undefined, missComputer);
    if (!answer.ok) {
      end('Stopped here', await answer.text() || 'The address is not valid any more.');
      return;
    }
    const news = /** @type {News} */ (await answer.json());
    seen = news.version;
    follow(news);
    if (news.over !== null) return;
  }
}

main();
