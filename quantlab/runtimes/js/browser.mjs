/**
 * The entry for a page in a browser: requests a job from its server, runs it, and reports the result.
 *
 * The server, `quantlab/runtimes/page_job.py`, replaces paths in the job by addresses below the page's own
 * (`artifact/…`, `input/0`, `output/0`, `scratch`, and for calls `fed/0/0` and `answer/0`). Tensors are sent as raw
 * bytes.
 *
 * In Chromium, which quantlab drives itself, the page is alone. On a phone it is a frame of `phone.mjs`: the network may
 * be lost, and so everything is sent again until it arrives.
 */

import { EXECUTORS, PREPARE, RAW } from './browser-executors.mjs';
import { startSteps, taken } from './browser-tfjs.mjs';
import { ask, lostConnection } from './connection.mjs';
import { HOST } from './host.mjs';
import { preparePictures } from './pipelines.mjs';
import { JobError, run } from './run.mjs';
import { answerRequests } from './taps.mjs';
import { timeVariant } from './time.mjs';
import { tryCalls } from './try.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Message} Message */
/** @typedef {import('./run.mjs').Request} Request */
/** @typedef {import('./run.mjs').TapRequest} TapRequest */
/** @typedef {import('./time.mjs').PeakMemory} PeakMemory */

/** Messages are sent in sequence; the end of the work awaits the last one. */
let said = Promise.resolve();

/** Messages have numbers, by which the server tells one that is sent again. */
let messages = 0;

/** @param {Message} message */
function emit(message) {
  if (HOST === 'phone' && message.type === 'failed' && (taken.byBrowser || lostConnection(message.reason))) {
    said = said.then(() => send('lost', message.reason));
    return;
  }
  if (HOST === 'phone' && message.type === 'progress') parent.postMessage({ done: message.done }, location.origin);
  messages += 1;
  const address = `message?seq=${messages}`;
  said = said.then(() => send(address, JSON.stringify(message)));
}

/** @type {(address: string, body: BodyInit) => Promise<void>} */
async function send(address, body) {
  const { ok, status } = await ask(address, { method: 'POST', body });
  if (!ok) throw new JobError(`the page's server refused what was sent to '${address}' (status ${status})`);
}

/** @type {Platform} */
const PLATFORM = Object.freeze({
  host: HOST,
  environment: { user_agent: navigator.userAgent },
  readArtifact,
  readTensor,
  writeTensor: (file, position, bytes) => send(`${file}?at=${position}`, whole(bytes)),
  writeScratch: (file, position, bytes) => send(`${file}?at=${position}`, whole(bytes)),
  emit,
  now: () => performance.now(),
});

/**
 * A copy of the bytes for `fetch`, because WebAssembly memory may change or be detached while they are sent.
 * @param {Uint8Array} bytes
 */
function whole(bytes) {
  return bytes.slice();
}

/** @param {string} file */
async function readArtifact(file) {
  const answer = await ask(file.split('/').map(encodeURIComponent).join('/'));
  if (!answer.ok) {
    throw new JobError(`the variant's file '${file.replace(/^artifact\/?/, '')}' cannot be read (status `
      + `${answer.status}); convert the model again`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

/** @type {(file: string, position: number, target: Uint8Array) => Promise<void>} */
async function readTensor(file, position, target) {
  if (!target.length) return;
  const answer = await ask(file, { headers: { Range: `bytes=${position}-${position + target.length - 1}` } });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (answer.status !== 206 || bytes.length !== target.length) {
    throw new JobError(`the samples in '${file}' end before byte ${position + target.length}; open the samples again`);
  }
  target.set(bytes);
}

/**
 * Yield the parent's requests for the page's variant, until there are no more.
 * @param {TapRequest} first
 */
async function* requests(first) {
  yield first;
  for (let number = 0; ; number += 1) {
    const answer = await ask(`request?seq=${number}`);
    if (answer.status !== 200) return;
    yield answer.json();
  }
}

/** @returns {Promise<PeakMemory>} */
async function peakMemory() {
  return (await ask('memory')).json();
}

/** Send the prints of libraries to the parent's log, because nobody sees this page's console. */
function logToParent() {
  for (const level of /** @type {const} */ (['warn', 'error'])) {
    console[level] = (...values) => {
      const text = values.map((value) => (value instanceof Error ? value.stack : String(value))).join(' ');
      // A lost log message does not matter.
      send('message', JSON.stringify({ type: 'log', text: `${level}: ${text}` })).catch(() => {});
    };
  }
}

/** Report uncaught errors, so that the parent does not wait. */
function failUncaught() {
  /** @param {unknown} error */
  const fail = (error) => emit({ type: 'failed', reason: `the page failed: ${error}` });
  addEventListener('error', ({ message }) => fail(message));
  addEventListener('unhandledrejection', ({ reason }) => fail(reason));
}

async function main() {
  logToParent();
  failUncaught();
  const asked = /** @type {Request} */ (await (await ask('job')).json());
  const { job } = asked;
  if (asked.request === 'tap') {
    await answerRequests(job, EXECUTORS, { ...PLATFORM, requests: () => requests(asked) });
  } else if (asked.request === 'try') {
    await tryCalls(asked, RAW, PLATFORM);
  } else if (asked.request === 'prepare') {
    await preparePictures(asked, startSteps, PLATFORM);
  } else if (asked.request === 'time') {
    await timeVariant(asked, EXECUTORS, { ...PLATFORM, prepare: PREPARE[job.format], peakMemory });
  } else {
    await run(job, EXECUTORS, PLATFORM);
  }
  await said;
}

main();
