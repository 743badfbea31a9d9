/** Hands files to the visitor: the browser saves what was made here. */

import { element } from './elements.mjs';

/**
 * A button that makes a file when it is pressed, and saves it.
 * @param {string} text
 * @param {string} name of the file
 * @param {() => Promise<Uint8Array>} make
 */
export function downloadButton(text, name, make) {
  const button = element('button', { type: 'button' }, text);
  const problem = element('span', { class: 'failed', role: 'status' });
  button.addEventListener('click', async () => {
    button.disabled = true;
    problem.textContent = '';
    try {
      save(await make(), name);
    } catch (error) {
      problem.textContent = ` It could not be made: ${/** @type {Error} */ (error).message}`;
    } finally {
      button.disabled = false;
    }
  });
  return [button, problem];
}

const KEPT_MILLISECONDS = 60_000;

/** @type {(bytes: Uint8Array, name: string) => void} */
function save(bytes, name) {
  const address = URL.createObjectURL(new Blob([/** @type {BlobPart} */ (bytes)], { type: 'application/zip' }));
  element('a', { href: address, download: name }).click();
  // A browser that asks where to save reads the bytes later.
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MILLISECONDS);
}
