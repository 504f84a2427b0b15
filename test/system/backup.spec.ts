import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupDescription } from '@claviger/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CliCallers } from './cli-caller';
import { type System, startSystem } from './system';

let system: System;
let callers: CliCallers;
const custodians = ['carol', 'dave', 'erin'];
beforeAll(async () => {
  system = await startSystem('backup-spec', { recovery: custodians });
  callers = await CliCallers.start(system);
}, 120_000);
afterAll(async () => {
  await callers?.stop();
  await system?.stop();
});

test('a backup holds every key, each is proven in the token, and nobody opens it but there', async () => {
  const kim = await system.as('kim');
  const algorithms = ['AES_256', 'AES_128', 'HMAC_SHA_256', 'EC_P256', 'EC_SECP256K1'] as const;
  for (const [i, algorithm] of algorithms.entries())
    await kim.keys.create({ name: `backup/k${i}`, algorithm, consumers: ['payments-api'] });
  await kim.keys.create({ name: 'backup/wrap', algorithm: 'AES_256', usage: 'wrap' });
  await kim.keys.create({ name: 'backup/agree', algorithm: 'EC_P384', usage: 'agree' });
  const made = await callers.json<BackupDescription>('olga', 'backup', 'create', '--reason', 'a test');
  expect(made).toMatchObject({
    state: 'complete',
    by: 'olga',
    counts: { keys: 7, versions: 7, proven: 7, keks: 1 },
    verified: { ok: true, keys: 7, proven: 7, failures: 0 },
  });
});
