import assert from 'node:assert/strict';
import { test } from 'node:test';

import { environmentOf, gpuNotes, hostOf, untimed } from './place.mjs';

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.85 Safari/537.36';
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

test('a runtime has the name of Python only in the browser of Python', () => {
  assert.deepEqual([hostOf(CHROME), hostOf(FIREFOX)], ['chromium', 'browser']);
  assert.deepEqual(environmentOf(CHROME), { chromium: '131.0.6778.85', user_agent: CHROME });
  assert.deepEqual(environmentOf(FIREFOX), { user_agent: FIREFOX });
});

test('times of software renderers say nothing about a graphics card', () => {
  assert.equal(untimed({ renderer: 'ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)' }), null);
  assert.equal(untimed({}), null);
  assert.equal(untimed({ renderer: 'google swiftshader' }), 'no times: a software renderer was used (SwiftShader)');
});

test('half floats are noted', () => {
  assert.deepEqual(gpuNotes({ webgl_render_float32: 'no' }), [
    "this browser's WebGL does not support float32, so tensors are stored in half floats",
  ]);
  assert.deepEqual(gpuNotes({ webgl_render_float32: 'yes' }), []);
});
