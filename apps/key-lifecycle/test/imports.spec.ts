import { createHash } from 'node:crypto';
import { type Gate } from '@claviger/authz';
import {
  exportOperations,
  importOperations,
  internalSubject,
  type KnownToken,
  limits,
  type PolicyBundle,
  type Result,
  requestType,
  type SessionView,
} from '@claviger/contracts';
import type { RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { context } from '@opentelemetry/api';
import { ExpiredImports } from '../src/expired-imports';
import { ExportsController } from '../src/exports.controller';
import { Floors } from '../src/floors';
import { ImportStore } from '../src/import-store';
import { ImportsController } from '../src/imports.controller';
import { LeaseBounds } from '../src/invocations';
import type { Key } from '../src/key';
import { KeyTransport } from '../src/key-transport';
import { NamedKeys } from '../src/named-keys';
import { RecordedChange } from '../src/recorded-change';
import { SignedDocuments } from '../src/signed-documents';
import { about, intent, knownToken, type Lifecycle, quiet, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let imports: ImportStore;
let controller: ImportsController;
let exported: ExportsController;
const session = 'S'.repeat(22);
/** What the next receive-key does first. */
let beforehand: (() => Promise<unknown>) | undefined;
let refuseNext = false;
/** The newest request of each kind. */
const asks = new Map<string, object>();

beforeAll(async () => {
  l = await startLifecycle();
  serve();
  const documents = new SignedDocuments(l.control, l.control.trusted);
  imports = new ImportStore(l.db, documents, (id, reason) => void l.tampered.push(`${id}: ${reason}`));
  const transport = new KeyTransport({
    ...{ connection: l.connection, store: l.store, imports, bounds: new LeaseBounds(1_000, 0.5) },
    ...{ keks: l.currentKeks, kekStore: l.keks, assurance: l.assurance },
  });
  const view = { kind: 'session', session, principal: 'kim', mfa: true, ip: 'x' } as unknown as SessionView;
  const admission = { session: view, policies: ['p'], revisions: { session: 1, bundle: 1 } };
  const asked = { decide: () => admission, admit: () => admission, confirm: () => admission, anyone: () => admission };
  const gate = { knows: () => true, session: () => view, arrived: async () => view, ...asked };
  const replies = new RecordedReply(gate as unknown as Gate, l.trail);
  const names = new NamedKeys(l.aliases, l.store);
  controller = new ImportsController(
    replies,
    new RecordedChange(replies, l.commands, names),
    names,
    l.store,
    transport,
    new Floors(l.policies),
  );
  exported = new ExportsController(replies, names, l.store, transport);
}, 120_000);
afterAll(() => l.stop());

/** A worker whose token takes whatever is sent: the check value is its hash. What tokens do is tested with them. */
function serve(): void {
  l.workers.subscribe(internalSubject('hsm', '*'), {
    callback: (_error, m): void => {
      const asked = m.json<Record<string, string> & { kek: { kekId: string } }>();
      asks.set(m.subject.split('.').at(-1) as string, asked);
      const wrapped = Buffer.from('wrapped').toString('base64url');
      const answer = (result: object): void => void m.respond(JSON.stringify({ result }));
      const tokens = [{ label: 'customer', root: true, reached: true }];
      if (m.subject.endsWith('describe-tokens')) return answer({ worker: 'w-1', tokens });
      if (m.subject.endsWith('generate-kek')) return answer({ rootLabel: 'root', mechanism: 0x210a, family: 'softhsm', wrapped });
      const material = (kekId: string) => ({ custody: 'wrapped', kekId, mechanism: 0x210a, family: 'softhsm', wrapped });
      if (m.subject.endsWith('generate-key')) return answer({ material: material(asked.kekId as string), publicKeySpki: 'AAAA' });
      if (m.subject.endsWith('send-key')) return answer({ wrappedMaterial: 'BBBB' });
      if (refuseNext) {
        refuseNext = false;
        const problem = { type: 't', title: 't', status: 400, detail: 'd', code: 'ERR_IMPORT_REFUSED', retryable: false };
        return void m.respond(JSON.stringify({ problem }));
      }
      const first = beforehand?.();
      const checkValue = createHash('sha256')
        .update(asked.wrappedMaterial as string)
        .digest('base64url');
      const received = () => answer({ material: material(asked.kek.kekId), checkValue });
      return first ? void first.then(received) : received();
    },
  });
}

const asking = (): RequestContext => ({ principal: 'kim', session, trace: context.active() }) as unknown as RequestContext;
const create = async (more: Parameters<typeof about>[0] = {}): Promise<Key> => {
  const { keyId: _, ...wanted } = about({ origin: 'external', ...more });
  const { key, recorded } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  recorded();
  return key;
};
type Offered = Result<typeof importOperations.importParameters>;
const offer = async ({ keyId }: Key): Promise<Offered> => {
  const request = importOperations.importParameters.request.parse({ type: requestType, keyId });
  return (await controller.parameters(request, asking())).result as Offered;
};
const send = ({ keyId }: Key, importToken: string, material = 'AAAA', more: object = {}) =>
  controller.material(
    importOperations.importMaterial.request.parse({
      ...{ type: requestType, keyId, importToken, wrappedMaterial: material, priorEncryptions: 0, reason: 'moved here' },
      ...more,
    }),
    asking(),
  );
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'OK',
    (error: { code?: string; problem?: { code: string } }) => error.code ?? error.problem?.code,
  );
const stored = async ({ keyId }: Key) => (await l.store.get(keyId)) as Key;

test('an import activates the key, is recorded, and uses its parameters up: a replay is refused, the pair is gone', async () => {
  const key = await create();
  const { importToken, expiresAt } = await offer(key);
  expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan((limits.importParametersHours - 1) * 3_600_000);
  expect(await code(send(key, importToken))).toBe('OK');
  expect((await stored(key)).versions[0]).toMatchObject({ state: 'active', imported: { priorEncryptions: 0 } });
  expect(await imports.get(key.keyId)).toBeUndefined();
  expect(await code(send(key, importToken))).toBe('ERR_IMPORT_PARAMETERS');
  const records = (await l.recorded()).filter((r) => r.keyId === key.keyId);
  expect(records.map(({ action, outcome, code: c }) => [action, outcome, c])).toEqual(
    expect.arrayContaining([
      ['keys:ImportParameters', 'success', undefined],
      ['keys:ImportMaterial', 'success', undefined],
      ['keys:ImportMaterial', 'failed', 'ERR_IMPORT_PARAMETERS'],
    ]),
  );
  expect(JSON.stringify(records)).not.toContain(importToken.split('.')[1]);
});

test('a replay is refused also where a crash came before the parameters were removed', async () => {
  const key = await create();
  const { importToken } = await offer(key);
  const kept = await imports.get(key.keyId);
  expect(await code(send(key, importToken))).toBe('OK');
  // As if the process had ended between the change and this.
  await imports.put((kept as NonNullable<typeof kept>).parameters);
  expect(await code(send(key, importToken))).toBe('ERR_IMPORT_PARAMETERS');
  expect(await code(send(key, importToken, 'CCCC', { newVersion: true }))).toBe('ERR_IMPORT_PARAMETERS');
});

test('workers are told in which regions the key may be opened, and that the pair is to leave its token', async () => {
  const residency = ['local', 'eu'];
  const key = await create({ residency, exportable: true });
  const { importToken } = await offer(key);
  expect(asks.get('generate-key')).toMatchObject({ custody: 'wrapped', residency });
  expect(await code(send(key, importToken))).toBe('OK');
  expect(asks.get('receive-key')).toMatchObject({ residency });
  const recipient = { publicKeySpki: 'AAAA' };
  const request = exportOperations.export.request.parse({ type: requestType, keyId: key.keyId, recipient, reason: 'r' });
  expect(await code(exported.export(request, asking()))).toBe('OK');
  expect(asks.get('send-key')).toMatchObject({ key: { keyId: key.keyId, version: 1 } });
});

test('material comes only into a token that is validated as the profile asks; what is refused costs no try', async () => {
  const inForce = (...tokens: KnownToken[]) => {
    const profiles = [{ id: 'validated', description: 'of a test', moduleLevel: 3 }];
    l.policies.current = { bundle: { revision: 1, profiles, tokens } as unknown as PolicyBundle, hash: '' };
  };
  inForce(knownToken());
  const key = await create();
  const { importToken } = await offer(key);
  expect(asks.get('generate-key')).toMatchObject({ tokens: ['customer'] });
  inForce(knownToken({ status: 'revoked' }));
  expect([await code(offer(key)), await code(send(key, importToken))]).toEqual(['ERR_ASSURANCE', 'ERR_ASSURANCE']);
  expect((await imports.get(key.keyId))?.parameters.tries).toBe(0);
  inForce(knownToken());
  expect(await code(send(key, importToken))).toBe('OK');
  expect(asks.get('receive-key')).toMatchObject({ tokens: ['customer'] });
  l.policies.current = undefined;
});

test('a worker that dies in the middle costs a try and nothing else', async () => {
  const key = await create();
  const { importToken } = await offer(key);
  refuseNext = true;
  expect(await code(send(key, importToken))).toBe('ERR_IMPORT_REFUSED');
  expect((await stored(key)).revision).toBe(1);
  expect((await imports.get(key.keyId))?.parameters.tries).toBe(1);
  expect(await code(send(key, importToken))).toBe('OK');
});

test('blobs that do not open use the parameters up after so many tries', async () => {
  const key = await create();
  const { importToken } = await offer(key);
  for (let n = 0; n < limits.importTries; n++) {
    refuseNext = true;
    expect(await code(send(key, importToken))).toBe('ERR_IMPORT_REFUSED');
  }
  expect(await code(send(key, importToken))).toBe('ERR_IMPORT_PARAMETERS');
});

test('tokens of another key, of earlier parameters and of parameters that expired import nothing; what expired is swept', async () => {
  const [key, other] = [await create(), await create()];
  const [before, ofOther] = [await offer(key), await offer(other)];
  const newest = await offer(key);
  expect(await code(send(key, before.importToken))).toBe('ERR_IMPORT_PARAMETERS');
  expect(await code(send(key, ofOther.importToken))).toBe('ERR_IMPORT_PARAMETERS');
  const kept = (await imports.get(key.keyId))?.parameters;
  if (!kept) throw new Error('there are no parameters');
  await imports.put({ ...kept, expiresAt: new Date(Date.now() - 1).toISOString() });
  expect(await code(send(key, newest.importToken))).toBe('ERR_IMPORT_PARAMETERS');
  const logger = quiet();
  await new ExpiredImports(imports, logger).sweep(Date.now());
  expect(await imports.get(key.keyId)).toBeUndefined();
  expect(await imports.get(other.keyId)).toBeDefined();
  expect(logger.lines).toEqual(['1 import parameters expired unused']);
  expect((await stored(key)).revision).toBe(1);
});

test('parameters that somebody else wrote into the store are told and not used', async () => {
  const key = await create();
  const { importToken } = await offer(key);
  await l.db.collection('imports').updateOne({ _id: key.keyId as never }, { $set: { signed: 'a.b.c' } });
  expect(await code(send(key, importToken))).toBe('ERR_IMPORT_PARAMETERS');
  expect(l.tampered.at(-1)).toContain(`${key.keyId}: import parameters`);
  expect(await code(send(key, (await offer(key)).importToken))).toBe('OK');
});

test('other material is refused by the version that had some, and changes nothing; as a new version it rotates the key', async () => {
  const key = await create();
  expect(await code(send(key, (await offer(key)).importToken, 'AAAA'))).toBe('OK');
  const request = importOperations.deleteMaterial.request.parse({ type: requestType, keyId: key.keyId, reason: 'not needed' });
  expect(await code(controller.deleteMaterial(request, asking()))).toBe('OK');
  const before = await stored(key);
  expect(await code(send(key, (await offer(key)).importToken, 'CCCC'))).toBe('ERR_KEY_MATERIAL_DIFFERENT');
  expect(await stored(key)).toEqual(before);
  const rotate = await offer(key);
  expect(await code(send(key, rotate.importToken, 'CCCC', { newVersion: true, version: 1 }))).toBe('ERR_MALFORMED_REQUEST');
  expect(await code(send(key, rotate.importToken, 'CCCC', { newVersion: true }))).toBe('OK');
  expect(await code(send(key, (await offer(key)).importToken, 'AAAA', { version: 1 }))).toBe('OK');
  expect((await stored(key)).versions.map(({ state, material }) => [state, Boolean(material)])).toEqual([
    ['deactivated', true],
    ['active', true],
  ]);
});

test('encryptions elsewhere count towards the bound, once, and also when others change the key meanwhile', async () => {
  const key = await create();
  const { importToken } = await offer(key);
  expect(await code(send(key, importToken, 'AAAA', { priorEncryptions: undefined }))).toBe('ERR_MALFORMED_REQUEST');
  beforehand = () => {
    beforehand = undefined;
    return l.commands.change(
      key.keyId,
      (k) => ({ ...k, revision: k.revision + 1 }),
      ({ revision }) => intent(revision, { keyId: key.keyId }),
    );
  };
  expect(await code(send(key, importToken, 'AAAA', { priorEncryptions: 600 }))).toBe('OK');
  expect((await l.store.invocations(key.keyId))?.invocations.given).toEqual({ 1: 600 });
  expect(await code(send(key, (await offer(key)).importToken, 'AAAA', { priorEncryptions: 2_000 }))).toBe('OK');
  expect((await l.store.invocations(key.keyId))?.invocations.given).toEqual({ 1: 1_000 });
});

test('encryptions elsewhere count for the version that the material becomes, also when somebody adds one before it', async () => {
  const key = await create();
  expect(await code(send(key, (await offer(key)).importToken))).toBe('OK');
  const { importToken } = await offer(key);
  beforehand = () => {
    beforehand = undefined;
    return l.commands.change(
      key.keyId,
      (k) => ({
        ...k,
        revision: k.revision + 1,
        primaryVersion: 2,
        versions: [
          { ...k.versions[0]!, state: 'deactivated' as const },
          { ...k.versions[0]!, version: 2 },
        ],
      }),
      ({ revision }) => intent(revision, { keyId: key.keyId }),
    );
  };
  expect(await code(send(key, importToken, 'CCCC', { newVersion: true, priorEncryptions: 600 }))).toBe('OK');
  expect((await stored(key)).primaryVersion).toBe(3);
  expect((await l.store.invocations(key.keyId))?.invocations.given).toMatchObject({ 3: 600 });
});

test('material that expires goes by the sweep, recorded, once, whoever else sweeps', async () => {
  const key = await create();
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  expect(await code(send(key, (await offer(key)).importToken, 'AAAA', { expiresAt }))).toBe('OK');
  await l.sweeper(l.trail, Date.now()).sweep();
  expect((await stored(key)).versions[0]).toHaveProperty('material');
  await Promise.all([l.sweeper(l.trail, Date.parse(expiresAt)).sweep(), l.sweeper(l.trail, Date.parse(expiresAt), l.replica()).sweep()]);
  const { versions } = await stored(key);
  expect(versions[0]).toMatchObject({ state: 'active', missing: { why: 'expired' } });
  expect(versions[0]).not.toHaveProperty('material');
  const expired = (await l.recorded()).filter((r) => r.keyId === key.keyId && r.action === 'keys:ExpireMaterial');
  expect(expired.map(({ outcome, reason }) => [outcome, reason])).toEqual([['success', `imported to expire at ${expiresAt}`]]);
  expect(await code(send(key, (await offer(key)).importToken, 'AAAA'))).toBe('OK');
});

test('an export names its recipient in the ledger, and is refused for keys that were not made for it', async () => {
  const { keyId: _, ...wanted } = about({ exportable: true });
  const { key } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  const ask = (keyId: string, recipient: object) =>
    exported.export(exportOperations.export.request.parse({ type: requestType, keyId, recipient, reason: 'to the bank' }), asking());
  const digest = createHash('sha256').update(Buffer.from('AAAA', 'base64url')).digest('base64url');
  expect((await ask(key.keyId, { publicKeySpki: 'AAAA' })).result).toMatchObject({
    wrappedMaterial: 'BBBB',
    recipient: digest,
    version: 1,
  });
  const under = await l.commands.create(
    { ...wanted, name: 'payments/under', usage: 'wrap' },
    ({ keyId, revision }) => intent(revision, { keyId }),
    context.active(),
  );
  expect((await ask(key.keyId, { keyId: under.key.keyId })).result).toMatchObject({ wrappingAlgorithm: 'AES_KEY_WRAP_PAD' });
  expect(await code(ask(key.keyId, { keyId: key.keyId }))).toBe('ERR_KEY_USAGE');
  expect(await code(ask('k_AAAAAAAAAAAAAAAAAAAAAA', { publicKeySpki: 'AAAA' }))).toBe('ERR_KEY_UNKNOWN');
  const plain = await l.commands.create(
    { ...about(), name: 'payments/plain' },
    ({ keyId, revision }) => intent(revision, { keyId }),
    context.active(),
  );
  expect(await code(ask(plain.key.keyId, { publicKeySpki: 'AAAA' }))).toBe('ERR_KEY_NOT_EXPORTABLE');
  const records = (await l.recorded()).filter((r) => r.action === 'keys:Export' && r.outcome === 'success' && r.reason === 'to the bank');
  expect(records).toMatchObject([
    { keyId: key.keyId, version: 1, recipient: digest, reason: 'to the bank' },
    { keyId: key.keyId, version: 1, toKeyId: under.key.keyId, toVersion: 1 },
  ]);
});
