/** Which program shows the page: `chromium`, which quantlab drives, or a frame of the page for a `phone`. */

/** What the page says of itself; a module worker has no page, and its files lie beside it. */
const page = typeof document === 'undefined' ? {} : document.documentElement.dataset;

/** The first half of a runtime's name; `phone-frame.html` says `phone`. */
export const HOST = page.host ?? 'chromium';

/** The address beside which the files of the bundle are: that of the page, or of the page around the frame. */
export const BUNDLE = new URL(page.bundle ?? './', location.href).href;
