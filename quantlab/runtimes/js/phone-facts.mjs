/** What this browser says of itself and of the phone, for the table and for this page. */

/**
 * See `Device` in `quantlab/runtimes/phone/device.py`.
 * @typedef {object} Facts
 * @property {string} user_agent
 * @property {string} model empty where the browser does not tell
 * @property {string} system
 * @property {string} renderer the graphics processor; empty without WebGL 2
 * @property {boolean} renders_float32
 * @property {number} max_texture_size
 * @property {string} webgpu the adapter; empty if there is none
 * @property {boolean} secure
 * @property {number} cores
 * @property {number} memory_gb
 */

/**
 * @typedef {object} Hints what only Chromium has
 * @property {{ getHighEntropyValues: (names: string[]) => Promise<Record<string, string>> }} [userAgentData]
 * @property {number} [deviceMemory]
 * @property {{ requestAdapter: () => Promise<{ info?: Record<string, string> } | null> }} [gpu]
 */

/** @returns {Promise<Facts>} */
export async function readFacts() {
  const hints = /** @type {Hints} */ (/** @type {unknown} */ (navigator));
  const { model = '', platform = '', platformVersion = '' } = await told(hints);
  return {
    user_agent: navigator.userAgent,
    model,
    system: [platform, platformVersion].filter(Boolean).join(' '),
    ...graphics(),
    webgpu: await adapterName(hints),
    secure: isSecureContext,
    cores: navigator.hardwareConcurrency ?? 0,
    memory_gb: hints.deviceMemory ?? 0,
  };
}

/** @type {(hints: Hints) => Promise<Record<string, string>>} */
async function told(hints) {
  try {
    return await hints.userAgentData?.getHighEntropyValues(['model', 'platformVersion']) ?? {};
  } catch {
    return {};
  }
}

function graphics() {
  const gl = document.createElement('canvas').getContext('webgl2');
  if (!gl) return { renderer: '', renders_float32: false, max_texture_size: 0 };
  const named = gl.getExtension('WEBGL_debug_renderer_info');
  const facts = {
    renderer: String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER)),
    renders_float32: rendersFloat32(gl),
    max_texture_size: Number(gl.getParameter(gl.MAX_TEXTURE_SIZE)),
  };
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return facts;
}

/**
 * Whether a texture of four float32 can be rendered to, as tfjs asks it.
 * @param {WebGL2RenderingContext} gl
 */
function rendersFloat32(gl) {
  if (!gl.getExtension('EXT_color_buffer_float')) return false;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, 1, 1, 0, gl.RGBA, gl.FLOAT, null);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  return gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
}

/** @type {(hints: Hints) => Promise<string>} */
async function adapterName({ gpu }) {
  try {
    const adapter = await gpu?.requestAdapter();
    if (!adapter) return '';
    const { vendor, architecture, device, description } = adapter.info ?? {};
    return [vendor, architecture, device, description].filter(Boolean).join(' ') || 'not told';
  } catch {
    return '';
  }
}

/**
 * The facts as a person reads them.
 * @param {Facts} facts
 * @param {{ device: string, browser: string }} names as the server reads them from the facts
 * @returns {[string, string][]}
 */
export function factRows(facts, { device, browser }) {
  const stored = facts.renders_float32 ? 'float32' : 'half floats: this phone cannot render to float32';
  const largest = facts.max_texture_size.toLocaleString('en');
  return [
    ['Device', device],
    ['Browser', browser],
    ['Graphics', facts.renderer || 'no WebGL 2'],
    .../** @type {[string, string][]} */ (facts.renderer
      ? [['Stored as', stored], ['Largest texture', `${largest} × ${largest}`]] : []),
    ['WebGPU', facts.webgpu || (facts.secure ? 'no adapter' : 'needs https or a USB cable')],
    ['Processor', facts.cores ? `${facts.cores} cores` : 'not told'],
  ];
}
