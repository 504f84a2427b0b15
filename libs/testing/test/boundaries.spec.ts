import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let dir: TemporaryFolder;
let number = 0;
beforeAll(async () => {
  dir = await temporaryFolder('boundaries-spec');
});
afterAll(() => dir.remove());

/** What tools/boundaries.mjs says of a tree of these files. */
async function check(files: Record<string, string>) {
  number += 1;
  const root = join(dir.path, `${number}`);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  const script = join(workspaceRoot(), 'tools/boundaries.mjs');
  const { code, stderr } = await runCommand(process.execPath, [script, '--root', root], { allowFailure: true });
  return { code, lines: stderr.trim().split('\n').filter(Boolean) };
}

test('imports that the table allows pass', async () => {
  const allowed = {
    'apps/audit/src/main.ts':
      "import { Module } from '@nestjs/common';\nimport { streams } from '@claviger/contracts';\nimport { fold } from './fold';\n",
    'apps/audit/src/fold.ts': "import type { Batch } from '@claviger/messaging';\nimport { streams } from '@claviger/contracts';\n",
    'apps/audit/test/fold.spec.ts': "import { until } from '@claviger/testing';\nimport { fold } from '../src/fold';\n",
    'libs/ledger/src/tree.ts': "// import { x } from 'mongodb'\nimport { createHash } from 'node:crypto';\n",
  };
  expect(await check(allowed)).toEqual({ code: 0, lines: [] });
});

test.each([
  ['an app imports an app', 'apps/audit/src/a.ts', "import { decide } from '../../policy/src/decide';", /nothing imports an app/],
  [
    'a test imports another app',
    'apps/audit/test/a.spec.ts',
    "import { decide } from '../../policy/src/decide';",
    /nothing imports an app/,
  ],
  ['a library imports an app', 'libs/client/src/a.ts', "export * from '../../../apps/cli/src/main';", /nothing imports an app/],
  [
    'a library imports against the table',
    'libs/client/src/a.ts',
    "import { Token } from '@claviger/hsm';",
    /@claviger\/hsm: not for client/,
  ],
  ['a library takes a package that is not its own', 'libs/ledger/src/a.ts', "import { z } from 'zod';", /zod: not for ledger/],
  [
    'an app uses a library that is not for it',
    'apps/audit/src/a.ts',
    "import { x } from '@claviger/client';",
    /@claviger\/client: not for audit/,
  ],
  [
    'production code imports the test library',
    'apps/audit/src/a.ts',
    "import { until } from '@claviger/testing';",
    /@claviger\/testing: not for audit/,
  ],
  ['a library is entered by a side door', 'apps/audit/src/a.ts', "import { x } from '@claviger/ledger/src/tree';", /one door/],
  ['a library is entered through its folder', 'apps/audit/src/a.ts', "import { x } from '../../../libs/ledger/src/tree';", /one door/],
  ['a pure file imports NATS', 'libs/authz/src/a.ts', "import { connect } from '@nats-io/transport-node';", /@nats-io\/transport-node/],
  [
    'a pure file imports Nest',
    'apps/policy/src/decide.ts',
    "import { Injectable } from '@nestjs/common';",
    /pure file and imports @nestjs\/common/,
  ],
  [
    'a pure file imports MongoDB, if only a type',
    'apps/audit/src/fold.ts',
    "import type { Filter } from 'mongodb';",
    /pure file and imports mongodb/,
  ],
  [
    'a pure file imports PKCS#11 at run time',
    'apps/policy/src/decide.ts',
    "const p = await import('pkcs11js');",
    /pure file and imports pkcs11js/,
  ],
  [
    'a pure file imports a library that does I/O',
    'apps/policy/src/decide.ts',
    "import { Token } from '@claviger/hsm';",
    /pure file and imports @claviger\/hsm/,
  ],
  [
    'an import of several lines',
    'apps/policy/src/decide.ts',
    "import {\n  Injectable,\n  Module,\n} from '@nestjs/common';",
    /@nestjs\/common/,
  ],
  ['an unknown library', 'libs/utils/src/a.ts', "import { x } from 'node:fs';", /no library/],
])('%s: refused, with the file', async (_, file, text, expected) => {
  const { code, lines } = await check({ [file]: text, 'apps/policy/src/decide.ts': file === 'apps/policy/src/decide.ts' ? text : '' });
  expect(code).toBe(1);
  expect(lines.join('\n')).toMatch(expected);
  expect(lines[0]).toContain(file);
});

test('a pure file that reaches MongoDB through a neighbour is refused, with the way', async () => {
  const { code, lines } = await check({
    'apps/policy/src/decide.ts': "import { load } from './bundle';",
    'apps/policy/src/bundle.ts': "import { store } from './bundle-store';",
    'apps/policy/src/bundle-store.ts': "import { Collection } from 'mongodb';",
  });
  expect(code).toBe(1);
  expect(lines).toEqual([
    'boundary: apps/policy/src/decide.ts is a pure file and imports apps/policy/src/bundle.ts → apps/policy/src/bundle-store.ts → mongodb',
  ]);
});
