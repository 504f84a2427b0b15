import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BackupHeader, type BackupPart, chunkBytes } from '@claviger/contracts';
import { temporaryFolder } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { BackupDamaged, BackupFile, BackupWriter, entriesOf, linesOf, readBackup, verifyBackup } from '../src/index';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = { kid: 'control-1', sign: (input: Buffer) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
const trusted = new Map([['control-1', publicKey]]);
const key = randomBytes(32);
const nonce = (n: number) => Buffer.concat([Buffer.alloc(8), Buffer.from(Uint32Array.of(n).buffer)]);
const seal = async (n: number, plaintext: Buffer) => {
  expect(plaintext.length).toBeLessThanOrEqual(chunkBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce(n));
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString('base64url');
};
const open = async (n: number, sealed: string) => {
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(n));
  decipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]);
};
const at = '2026-03-01T12:00:00.000Z';
const headerOf = (letter: string): BackupHeader => ({
  format: 'claviger.backup/1',
  backupId: `b_20260301120000000_${letter.repeat(10)}`,
  epoch: `e_20260301120000000_${'E'.repeat(10)}`,
  group: 'g1',
  site: 'site.example/ledger',
  createdAt: at,
  dataKey: { mechanism: 0x210a, family: 'softhsm', wrapped: 'AAAA' },
  trust: { format: 'claviger.trust/1', control: {}, certifiers: {}, ledger: { origin: 'site.example/ledger', vkey: '' } },
});
const counts = { keys: 0, versions: 0, keks: 0, proven: 0, destroyed: 0, inToken: 0 };
const about = { finishedAt: at, snapshot: { from: at, to: at }, counts, keysInToken: [], tampered: [], uncovered: false };

async function written(entries: [BackupPart, unknown][], letter = 'A', write?: (line: string) => Promise<void>) {
  const lines: string[] = [];
  const writer = new BackupWriter({ header: headerOf(letter), signer, seal, write: write ?? (async (line) => void lines.push(line)) });
  await writer.begin();
  for (const [part, entry] of entries) await writer.add(part, entry);
  return { lines, digest: await writer.finish(about) };
}
async function* from(lines: string[]) {
  yield* lines;
}
const read = async (lines: string[], parts: BackupPart[]) => {
  const found: unknown[] = [];
  for await (const entry of entriesOf(readBackup(from(lines), trusted), parts, open, z.unknown())) found.push(entry);
  return found;
};
const large: [BackupPart, unknown][] = Array.from({ length: 30 }, (_, i) => ['keys', { i, text: 'x'.repeat(i * 1_000) }]);

test('what was written is read, in order and part by part, whatever the sizes of the entries', async () => {
  const part = fc.constantFrom<BackupPart>('keks', 'keys');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(part, fc.record({ text: fc.string(), fill: fc.nat(90_000) })), { maxLength: 12 }), async (given) => {
      const entries = given.map(([p, { text, fill }], i): [BackupPart, unknown] => [p, { i, text, fill: 'ß'.repeat(fill) }]);
      const { lines, digest } = await written(entries);
      for (const wanted of ['keks', 'keys'] as const)
        expect(await read(lines, [wanted])).toEqual(entries.filter(([p]) => p === wanted).map(([, entry]) => entry));
      expect((await verifyBackup(from(lines), trusted)).digest).toBe(digest);
    }),
    { numRuns: 40 },
  );
});

test('a line that was changed, left out, put elsewhere, or taken from another backup of the same site ends the reading at that chunk', async () => {
  const { lines } = await written(large);
  const others = (await written(large, 'B')).lines;
  expect(lines.length).toBeGreaterThan(6);
  const damaged = (change: (lines: string[]) => string[]) => verifyBackup(from(change([...lines])), trusted);
  await expect(damaged((l) => l.with(3, `${l[3]?.slice(0, -4)}AAAA`))).rejects.toMatchObject({ name: 'BackupDamaged', chunk: 3 });
  await expect(damaged((l) => l.toSpliced(4, 1))).rejects.toMatchObject({ chunk: 4 });
  await expect(damaged((l) => l.with(2, l[5] as string).with(5, l[2] as string))).rejects.toMatchObject({ chunk: 2 });
  await expect(damaged((l) => l.with(3, others[3] as string))).rejects.toMatchObject({ chunk: 3 });
  await expect(damaged((l) => l.slice(0, 5))).rejects.toMatchObject({ chunk: 5 });
  await expect(damaged((l) => [...l.slice(0, 5), l.at(-1) as string])).rejects.toMatchObject({ chunk: 5 });
  await expect(damaged((l) => [...l, l.at(-1) as string])).rejects.toThrow('more after the manifest');
  await expect(damaged((l) => l.slice(1))).rejects.toMatchObject({ chunk: 0 });
  await expect(damaged(() => [])).rejects.toMatchObject({ chunk: 0 });
  await expect(damaged((l) => l.with(1, 'not a line'))).rejects.toMatchObject({ chunk: 1 });
  await expect(verifyBackup(from(lines), new Map())).rejects.toBeInstanceOf(BackupDamaged);
});

test('any one change of a character is found', async () => {
  const { lines } = await written(large.slice(0, 8));
  await fc.assert(
    fc.asyncProperty(fc.nat(lines.length - 1), fc.nat(), fc.constantFrom('A', 'B', '.', '-'), async (which, where, character) => {
      const line = lines[which] as string;
      const at = where % line.length;
      const changed = `${line.slice(0, at)}${character}${line.slice(at + 1)}`;
      const isSame =
        changed === line ||
        Buffer.from(changed.split('.').at(-1) ?? '', 'base64url').equals(Buffer.from(line.split('.').at(-1) ?? '', 'base64url'));
      fc.pre(!(changed === line));
      // The last character of a signature has bits that nobody reads: then the line after it says so, as it names all of the text.
      if (isSame && which === lines.length - 1) return;
      await expect(verifyBackup(from(lines.with(which, changed)), trusted)).rejects.toBeInstanceOf(BackupDamaged);
    }),
    { numRuns: 100 },
  );
});

test('a file has its name only when it is whole, and is read line by line', async () => {
  const folder = await temporaryFolder('backup-file');
  const file = await BackupFile.create(folder.path, 'one.clb');
  const { digest } = await written(large, 'A', (line) => file.write(line));
  expect(readdirSync(folder.path)).toEqual(['one.clb.partial']);
  const bytes = await file.finish();
  expect(readdirSync(folder.path)).toEqual(['one.clb']);
  const path = join(folder.path, 'one.clb');
  expect(readFileSync(path)).toHaveLength(bytes);
  expect((await verifyBackup(linesOf(path), trusted)).digest).toBe(digest);
  writeFileSync(path, 'x'.repeat(1_000_000));
  await expect(verifyBackup(linesOf(path), trusted)).rejects.toThrow('too long');
  const given = await BackupFile.create(folder.path, 'two.clb');
  await given.write('begun');
  await given.abandon();
  expect(readdirSync(folder.path)).toEqual(['one.clb']);
  await folder.remove();
});
