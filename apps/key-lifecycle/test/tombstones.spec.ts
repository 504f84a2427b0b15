import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TombstonePage, type Trust, tombstonesType } from '@claviger/contracts';
import { encodeCheckpoint, encodeVerifierKey, parseVerifierKey, rawEd25519PublicKey, signNote } from '@claviger/ledger';
import { signRecord } from '@claviger/messaging';
import { type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { compromiseKey, destroyKey, scheduleDeletion, suspendKey } from '../src/key';
import { fateOf, readEvidence } from '../src/tombstones';
import { newKey, now, nowMs, signer } from './made-keys';

const control = signer();
const ledger = generateKeyPairSync('ed25519');
const origin = 'lost.example/ledger';
const vkey = encodeVerifierKey(origin, rawEd25519PublicKey(ledger.publicKey.export({ format: 'der', type: 'spki' })));
const trust: Trust = {
  ...{ format: 'claviger.trust/1', certifiers: {}, ledger: { origin, vkey } },
  control: {
    'control-1': (control.trusted.get('control-1') as { export(o: object): Buffer })
      .export({ format: 'der', type: 'spki' })
      .toString('base64url'),
  },
};
const checkpoint = (size: number, name = origin) => {
  const { keyHash } = parseVerifierKey(vkey);
  const text = encodeCheckpoint({ origin: name, size, root: Buffer.alloc(32) });
  return signNote(text, [{ name: origin, keyHash, sign: (bytes) => sign(null, bytes, ledger.privateKey) }]);
};
const [a, b, c] = ['A', 'B', 'C'].map((letter) => `k_${letter.repeat(22)}`) as [string, string, string];
const page = (more: Partial<TombstonePage> = {}): TombstonePage => ({ site: origin, at: now, ledgerSize: 100, tombstones: [], ...more });
const pages = [
  page({ to: b, tombstones: [{ keyId: a, is: 'destroyed' }] }),
  page({ after: b, tombstones: [{ keyId: c, is: 'suspended' }] }),
];
let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('tombstones');
});
afterAll(() => folder.remove());

const evidence = async (list: TombstonePage[], note?: string, by = control) => {
  const file = join(folder.path, 'list');
  writeFileSync(file, list.map((one) => `${signRecord(tombstonesType, one, by)}\n`).join(''));
  return readEvidence({ checkpoint: note ?? (await checkpoint(100)), file }, trust, 60);
};

test('a whole list that is no older than the checkpoint, and a checkpoint that is newer than the backup, say what became of keys', async () => {
  expect([...(await evidence(pages))]).toEqual([
    [a, 'destroyed'],
    [c, 'suspended'],
  ]);
});

test('anything less proves nothing', async () => {
  const code = { code: 'ERR_BACKUP_REFUSED' };
  await expect(evidence(pages, await checkpoint(60))).rejects.toThrow('not newer than the backup');
  await expect(evidence(pages, await checkpoint(101))).rejects.toThrow('before the checkpoint');
  await expect(evidence(pages, await checkpoint(100, 'other.example/ledger'))).rejects.toMatchObject(code);
  await expect(evidence(pages, 'no note')).rejects.toMatchObject(code);
  await expect(evidence(pages.slice(0, 1))).rejects.toThrow('not whole');
  await expect(evidence(pages.slice(1))).rejects.toThrow('missing');
  await expect(evidence([...pages, pages[1] as TombstonePage])).rejects.toThrow('missing or stands elsewhere');
  await expect(evidence([])).rejects.toThrow('not whole');
  await expect(evidence([page({ site: 'other.example/ledger' })])).rejects.toThrow('other.example');
  await expect(evidence(pages, undefined, signer())).rejects.toThrow('not signed by the site');
});

test('destroyed, compromised and suspended keys are in the list; usable ones are not', () => {
  const order = { by: 'kim', reason: 'r' };
  const destroyed = destroyKey(scheduleDeletion(newKey(), 0, order, nowMs), nowMs);
  const fates = [newKey(), suspendKey(newKey(), false, 'r', now), compromiseKey(newKey(), undefined, 'r', now), destroyed].map(fateOf);
  expect(fates).toEqual([undefined, 'suspended', 'compromised', 'destroyed']);
});
