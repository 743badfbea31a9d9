/** Starts the service worker that keeps the page's files, and tells when the page works without a network. */

import { byId, element } from './elements.mjs';

const READY = 'Works without a network from now on: all files of this page are kept in this browser.';

/** Messages about progress may arrive after the end that they lead to. */
let isSettled = false;

/** Start it when the page has been idle for a moment, so that its 40 MB never delay what the visitor does first. */
export async function workOffline() {
  const place = byId('offline');
  if (!('serviceWorker' in navigator)) return;
  const { serviceWorker } = navigator;
  serviceWorker.addEventListener('message', ({ data }) => {
    if (isSettled || data?.type !== 'keeping') return;
    place.textContent = `Keeping the files of this page for use without a network: ${data.done} of ${data.of}.`;
  });
  try {
    const registration = await serviceWorker.register('sw.js', { updateViaCache: 'none' });
    registration.addEventListener('updatefound', () => watch(registration, registration.installing));
    if (registration.installing) watch(registration, registration.installing);
    if (registration.waiting) offerNewVersion(registration.waiting);
    else if (registration.active) {
      sayReady();
      // The browser would look for a new version later. Without a network there is none.
      registration.update().catch(() => {});
    }
  } catch (error) {
    place.textContent = `This page needs the network: its files cannot be kept in this browser (${
      /** @type {Error} */ (error).message}).`;
  }
}

/** @type {(registration: ServiceWorkerRegistration, worker: ServiceWorker | null) => void} */
function watch(registration, worker) {
  worker?.addEventListener('statechange', () => {
    if (worker.state === 'activated') sayReady();
    if (worker.state === 'installed' && registration.active) offerNewVersion(worker);
    if (worker.state === 'redundant' && !registration.active) {
      byId('offline').textContent = 'Not all files of this page could be kept, so it still needs the network. Load it '
        + 'again to try once more.';
    }
  });
}

function sayReady() {
  isSettled = true;
  byId('offline').textContent = READY;
}

/** @param {ServiceWorker} worker */
function offerNewVersion(worker) {
  isSettled = true;
  const use = element('button', {
    type: 'button',
    click: () => {
      navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
      worker.postMessage('use the new version');
    },
  }, 'Load it');
  byId('offline').replaceChildren('There is a new version of this page; loading it forgets what was dropped here. ', use);
}
