import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { licencesText, packagesOf } from './licences.mjs';

const APACHE_TEXT = '  Apache License\n  Version 2.0, January 2004\n';
const MIT_TEXT = 'Permission is hereby granted\n';

/** The text for one bundled package that consists of these files. */
function textFor(files, context) {
  const modules = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'quantlab-')), 'node_modules');
  context.after(() => fs.rmSync(path.dirname(modules), { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(modules, 'pack', name)), { recursive: true });
    fs.writeFileSync(path.join(modules, 'pack', name), content);
  }
  const text = licencesText(packagesOf([path.join(modules, 'pack', 'index.js')]), APACHE_TEXT, MIT_TEXT);
  return text.split(`\n\n${'='.repeat(80)}\n\n`)[1];
}

const manifest = (fields) => JSON.stringify({ name: 'pack', version: '1.2.3', ...fields });

for (const { name, files, section } of [
  {
    name: 'a licence file',
    files: {
      'package.json': manifest({ license: 'MIT', author: 'Ada' }),
      'index.js': '// Copyright 2020 B',
      LICENSE: 'MIT: do as you like\n',
    },
    section: 'pack 1.2.3\nlicence: MIT\nby: Ada\n\nMIT: do as you like',
  },
  {
    name: 'the Apache licence, whose text comes once',
    files: {
      'package.json': manifest({ license: 'Apache-2.0', repository: { url: 'repo' } }),
      'index.js': '',
      LICENSE: APACHE_TEXT.trim(),
    },
    section: 'pack 1.2.3\nlicence: Apache-2.0\nby: repo\nThe text of Apache-2.0 is below.',
  },
  {
    name: 'sources of another licence than that of the package',
    files: {
      'package.json': manifest({ license: 'MIT' }),
      'index.js': '/* Copyright 2011 B\n   Licensed under the Apache License */\nf();',
      LICENSE: 'MIT: do as you like',
    },
    section: 'pack 1.2.3\nlicence: MIT\n\nMIT: do as you like\n\nCopyright 2011 B\n'
      + 'Licensed under the Apache License\nThe text of Apache-2.0 is below.',
  },
  {
    name: 'Apache sources that name their authors',
    files: {
      'package.json': manifest({ license: 'Apache-2.0' }),
      'index.js': '/**\n * @license\n * Copyright 2018 A\n * Licensed under\n */\nf();\n'
        + '/* Copyright 2019 B */\n/* Copyright 2018 A */',
    },
    section: 'pack 1.2.3\nlicence: Apache-2.0\nCopyright 2018 A\nCopyright 2019 B\nThe text of Apache-2.0 is below.',
  },
  {
    name: 'sources that hold their licence',
    files: {
      'package.json': manifest({ license: 'MIT' }),
      'index.js': '// Copyright 2010 A\n//\n// Permission is granted.\n\nf();',
    },
    section: 'pack 1.2.3\nlicence: MIT\n\nCopyright 2010 A\n\nPermission is granted.',
  },
  {
    name: 'sources that name the MIT licence alone',
    files: { 'package.json': manifest({ license: 'MIT' }), 'index.js': '// Copyright 2010 A\n\nf();' },
    section: 'pack 1.2.3\nlicence: MIT\n\nCopyright 2010 A\n\nThe text of MIT is below.',
  },
]) {
  test(`a package with ${name}`, (context) => assert.equal(textFor(files, context), section));
}

for (const license of [undefined, 'UNLICENSED', 'SEE LICENSE IN LICENSE.txt']) {
  test(`a package that states ${license} is not bundled`, (context) => {
    const files = { 'package.json': manifest({ license }), 'index.js': '' };
    assert.throws(() => textFor(files, context), {
      message: "the package 'pack' 1.2.3 states no licence, so it must not be bundled; replace it",
    });
  });
}
