/** What a run happened on: the browser, and the arithmetic of its graphics, in the words of `runtimes/browser.py`. */

/** @typedef {Record<string, string>} Environment */

/**
 * The first half of a runtime's name: `chromium`, as in Python, if the browser is one; otherwise `browser`.
 * @param {string} [userAgent]
 */
export function hostOf(userAgent = navigator.userAgent) {
  return chromiumVersion(userAgent) ? 'chromium' : 'browser';
}

/** @param {string} userAgent */
function chromiumVersion(userAgent) {
  return /Chrom(?:e|ium)\/([\d.]+)/.exec(userAgent)?.[1];
}

/**
 * What outputs may depend on, besides what the executor tells.
 * @param {string} [userAgent]
 * @returns {Environment}
 */
export function environmentOf(userAgent = navigator.userAgent) {
  const version = chromiumVersion(userAgent);
  return { ...(version ? { chromium: version } : {}), user_agent: userAgent };
}

/** Names of software renderers. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/**
 * Why times are not shown: WebGL or WebGPU used a software renderer, not a graphics card. Null otherwise.
 * @param {Environment} environment
 */
export function untimed({ renderer = '' }) {
  const found = SOFTWARE.exec(renderer)?.[0];
  if (!found) return null;
  const name = found.toLowerCase() === 'swiftshader' ? 'SwiftShader' : found;
  return `no times: a software renderer was used (${name})`;
}

/**
 * Notes on a row's arithmetic: half floats because the browser does not render float32.
 * @param {Environment} environment
 * @returns {string[]}
 */
export function gpuNotes({ webgl_render_float32: float32 }) {
  return float32 === 'no'
    ? ["this browser's WebGL does not support float32, so tensors are stored in half floats"] : [];
}
