import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

// What `host.mjs` reads of the page.
Object.assign(globalThis, {
  document: { documentElement: { dataset: { host: 'phone', bundle: '../../' } } },
  location: { href: 'http://127.0.0.1:9/token/run/1-1/' },
});
const { ask, lostConnection } = await import('./connection.mjs');
const { BUNDLE, HOST } = await import('./host.mjs');

const { fetch } = globalThis;
afterEach(() => {
  globalThis.fetch = fetch;
});

/** @type {(...answers: (Response | Error)[]) => string[]} */
function answering(...answers) {
  /** @type {string[]} */
  const asked = [];
  globalThis.fetch = async (address) => {
    asked.push(String(address));
    const answer = /** @type {Response | Error} */ (answers.shift());
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return asked;
}

test('a frame knows its page', () => {
  assert.deepEqual([HOST, BUNDLE], ['phone', 'http://127.0.0.1:9/token/']);
});

test('a request without an answer is made again', async () => {
  const asked = answering(new TypeError('fetch failed'), new Response('', { status: 429 }), new Response('here'));
  assert.equal(await (await ask('job')).text(), 'here');
  assert.deepEqual(asked, ['job', 'job', 'job']);
});

test('a body that breaks off is asked for again', async () => {
  const broken = new ReadableStream({ pull: (stream) => stream.error(new TypeError('terminated')) });
  const asked = answering(new Response(broken), new Response('whole'));
  assert.equal(await (await ask('artifact')).text(), 'whole');
  assert.equal(asked.length, 2);
});

for (const status of [204, 206, 404, 409, 416]) {
  test(`the status ${status} is an answer`, async () => {
    const asked = answering(new Response(status === 204 ? null : 'told', { status }));
    assert.equal((await ask('message', { method: 'POST' })).status, status);
    assert.equal(asked.length, 1);
  });
}

test('an error that is no lost connection is thrown', async () => {
  answering(new RangeError('wrong'));
  await assert.rejects(ask('job'), /wrong/);
});

test('failures of files that libraries load are told from others', () => {
  assert.ok(lostConnection('the tfjs library could not run this variant: Failed to fetch dynamically imported module'));
  assert.ok(lostConnection('TypeError: Load failed'));
  assert.ok(!lostConnection("the backend lacks the op 'Foo'"));
});
