import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trust } from '@claviger/contracts';
import type { LogState } from '@claviger/ledger';
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
import { temporaryFolder } from '@claviger/testing';
import { describe, expect, test } from '@jest/globals';
import { recall, remember } from '../src/checkpoint-memory';
import { type LedgerSource, type Remembered, verifyLedger } from '../src/ledger-verification';
import { keepState, recallState } from '../src/verified-state';

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

describe('resumed from what an earlier run verified', () => {
  const long = honestLines(12);
  const cut = long.findIndex((line) => line.includes('"seq":5')) + 1;
  /** As an earlier run left it, when the ledger held the first `cut` leaves. */
  const earlier = async () => {
    const { state } = await verify(await ledger(long.slice(0, cut)));
    return { remembered: await rememberedOf(long.slice(0, cut)), resume: state as LogState };
  };
  const asking = async (given: readonly string[], changes: Partial<LedgerSource> = {}) => {
    const asked: number[] = [];
    const source = await ledger(given, changes);
    const entries = (from: number) => {
      asked.push(from);
      return source.entries(from);
    };
    return { asked, source: { ...source, entries } };
  };
  const resumed = (source: LedgerSource, given: { remembered: Remembered; resume: LogState }) =>
    verifyLedger(source, { trust, quick: false, progress: () => undefined, ...given });

  test('only the leaves since then are read, and the report is that of the whole ledger', async () => {
    const { asked, source } = await asking(long);
    const whole = await verify(await ledger(long));
    expect(await resumed(source, await earlier())).toEqual({ ...whole, from: cut, extends: cut });
    expect(Math.min(...asked)).toBe(cut);
    const none = await asking(long.slice(0, cut));
    expect(await resumed(none.source, await earlier())).toMatchObject({ from: cut, size: cut, problems: [] });
    expect(none.asked).toEqual([]);
  });

  test('a state that is not that of the remembered checkpoint is put aside: everything is read, and it says why', async () => {
    const { remembered, resume } = await earlier();
    const shorter = (await verify(await ledger(long.slice(0, 5)))).state as LogState;
    for (const doubtful of [shorter, { ...resume, chains: [['x', 0, '', '']] } as unknown as LogState, { ...resume, size: 2 }]) {
      const { source, asked } = await asking(long);
      const told = await resumed(source, { remembered, resume: doubtful });
      expect(told).toMatchObject({ from: 0, problems: [], doubts: [expect.stringMatching(/kept state/)] });
      expect(asked[0]).toBe(0);
    }
  });

  test('a ledger that does not extend the remembered checkpoint is read from its first leaf', async () => {
    const { asked, source } = await asking(honestLines(14));
    const told = await resumed(source, await earlier());
    expect(told.problems.map(({ problem }) => problem)).toEqual([expect.stringMatching(/does not extend/)]);
    expect(told.state).toBeUndefined();
    expect(asked[0]).toBe(0);
  });

  test('what is not in order after the remembered leaves is looked at from the first leaf, and found again', async () => {
    const second = long.findIndex((line) => line.includes('"seq":7')) + 1;
    const third = long.findIndex((line) => line.includes('"seq":8')) + 1;
    const gapped = [...long.slice(0, second), ...long.slice(third)];
    const { asked, source } = await asking(gapped);
    const told = await resumed(source, await earlier());
    expect(told).toMatchObject({ from: 0, doubts: [expect.stringMatching(/not in order/)], problems: [{ problem: 'gap' }] });
    expect(told.state).toBeUndefined();
    expect(asked[0]).toBe(cut);
    expect(asked).toContain(0);
  });

  test('the kept state is the one that the checkpoint names, for the keys that it was verified with', async () => {
    const folder = await temporaryFolder('cli-state');
    const file = join(folder.path, 'state', 'checkpoint.json');
    const { remembered, resume } = await earlier();
    const state = keepState(file, resume, trust);
    remember(file, { ...remembered, state });
    expect(recall(file, origin)).toEqual({ ...remembered, state });
    expect(recallState(file, state, trust)).toEqual({ state: resume });
    expect(recallState(file, state, { ...trust, certifiers: {} })).toEqual({ doubt: expect.stringMatching(/other keys/) });
    const kept = readFileSync(`${file}.state`, 'utf8');
    appendFileSync(`${file}.state`, ' ');
    expect(recallState(file, state, trust)).toEqual({ doubt: expect.stringMatching(/not what was kept/) });
    writeFileSync(`${file}.state`, kept.replace('"batches":6', '"batches":7'));
    expect(recallState(file, state, trust)).toEqual({ doubt: expect.stringMatching(/not what was kept/) });
    rmSync(`${file}.state`);
    expect(recallState(file, state, trust)).toEqual({ doubt: expect.stringMatching(/ENOENT/) });
    await folder.remove();
  });
});
