import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Trust } from '@claviger/contracts';
import {
  ed25519KeyHash,
  encodeCheckpoint,
  encodeEpochRecord,
  encodeVerifierKey,
  epochCertificateText,
  finishBatch,
  genesisPrev,
  leafHash,
  nodeHash,
  parseBatch,
  rawEd25519PublicKey,
  sealBatch,
  signNote,
} from '@claviger/ledger';
import { expect, test } from '@jest/globals';
import { type LedgerSource, type Remembered, verifyLedger } from '../src/ledger-verification';

const origin = 'test/ledger';
const checkpointKeys = generateKeyPairSync('ed25519');
const certifierKeys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' });
const raw = rawEd25519PublicKey(spki(checkpointKeys.publicKey));
const vkey = encodeVerifierKey(origin, raw);
const trust: Trust = {
  format: 'claviger.trust/1',
  control: {},
  certifiers: { 'customer-certifier': spki(certifierKeys.publicKey).toString('base64url') },
  ledger: { origin, vkey },
};
const es256 = (bytes: Buffer, key: KeyObject) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });

/** A real worker's chain: an epoch record, then `batches` batches of three records. */
function honestLines(batches: number): string[] {
  const batchKeys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const chain = { service: 'crypto-worker', worker: 'w-1', epoch: 'e1' };
  const claims = { ...chain, publicKey: spki(batchKeys.publicKey) };
  const epoch = encodeEpochRecord({
    ...claims,
    time: '2026-01-01T00:00:00.000Z',
    certifier: 'customer-certifier',
    certificate: es256(epochCertificateText(claims), certifierKeys.privateKey),
  });
  let prev = genesisPrev();
  return Array.from({ length: batches }, (_, seq) => {
    const records = [...(seq === 0 ? [epoch] : []), ...[1, 2, 3].map((n) => `{"kind":"operation","n":${seq * 3 + n}}`)];
    const sealed = sealBatch({ ...chain, seq, prev }, records);
    prev = sealed.batchHash;
    return parseBatch(finishBatch(sealed, es256(Buffer.from(sealed.sealText), batchKeys.privateKey))).lines.map(String);
  }).flat();
}

/** RFC 6962 §2.1, written down as it stands there: an implementation of its own. */
function rootOf(lines: readonly string[]): Buffer {
  if (lines.length === 0) return createHash('sha256').digest();
  if (lines.length === 1) return leafHash(Buffer.from(lines[0]!));
  const k = 2 ** Math.floor(Math.log2(lines.length - 1));
  return nodeHash(rootOf(lines.slice(0, k)), rootOf(lines.slice(k)));
}

/** RFC 6962 §2.1.2. */
function consistencyOf(m: number, lines: readonly string[], whole = true): Buffer[] {
  if (m === lines.length) return whole ? [] : [rootOf(lines)];
  const k = 2 ** Math.floor(Math.log2(lines.length - 1));
  return m <= k
    ? [...consistencyOf(m, lines.slice(0, k), whole), rootOf(lines.slice(k))]
    : [...consistencyOf(m - k, lines.slice(k), false), rootOf(lines.slice(0, k))];
}

const noteOf = (lines: readonly string[], key = checkpointKeys.privateKey) =>
  signNote(encodeCheckpoint({ origin, size: lines.length, root: rootOf(lines) }), [
    { name: origin, keyHash: ed25519KeyHash(origin, raw), sign: (text) => sign(null, text, key) },
  ]);

async function ledger(lines: readonly string[], changes: Partial<LedgerSource> = {}): Promise<LedgerSource> {
  const note = await noteOf(lines);
  return {
    checkpoint: async () => note,
    entries: async (from) => lines.slice(from, from + 5),
    consistency: async (from, to) => consistencyOf(from, lines.slice(0, to)).map((hash) => hash.toString('base64url')),
    ...changes,
  };
}
const verify = (source: LedgerSource, remembered?: Remembered, quick = false) =>
  verifyLedger(source, { trust, remembered, quick, progress: () => undefined });
const rememberedOf = async (lines: readonly string[]): Promise<Remembered> => ({
  origin,
  size: lines.length,
  root: rootOf(lines).toString('base64'),
  note: await noteOf(lines),
});
const problemsOf = async (...args: Parameters<typeof verify>) => (await verify(...args)).problems.map(({ problem }) => problem).join('; ');

const lines = honestLines(6);

test('an honest ledger verifies, from its first leaf and from a remembered checkpoint', async () => {
  const progress: number[] = [];
  const whole = await verifyLedger(await ledger(lines), {
    trust,
    remembered: undefined,
    quick: false,
    progress: (done) => progress.push(done),
  });
  expect(whole).toMatchObject({ size: lines.length, batches: 6, chains: 1, problems: [], findings: [] });
  expect(progress.at(-1)).toBe(lines.length);
  for (let n = 1; n <= lines.length; n++)
    expect(await verify(await ledger(lines), await rememberedOf(lines.slice(0, n)), true)).toMatchObject({ extends: n, problems: [] });
});

test('a changed leaf is found, also when the ledger signs a checkpoint over it', async () => {
  for (const at of [0, 3, lines.length - 1]) {
    const changed = lines.with(at, lines[at]!.replace(/"(n|prev|time)":"?./, '$&9'));
    expect(await problemsOf(await ledger(lines, { entries: async (from) => changed.slice(from, from + 5) }))).toMatch(
      /do not give the root/,
    );
    expect(await problemsOf(await ledger(changed))).not.toBe('');
  }
});

test('a whole batch left out is a gap in its chain', async () => {
  const first = lines.findIndex((line) => line.includes('"seq":0')) + 1;
  const second = lines.findIndex((line) => line.includes('"seq":1')) + 1;
  expect(await problemsOf(await ledger([...lines.slice(0, first), ...lines.slice(second)]))).toMatch(/gap/);
});

test('a ledger that is shorter than before, or another one of the same length, or not an extension, is told apart', async () => {
  const before = await rememberedOf(lines);
  expect(await problemsOf(await ledger(honestLines(5)), before)).toMatch(/was cut/);
  expect(await problemsOf(await ledger(honestLines(6)), before, true)).toMatch(/another root/);
  expect(await problemsOf(await ledger(honestLines(8)), before, true)).toMatch(/does not extend/);
});

test('a ledger that withholds leaves is told so, not waited for', async () => {
  expect(await problemsOf(await ledger(lines, { entries: async (from) => (from < 10 ? lines.slice(from, 10) : []) }))).toMatch(
    /withholds leaves/,
  );
});

test('a checkpoint of another key is refused, and nothing is downloaded for it', async () => {
  const foreign = await noteOf(lines, generateKeyPairSync('ed25519').privateKey);
  let asked = 0;
  const entries = async () => {
    asked++;
    return [];
  };
  const source = await ledger(lines, { checkpoint: async () => foreign, entries });
  expect(await problemsOf(source)).toMatch(/not signed by the ledger/);
  expect(asked).toBe(0);
});
