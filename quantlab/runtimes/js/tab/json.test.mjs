import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compareText, parseJson, readJson, sortedKeys, writeFloat, writeJson } from './json.mjs';

const SAME = [
  ['nothing', 'null'],
  ['words', '[true, false, null]'],
  ['integers beyond doubles', '[9007199254740993, -12345678901234567890123, 0]'],
  ['floats as Python writes them', '[1.0, 0.1, -0.0, 1e-05, 0.0001, 1e+16, 1234567890123456.0, 5e-324]'],
  ['the largest float', '1.7976931348623157e+308'],
  ['keys like integers in their order', '{"1": 1, "0": {"2": []}, "": {}}'],
  ['a key that is a prototype', '{"__proto__": {"polluted": true}, "constructor": null}'],
  ['escapes', '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u007f\\u00e9\\ud83d\\ude00\\ud800"'],
];

for (const [name, text] of SAME) {
  test(`written again as it was read: ${name}`, () => {
    assert.equal(writeJson(parseJson(text)), text);
  });
}

const OTHERWISE = [
  ['spaces', ' [1 ,\n2 ] ', '[1, 2]'],
  ['numbers', '[1E5, 1e22, 100000000000000000000.0, -0, 1.50, 0.00001]', '[100000.0, 1e+22, 1e+20, 0, 1.5, 1e-05]'],
  ['texts', '"é\\/\\u00E9"', '"\\u00e9/\\u00e9"'],
  ['the last of two values, in the place of the first', '{"a": 1, "b": 2, "a": 3}', '{"a": 3, "b": 2}'],
];

for (const [name, text, written] of OTHERWISE) {
  test(`written as Python does: ${name}`, () => {
    assert.equal(writeJson(parseJson(text)), written);
  });
}

const MALFORMED = [
  '', '[1', '[1,]', '{"a" 1}', '{a: 1}', '"\n"', '"\\x"', '"\\u12"', '01', '1.', '.5', 'NaN', 'tru', '[1] 2', '"',
];

for (const text of MALFORMED) {
  test(`no JSON: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseJson(text), SyntaxError);
    assert.throws(() => JSON.parse(text), SyntaxError);
  });
}

test('nothing is nested without end', () => {
  assert.throws(() => parseJson('['.repeat(100_000)), /it is nested more than 500 levels deep/);
});

test('an integer without end is refused, and not computed', () => {
  assert.throws(() => parseJson('9'.repeat(100_000)), /a number has more than 4300 digits/);
});

test('a file that is no text is one sentence', () => {
  assert.throws(() => readJson(Uint8Array.of(0x22, 0xff, 0x22), 'model.json'), {
    name: 'DropError', message: "'model.json' could not be read as JSON (it is not text in UTF-8); convert the "
      + "model again.",
  });
});

test('JSON has no infinity', () => {
  assert.throws(() => writeFloat(Infinity), RangeError);
});

test('keys are sorted by code points, at any depth', () => {
  const sorted = writeJson(sortedKeys(parseJson('{"b": [{"z": 1, "a": 2}], "😀": 1, "\uffff": 2, "B": 3}')));
  assert.equal(sorted, '{"B": 3, "b": [{"a": 2, "z": 1}], "\\uffff": 2, "\\ud83d\\ude00": 1}');
});

test('texts are compared like numbers of their characters', () => {
  assert.deepEqual(['b', 'ab', '', 'a', 'é'].sort(compareText), ['', 'a', 'ab', 'b', 'é']);
});
