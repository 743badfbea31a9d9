/**
 * Keeps the files of the page in the browser, so that it works without a network.
 *
 * `quantlab page` writes a line before this script that sets `FILES`: path → SHA-256 of each file of the page, in
 * base64. Files are kept by path and hash, so that a new version fetches only what has changed, and an interrupted
 * download continues. Nothing that is not in the list is ever kept.
 */

/** @typedef {Event & { waitUntil: (work: Promise<unknown>) => void }} Lasting */
/** @typedef {Event & { request: Request, respondWith: (answer: Promise<Response>) => void }} Fetching */
/** @typedef {{ postMessage: (message: object) => void }} Client */
/**
 * @typedef {object} Scope
 * @property {Record<string, string>} FILES
 * @property {{ scope: string }} registration
 * @property {() => Promise<void>} skipWaiting
 * @property {{ claim: () => Promise<void>, matchAll: (options: object) => Promise<Client[]> }} clients
 * @property {(name: string, listener: (event: any) => void) => void} addEventListener
 */

const worker = /** @type {Scope} */ (/** @type {unknown} */ (self));
const { FILES, registration } = worker;
const NAME = `quantlab-tab ${registration.scope}`;

/** @param {string} path */
function keyOf(path) {
  return `${new URL(path, registration.scope).href}?sha256=${encodeURIComponent(FILES[path])}`;
}

/** Fetch every file that is not kept yet. An error leaves what is kept, and the next visit continues there. */
async function keepAll() {
  const cache = await caches.open(NAME);
  const paths = Object.keys(FILES);
  let done = 0;
  for (const path of paths) {
    if (!await cache.match(keyOf(path))) {
      const answer = await fetch(new URL(path, registration.scope), {
        cache: 'reload', integrity: `sha256-${FILES[path]}`,
      });
      if (!answer.ok) throw new Error(`'${path}' of the page cannot be fetched (status ${answer.status})`);
      await cache.put(keyOf(path), answer);
    }
    done += 1;
    await tell({ type: 'keeping', done, of: paths.length });
  }
}

/** @param {object} message */
async function tell(message) {
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  for (const page of pages) page.postMessage(message);
}

async function dropOthers() {
  const cache = await caches.open(NAME);
  const wanted = new Set(Object.keys(FILES).map(keyOf));
  for (const { url } of await cache.keys()) {
    if (!wanted.has(url)) await cache.delete(url);
  }
  await worker.clients.claim();
}

/** What workers may load: a `meta` element says it for the page alone. LiteRT.js imports its own script as a blob. */
const POLICY = "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; connect-src 'self'";

const WORKER = 'worker.js';

/**
 * The kept file, if there is one, else what the server says.
 * @param {Request} request
 */
async function answerTo(request) {
  const path = decodeURIComponent(request.url.slice(registration.scope.length).replace(/[?#].*$/, '')) || 'index.html';
  if (!Object.hasOwn(FILES, path)) return fetch(request);
  const kept = await (await caches.open(NAME)).match(keyOf(path));
  if (!kept) return fetch(request);
  if (path !== WORKER) return kept;
  const headers = new Headers(kept.headers);
  headers.set('Content-Security-Policy', POLICY);
  return new Response(kept.body, { status: kept.status, statusText: kept.statusText, headers });
}

worker.addEventListener('install', (/** @type {Lasting} */ event) => event.waitUntil(keepAll()));
worker.addEventListener('activate', (/** @type {Lasting} */ event) => event.waitUntil(dropOthers()));
worker.addEventListener('message', ({ data }) => {
  if (data === 'use the new version') worker.skipWaiting();
});
worker.addEventListener('fetch', (/** @type {Fetching} */ event) => {
  if (event.request.method === 'GET' && event.request.url.startsWith(registration.scope)) {
    event.respondWith(answerTo(event.request));
  }
});
