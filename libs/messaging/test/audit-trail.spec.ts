import { OperationRecord, ProblemError, UnansweredRecord } from '@claviger/contracts';
import { genesisPrev, p256PublicKey, parseBatch, parseEpochRecord, verifyBatch, verifyEpoch } from '@claviger/ledger';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { AuditTrail, RecordedProblem, type RequestContext } from '../src/index';
import { type PlainBroker, startPlainBroker } from './plain-broker';
import { tokenEpochs } from './test-keys';

let broker: PlainBroker;
let keys: ReturnType<typeof tokenEpochs>;
let trail: AuditTrail;
let worker: string;
let workers = 0;

beforeAll(async () => {
  broker = await startPlainBroker();
  const jsm = await jetstreamManager(await broker.connection());
  await jsm.streams.add({ name: 'AUDIT', subjects: ['audit.v1.>'] });
  keys = tokenEpochs();
});
afterAll(async () => {
  keys.close();
  await broker.close();
});
beforeEach(async () => {
  worker = `w${workers++}`;
  trail = new AuditTrail({ connection: await broker.connection(), service: 'crypto-worker', worker, openEpoch: keys.openEpoch });
});

const request: RequestContext = {
  subject: 'claviger.v1.payments-api.x.crypto.encrypt',
  principal: 'payments-api',
  session: 'S'.repeat(22),
  service: 'crypto',
  verb: 'encrypt',
  requestId: 'r-1',
  trace: context.active(),
};
const use = () =>
  trail.operation({ action: 'crypto:Encrypt', ...trail.who(request), outcome: 'success', revisions: { key: 1, session: 1, bundle: 1 } });

/** Every batch of this worker, each verified: certificate of its epoch, signature, place in the chain. */
async function verified() {
  const jsm = await jetstreamManager(await broker.connection());
  const { state } = await jsm.streams.info('AUDIT');
  const chains = new Map<string, { key: ReturnType<typeof p256PublicKey>; seq: number; prev: Buffer }>();
  const batches: { epoch: string; seq: number; batchHash: string; lines: string[] }[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('AUDIT', { seq });
    if (message?.subject !== `audit.v1.crypto-worker.${worker}`) continue;
    const batch = parseBatch(message.data);
    if (batch.seal.seq === 0) {
      const epoch = parseEpochRecord(batch.lines[0] as Buffer);
      const certifiers = new Map([['certifier-of-test', p256PublicKey(Buffer.from(keys.certifier, 'base64url'))]]);
      expect(verifyEpoch(epoch, batch.seal, certifiers as never)).toEqual([]);
      chains.set(batch.seal.epoch, { key: p256PublicKey(epoch.publicKey), seq: 0, prev: genesisPrev() });
    }
    const chain = chains.get(batch.seal.epoch) as NonNullable<ReturnType<typeof chains.get>>;
    expect(verifyBatch(batch, chain.key, chain)).toEqual([]);
    chain.seq++;
    chain.prev = batch.batchHash;
    batches.push({
      epoch: batch.seal.epoch,
      seq: batch.seal.seq,
      batchHash: batch.batchHash.toString('base64url'),
      lines: batch.lines.map(String),
    });
  }
  return { batches, epochs: [...chains.keys()] };
}

test('batches form one signed chain under a certified key, and a receipt leads to its record', async () => {
  const receipts = [await use(), ...(await Promise.all(Array.from({ length: 40 }, use)))];
  const { batches, epochs } = await verified();
  expect(epochs).toHaveLength(1);
  for (const receipt of receipts) {
    const batch = batches[receipt.seq];
    expect(batch).toMatchObject({ epoch: receipt.epoch, batchHash: receipt.batchHash });
    expect(OperationRecord.parse(JSON.parse(batch?.lines[receipt.index] as string))).toMatchObject({
      service: 'crypto-worker',
      principal: 'payments-api',
      requestId: 'r-1',
      outcome: 'success',
    });
  }
  expect(new Set(receipts.map(({ seq, index }) => `${seq}.${index}`)).size).toBe(receipts.length);
});

test('no two records have the same id, also not of two processes under one name', async () => {
  await Promise.all(Array.from({ length: 10 }, use));
  trail = new AuditTrail({ connection: await broker.connection(), service: 'crypto-worker', worker, openEpoch: keys.openEpoch });
  await Promise.all(Array.from({ length: 10 }, use));
  const { batches, epochs } = await verified();
  expect(epochs).toHaveLength(2);
  const ids = batches.flatMap(({ lines }) =>
    lines.map((l) => JSON.parse(l) as { kind: string; id: string }).filter(({ kind }) => kind === 'operation'),
  );
  expect(new Set(ids.map(({ id }) => id)).size).toBe(20);
});

test('a batch key that is lost with its token session begins a new, certified epoch, and no record is lost', async () => {
  const before = await use();
  keys.loseBatchKey();
  const after = await use();
  expect(after.epoch).not.toBe(before.epoch);
  expect(after.seq).toBe(0);
  expect((await verified()).epochs).toEqual([before.epoch, after.epoch]);
});

test('a refusal is recorded with its code and comes back with its receipt', async () => {
  const refused = await trail.refuse(request, undefined, new ProblemError('ERR_ACCESS_DENIED')).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RecordedProblem);
  const { receipt } = refused as RecordedProblem;
  const { batches } = await verified();
  expect(JSON.parse(batches[receipt.seq]?.lines[receipt.index] as string)).toMatchObject({
    action: 'crypto:?',
    outcome: 'denied',
    code: 'ERR_ACCESS_DENIED',
  });
});

test('the chain holds over an outage: one unbroken sequence, with a record that says who was not answered', async () => {
  await use();
  broker.pause();
  await expect(use()).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' });
  await expect(trail.refuse(request, undefined, new ProblemError('ERR_KEY_UNKNOWN'))).rejects.toMatchObject({
    code: 'ERR_AUDIT_UNAVAILABLE',
  });
  broker.resume();
  await until(() => trail.commit.available, { what: 'records to become durable again', timeoutMs: 30_000 });
  await trail.commit.drained();
  await use();
  const { batches, epochs } = await verified();
  expect(epochs).toHaveLength(1);
  const lines = batches.flatMap((b) => b.lines).map((l) => JSON.parse(l) as { kind: string });
  const unanswered = lines.filter(({ kind }) => kind === 'unanswered').map((l) => UnansweredRecord.parse(l));
  expect(unanswered.flatMap(({ records }) => records)).toHaveLength(2);
  expect(lines.filter(({ kind }) => kind === 'operation')).toHaveLength(4);
});
