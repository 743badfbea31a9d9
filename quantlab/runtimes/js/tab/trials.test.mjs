import assert from 'node:assert/strict';
import test from 'node:test';

import { headline } from './trials.mjs';

/** A trial; without a loss it failed. */
const trial = (setting, runtime, gzip, loss) => ({
  setting, runtime, gzip, row: loss === undefined ? null : {
    scores: {
      n: 100, top1_loss_points: null, mae_loss: loss, mae_loss_interval: null, agreement: null,
      agreement_interval: null, sqnr_db: 20,
    },
    changed: [],
  },
});

const said = (trials) => headline({ artifact: { name: 'model' }, gzip: 1000, trials });

for (const { name, trials, claim, evidence } of [
  {
    name: 'the smallest',
    trials: [trial('a-uint16', 'wasm', 500, 0.5), trial('a-uint8', 'wasm', 250, 1), trial('a-uint8', 'webgl', 250, 2)],
    claim: /^The smallest setting is a-uint8: .* 25\s% of what was dropped\.$/,
    evidence: /^Its loss of MAE is .*2\.0000 in webgl, n = 100\.$/,
  },
  {
    name: 'one that runs everywhere comes before a smaller one that fails',
    trials: [
      trial('a-uint16', 'wasm', 500, 0.5), trial('a-uint16', 'webgl', 500, 0.5), trial('a-uint8', 'wasm', 250, 1),
      trial('a-uint8', 'webgl', 250),
    ],
    claim: /^The smallest setting is a-uint16: .* 50\s% of what was dropped\.$/,
    evidence: /0\.5000 in wasm/,
  },
  {
    name: 'a runtime in which all fail is told',
    trials: [
      trial('a-uint16', 'wasm', 500, 0.5), trial('a-uint16', 'webgl', 500), trial('a-uint8', 'wasm', 250, 1),
      trial('a-uint8', 'webgl', 250),
    ],
    claim: /^The smallest setting is a-uint8: .*; it failed in webgl\.$/,
    evidence: /1\.0000 in wasm/,
  },
  {
    name: 'a loss that is not known is the largest',
    trials: [trial('a-uint8', 'wasm', 250, 1), trial('a-uint8', 'webgl', 250, NaN)],
    claim: /^The smallest setting is a-uint8/,
    evidence: / in webgl, n = 100/,
  },
]) {
  test(`headline: ${name}`, () => {
    const told = said(trials);
    assert.match(told.claim, claim);
    assert.match(told.evidence, evidence);
  });
}
