/** Requests to the page's server; on a phone they are repeated until they arrive. */

import { HOST } from './host.mjs';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5000;

/** Too many requests, or a server that is busy. */
const LATER = Object.freeze([429, 503]);

/**
 * Like `fetch`. On a phone, a request that gets no answer is made again, after longer and longer waits. Each may arrive
 * twice: bytes have a position, and messages a number.
 * @param {string} address
 * @param {RequestInit} [options]
 */
export async function ask(address, options) {
  return HOST === 'phone' ? askUntilAnswered(address, options) : fetch(address, options);
}

/**
 * The same, whatever the host.
 * @param {string} address
 * @param {RequestInit} [options]
 * @param {() => void} [lost] called after each attempt without an answer
 */
export async function askUntilAnswered(address, options, lost = () => {}) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const answer = await fetch(address, options);
      // Read as a whole, because a body can be cut off, too.
      const body = answer.status === 204 ? null : await answer.arrayBuffer();
      if (!LATER.includes(answer.status)) return new Response(body, { status: answer.status, headers: answer.headers });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a lost connection is a TypeError
      lost();
    }
    await new Promise((resolve) => { setTimeout(resolve, wait); });
  }
}

/**
 * Whether a failure is that of a file that a library loaded itself, without being asked again.
 * @param {string} reason
 */
export function lostConnection(reason) {
  return /failed to fetch|load failed|networkerror|network error|dynamically imported module|both async and sync fetching/i
    .test(reason);
}
