import { ed25519Verifier, leafHash, openCheckpoint, verifyConsistency, verifyInclusion } from '@claviger/ledger';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LedgerTest, trust } from './ledger-under-test';
import { newWorker, record } from './worker';

let t: LedgerTest;
beforeAll(async () => {
  t = await LedgerTest.start();
}, 120_000);
afterAll(() => t?.stop());

const bytes = (text: string) => Buffer.from(text, 'base64url');

test('every line of every batch is a leaf, provable against the signed checkpoint', async () => {
  const db = await t.fresh();
  const audit = await t.ledger(db);
  const worker = newWorker();
  const other = newWorker({ worker: 'w2' });
  const sent: string[] = [];
  let last = 0;
  let before: ReturnType<typeof checkpointOf> | undefined;
  for (let n = 0; n < 12; n++) {
    const writer = n % 3 === 0 ? other : worker;
    const message = writer.next(Array.from({ length: 40 }, () => record()));
    sent.push(...message.toString().split('\n'));
    last = await t.publish(writer.subject, message);
    if (n === 5) {
      await t.settled(audit, last);
      before = checkpointOf((await audit.checkpoints.newest())!.note);
    }
  }
  await t.settled(audit, last);
  const stored = (await audit.checkpoints.newest())!;
  const checkpoint = checkpointOf(stored.note);
  expect(checkpoint.size).toBe(sent.length);
  expect(stored).toMatchObject({ size: sent.length, streamSeq: last, findings: 0, root: checkpoint.root.toString('base64url') });

  const { size, root } = checkpoint;
  for (const index of [0, 1, 255, 256, 257, size - 1]) {
    const proof = await audit.reader.inclusion({ type: 'claviger.request/1', index, size });
    const hash = leafHash(Buffer.from(sent[index]!));
    expect(bytes(proof.leafHash)).toEqual(hash);
    expect(verifyInclusion({ index, size, leafHash: hash, proof: proof.proof.map(bytes), root })).toBe(true);
  }
  const { proof } = await audit.reader.consistency({ type: 'claviger.request/1', from: before!.size, to: size });
  expect(verifyConsistency({ from: before!.size, to: size, fromRoot: before!.root, toRoot: root, proof: proof.map(bytes) })).toBe(true);

  const read: string[] = [];
  while (read.length < size) read.push(...(await audit.reader.entries({ type: 'claviger.request/1', from: read.length, limit: 77 })).lines);
  expect(read).toEqual(sent);
});

test('the leaves of a batch that is larger than any honest one are read, from each place in it', async () => {
  const db = await t.fresh();
  const audit = await t.ledger(db);
  const worker = newWorker();
  const large = worker.next(Array.from({ length: 2_200 }, () => record())).toString();
  await t.publish(worker.subject, Buffer.from(large));
  const small = worker.next([record()]).toString();
  await t.settled(audit, await t.publish(worker.subject, Buffer.from(small)));
  const sent = [...large.split('\n'), ...small.split('\n')];
  for (const from of [0, 1_001, 2_150, 2_200, 2_201, 2_202]) {
    const { lines, size } = await audit.reader.entries({ type: 'claviger.request/1', from, limit: 100 });
    expect([size, lines]).toEqual([sent.length, sent.slice(from, from + 100)]);
  }
});

const checkpointOf = (note: string) => openCheckpoint(note, [ed25519Verifier(trust.ledger.vkey)], trust.ledger.origin);
