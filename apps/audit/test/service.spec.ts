import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { CeremonyRecord, type CeremonyTranscript, internalOperations, mayCertify, type Trust } from '@claviger/contracts';
import { ed25519Verifier, LogVerifier, leafHash, openCheckpoint, p256PublicKey, verifyInclusion } from '@claviger/ledger';
import { askInternal } from '@claviger/messaging';
import { freePort, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type JetStreamClient, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { MongoClient } from 'mongodb';
import { LastActivities } from '../src/last-activities';
import { LedgerStore } from '../src/ledger-store';
import { PersonalStore } from '../src/personal-store';
import { AuditSystem } from './audit-system';
import { newWorker, record } from './worker';

let system: AuditSystem;
let js: JetStreamClient;
let client: MongoClient;
beforeAll(async () => {
  system = await AuditSystem.start({ anna: ['auditor'], otto: ['operator'] });
  js = jetstream(await system.connection('crypto-worker'));
  client = new MongoClient(system.store.url);
}, 180_000);
afterAll(async () => {
  await client?.close();
  await system?.stop();
});

const store = () => new LedgerStore(client.db(system.database));
const publish = async (worker: ReturnType<typeof newWorker>, lines: string[]) => (await js.publish(worker.subject, worker.next(lines))).seq;
const inLedger = (streamSeq: number) =>
  until(async () => (await store().loadHead()).streamSeq >= streamSeq, { what: `message ${streamSeq} in the ledger`, timeoutMs: 30_000 });
/** Asks until the answer is this far: a checkpoint is signed a moment after the commit. */
const signed = (size: number) =>
  until(
    async () => {
      const { result } = await system.ask('anna', 'audit.checkpoint');
      return result && result.size >= size ? result : undefined;
    },
    { what: `a checkpoint of ${size} leaves` },
  );
const health = async (child: Awaited<ReturnType<AuditSystem['launch']>>, what: 'ready' | 'live') => {
  const [, port] = await child.waitForLog(/health on port (\d+)/, 30_000);
  const response = await fetch(`http://127.0.0.1:${port}/health/${what}`);
  return { status: response.status, body: (await response.json()) as { checks: { name: string; ok: boolean; detail: string }[] } };
};

function transcriptOf(trust: Trust): CeremonyTranscript {
  const digest = Buffer.alloc(32, 1).toString('base64url');
  const at = '2026-01-31T12:00:00.000Z';
  return {
    ...{ format: 'claviger.ceremony/1', ceremony: 'installation', startedAt: at, completedAt: at, libraryDigest: digest, trust },
    participants: ['Ann Weber', 'ben'].map((name) => ({ name, role: 'custodian' })),
    ...{ tokens: [], handovers: [] },
    recoveryGroup: {
      ...{ format: 'claviger.recovery-group/1', groupId: '0123456789abcdefABCDEF', threshold: 2, createdAt: at, secretCheck: digest },
      members: ['Ann Weber', 'ben'].map((name, i) => ({ name, index: i + 1, shareDigest: digest })),
      publicKeySpki: digest,
      wrappedPrivate: { mechanism: 0x210b, family: 'generic', wrapped: digest },
    },
  };
}

/** Every leaf that the service serves, verified as an auditor with nothing but trust.json would. */
async function auditWholeLog() {
  const { trust } = system;
  const certifiers = new Map(Object.entries(trust.certifiers).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
  const { checkpoint } = await signed(0);
  const opened = openCheckpoint(checkpoint, [ed25519Verifier(trust.ledger.vkey)], trust.ledger.origin);
  const verifier = new LogVerifier({ certifiers, mayCertify });
  for (let from = 0; from < opened.size; ) {
    const { result } = await system.ask('anna', 'audit.entries', { from, limit: 1_000 });
    const lines = result!.lines.slice(0, opened.size - from);
    for (const line of lines) verifier.add(Buffer.from(line));
    from += lines.length;
  }
  const report = verifier.finish();
  expect(report.problems).toEqual([]);
  expect(report.root).toEqual(opened.root);
  return report;
}

test('an auditor verifies the log by what the service serves; each answer is recorded once, and nothing feeds on itself', async () => {
  const child = await system.audit();
  const worker = newWorker();
  await inLedger(await publish(worker, [record({ principal: 'payments-api' }), record({ principal: 'orders-api', outcome: 'denied' })]));
  const { checkpoint, size, root } = await signed(4);
  const { trust } = system;
  expect(openCheckpoint(checkpoint, [ed25519Verifier(trust.ledger.vkey)], trust.ledger.origin).root.toString('base64url')).toBe(root);

  const { result: found } = await system.ask('anna', 'audit.query', { principal: 'orders-api' });
  const [hit] = found!.records;
  expect(hit!.record).toMatchObject({ principal: 'orders-api', outcome: 'denied' });
  const { result: proof, receipt } = await system.ask('anna', 'audit.inclusion', { index: hit!.index, size });
  expect(receipt).toMatchObject({ seq: expect.any(Number), batchHash: expect.any(String) });
  const bytes = (text: string) => Buffer.from(text, 'base64url');
  const { result: page } = await system.ask('anna', 'audit.entries', { from: hit!.index, limit: 1 });
  const claim = { index: hit!.index, size, root: bytes(root), proof: proof!.proof.map(bytes) };
  expect(verifyInclusion({ ...claim, leafHash: leafHash(Buffer.from(page!.lines[0]!)) })).toBe(true);

  const refused = await system.ask('otto', 'audit.query', {});
  expect(refused.problem?.code).toBe('ERR_ACCESS_DENIED');
  const outside = await system.ask('anna', 'audit.inclusion', { index: 9_999_999, size });
  expect(outside.problem?.code).toBe('ERR_MALFORMED_REQUEST');

  const own = () => system.ask('anna', 'audit.query', { principal: 'otto' });
  await until(async () => (await own()).result!.records.length === 1, { what: 'the record of the refusal' });
  await auditWholeLog();

  // Idle: whatever is recorded is in the ledger, and being there it caused no further message.
  const { state } = await (await jetstreamManager(await system.connection('provisionerCore'))).streams.info('AUDIT');
  await inLedger(state.last_seq);
  const later = await (await jetstreamManager(await system.connection('provisionerCore'))).streams.info('AUDIT');
  expect(later.state.last_seq).toBe(state.last_seq);
  expect((await health(child, 'ready')).status).toBe(200);
  await child.stop();
});

test('the digest of a ceremony enters the ledger when a control key of this installation signed its transcript, and not otherwise', async () => {
  const child = await system.audit();
  const ceremony = transcriptOf(system.trust);
  const signed = system.signTranscript(ceremony);
  const { result, receipt } = await system.ask('otto', 'audit.record-ceremony', { transcript: signed });
  expect(result).toEqual({ digest: expect.stringMatching(/^[\w-]{43}$/), groupId: ceremony.recoveryGroup.groupId });
  expect(receipt).toMatchObject({ seq: expect.any(Number) });
  const recorded = async () => (await system.ask('anna', 'audit.query', { kind: 'ceremony' })).result!.records;
  await until(async () => (await recorded()).length === 1, { what: 'the ceremony in the ledger', timeoutMs: 20_000 });
  const { record: found } = (await recorded())[0]!;
  expect(CeremonyRecord.parse(found)).toMatchObject({ ...result, ceremony: 'installation', principal: 'otto' });
  expect(JSON.stringify(found)).not.toContain('Ann Weber');

  const elsewhere = { ...ceremony, trust: { ...ceremony.trust, ledger: { ...ceremony.trust.ledger, vkey: 'another' } } };
  const [header, payload, signature] = signed.split('.') as [string, string, string];
  const altered = Buffer.from(JSON.stringify({ ...ceremony, ceremony: 'reshare' })).toString('base64url');
  for (const transcript of [
    system.signTranscript(elsewhere),
    [header, altered, signature].join('.'),
    [header, payload, Buffer.alloc(64).toString('base64url')].join('.'),
    'no transcript',
  ])
    expect((await system.ask('otto', 'audit.record-ceremony', { transcript })).problem?.code).toBe('ERR_MALFORMED_REQUEST');
  expect((await system.ask('anna', 'audit.record-ceremony', { transcript: signed })).problem?.code).toBe('ERR_ACCESS_DENIED');
  await auditWholeLog();
  await child.stop();
});

test('kill -9 under load, twice: what the broker stored is in the ledger, each record once', async () => {
  const worker = newWorker({ worker: 'w2' });
  const rival = await system.audit({ WORKER_ID: 'a-rival' });
  let last = 0;
  for (let round = 0; round < 2; round++) {
    const child = await system.audit({ WORKER_ID: `a-${round}` });
    for (let n = 0; n < 30; n++) {
      last = await publish(
        worker,
        Array.from({ length: 20 }, (_, i) => record({ requestId: `load-${round}-${n}-${i}` })),
      );
      if (n === 15) await child.kill9();
    }
  }
  await inLedger(last);
  await rival.kill9();
  const child = await system.audit();
  const report = await auditWholeLog();
  expect(report.findings).toEqual([]);
  const requests = new Map<string, number>();
  for (let before: number | undefined; ; ) {
    const { result } = await system.ask('anna', 'audit.query', {
      principal: 'payments-api',
      limit: 1_000,
      ...(before === undefined ? {} : { before }),
    });
    for (const { record } of result!.records)
      if (String(record.requestId).startsWith('load-'))
        requests.set(String(record.requestId), (requests.get(String(record.requestId)) ?? 0) + 1);
    before = result!.next;
    if (before === undefined) break;
  }
  expect(requests.size).toBe(2 * 30 * 20);
  expect(Math.max(...requests.values())).toBe(1);
  await child.stop();
});

test('the last use of a key is its newest successful operation: neither a refusal nor a command on it is one', async () => {
  const child = await system.audit();
  const worker = newWorker();
  const [used, target, untouched, carrier] = ['A', 'B', 'C', 'D'].map((letter) => `k_${letter.repeat(22)}`) as [
    string,
    string,
    string,
    string,
  ];
  const use = (action: string, more = {}) => record({ principal: 'payments-api', keyId: used, action, ...more });
  await inLedger(await publish(worker, [use('crypto:Encrypt', { version: 1 }), use('crypto:Decrypt', { version: 2 })]));
  const reEncrypted = use('crypto:ReEncryptFrom', { version: 1, toKeyId: target, toVersion: 3 });
  const no = [use('crypto:Decrypt', { outcome: 'denied' }), use('keys:Rotate'), use('crypto:Sign', { principal: 'Nobody!' })];
  await inLedger(
    await publish(worker, [reEncrypted, ...no, record({ action: 'keys:Export', keyId: `k_${'H'.repeat(22)}`, toKeyId: carrier })]),
  );
  const connection = await system.connection('key-lifecycle');
  const ask = () =>
    askInternal(connection, internalOperations.lastUses, { keyIds: [used, target, untouched, carrier] }, { timeoutMs: 5_000 });
  const { keys } = await until(ask, { what: 'the answer' });
  expect(keys).toEqual([
    { keyId: used, known: 'used', use: expect.objectContaining({ action: 'crypto:ReEncryptFrom', version: 1, principal: 'payments-api' }) },
    { keyId: target, known: 'used', use: expect.objectContaining({ action: 'crypto:ReEncryptFrom', version: 3 }) },
    { keyId: untouched, known: 'never' },
    { keyId: carrier, known: 'used', use: expect.objectContaining({ action: 'keys:Export' }) },
  ]);
  const leaf = await system.ask('anna', 'audit.entries', { from: keys[0]?.use?.index as number, limit: 1 });
  expect(JSON.parse(leaf.result?.lines[0] as string)).toMatchObject({ toKeyId: target });
  await child.stop();
});

test('policy learns when somebody last came and last used what they have; what is not there is unused, what there is no time for is unknown', async () => {
  const child = await system.audit();
  const at = (seconds: number) => new Date(Date.parse('2026-11-24T08:00:00.000Z') + seconds * 1_000).toISOString();
  const keyId = `k_${'Z'.repeat(22)}`;
  const worker = newWorker();
  const use = (action: string, policies: string[], more: object = {}) => record({ principal: 'mira', action, policies, ...more });
  // The one that is looked for lies under many others.
  const others = Array.from({ length: 260 }, () => use('crypto:Encrypt', ['application-uses-its-keys']));
  await inLedger(
    await publish(worker, [
      record({ kind: 'session', event: 'opened', principal: 'mira', session: 's'.repeat(22) }),
      use('keys:Rotate', ['key-administrator-administers']),
      use('keys:Suspend', ['security-officer-suspends'], { outcome: 'denied' }),
      ...others,
      use('crypto:Decrypt', ['grant-in-force'], { keyId }),
    ]),
  );
  const asked = (id: string, actions: string[], more: object = {}) => ({ id, actions, ...more });
  const uses = [
    asked('application', ['crypto:Encrypt', 'crypto:Decrypt'], { policies: ['application-uses-its-keys'] }),
    asked('administrator', ['keys:Rotate', 'keys:Create'], { policies: ['key-administrator-administers'] }),
    asked('officer', ['keys:Suspend'], { policies: ['security-officer-suspends'] }),
    asked('grant', ['crypto:Decrypt'], { keyId }),
    asked('other key', ['crypto:Decrypt'], { keyId: `k_${'Y'.repeat(22)}` }),
  ];
  const connection = await system.connection('policy');
  const ask = (since: string) =>
    askInternal(connection, internalOperations.lastActivities, { questions: [{ principal: 'mira', since, uses }] }, { timeoutMs: 8_000 });
  const { answers } = await until(() => ask('2020-01-01T00:00:00.000Z'), { what: 'the answer' });
  expect(answers[0]?.session.known).toBe('used');
  expect(answers[0]?.uses.map(({ id, activity }) => [id, activity.known])).toEqual([
    ['application', 'used'],
    ['administrator', 'used'],
    ['officer', 'unused'],
    ['grant', 'used'],
    ['other key', 'unused'],
  ]);
  const later = (await ask('2099-01-01T00:00:00.000Z')).answers[0];
  expect([later?.session.known, later?.uses[1]?.activity.known]).toEqual(['unused', 'unused']);
  const hurried = await new LastActivities({ query: async () => ({ records: [], next: 1 }) }).of(
    { principal: 'mira', since: at(0), uses },
    0,
  );
  expect([hurried.session.known, ...hurried.uses.map(({ activity }) => activity.known)]).toEqual(
    Array.from({ length: 6 }, () => 'unknown'),
  );
  await child.stop();
});

test('the move of an alias is found by the key of after and by that of before, and is no use of either', async () => {
  const child = await system.audit();
  const [before, after] = ['E', 'F'].map((letter) => `k_${letter.repeat(22)}`) as [string, string];
  const moved = { principal: 'kim', action: 'keys:SetAlias', keyId: after, previousKeyId: before, alias: 'alias/cards' };
  await inLedger(await publish(newWorker(), [record(moved)]));
  for (const keyId of [before, after]) {
    const { records } = (await system.ask('anna', 'audit.query', { keyId })).result as { records: { record: object }[] };
    expect(records.map(({ record: found }) => found)).toMatchObject([moved]);
  }
  const connection = await system.connection('key-lifecycle');
  const { keys } = await askInternal(connection, internalOperations.lastUses, { keyIds: [before, after] }, { timeoutMs: 5_000 });
  expect(keys.map(({ known }) => known)).toEqual(['never', 'never']);
  await child.stop();
});

test('personal values can be erased, and every proof still verifies', async () => {
  const child = await system.audit();
  const [salt, value] = [randomBytes(16), '198.51.100.7'];
  const commitment = createHash('sha256').update(salt).update(value).digest('base64url');
  const values = [{ commitment, salt: salt.toString('base64url'), value, what: 'ip' as const, session: 's'.repeat(22) }];
  const policy = await system.connection('policy');
  const stored = () => askInternal(policy, internalOperations.storePersonal, { values }, { timeoutMs: 5_000 });
  expect(await stored()).toEqual({ stored: 1 });
  expect(await stored()).toEqual({ stored: 0 });
  const worker = newWorker({ worker: 'w3' });
  await inLedger(await publish(worker, [record({ ip: commitment })]));

  const db = client.db(system.database);
  expect(await new PersonalStore(db, 1).find(commitment)).toMatchObject({ value });
  const inTwoYears = new PersonalStore(db, 1, () => new Date(Date.now() + 730 * 86_400_000));
  expect(await inTwoYears.eraseExpired()).toBe(1);
  expect(await db.collection('personal').countDocuments()).toBe(0);
  await auditWholeLog();
  await child.stop();
});

test("a traced request's trace shows the ledger", async () => {
  const spans: { traceId: string; parentSpanId: string; name: string }[] = [];
  const collector = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as { resourceSpans: { scopeSpans: { spans: typeof spans }[] }[] };
    for (const { scopeSpans } of body.resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
    response.end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const child = await system.audit({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}` });
  const [trace, parent, unsampled] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex'), randomBytes(16).toString('hex')];
  const worker = newWorker({ worker: 'w4' });
  await publish(worker, [record({ trace: `00-${unsampled}-${parent}-00` }), record({ trace: `00-${trace}-${parent}-01` })]);
  await until(() => spans.some((span) => span.name === 'ledger append' && span.traceId === trace && span.parentSpanId === parent), {
    what: 'the span',
  });
  expect(spans.some(({ traceId }) => traceId === unsampled)).toBe(false);
  const { result } = await system.ask('anna', 'audit.query', { trace });
  expect(result!.records).toMatchObject([{ record: { trace: `00-${trace}-${parent}-01` } }]);
  await child.stop();
  collector.close();
});

test('without its store the service stays up, red, and says so to who asks', async () => {
  const child = await system.audit({ MONGODB_URL: `mongodb://127.0.0.1:${await freePort()}/?serverSelectionTimeoutMS=300` });
  await until(async () => (await system.ask('anna', 'audit.checkpoint')).problem?.code === 'ERR_STORE_UNAVAILABLE', {
    what: 'the refusal',
  });
  expect((await health(child, 'live')).status).toBe(200);
  const { status, body } = await health(child, 'ready');
  expect(status).toBe(503);
  expect(body.checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(expect.arrayContaining(['ledger', 'store']));
  await child.stop();
});

test('a wrong configuration stops it with the name of the variable', async () => {
  const child = await system.launch({ CHECKPOINT_EVERY_MS: 'often' });
  expect((await child.exited).code).toBe(78);
  expect(child.logs()).toContain('CHECKPOINT_EVERY_MS');
});
