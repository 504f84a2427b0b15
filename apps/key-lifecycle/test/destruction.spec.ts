import { createHash } from 'node:crypto';
import { DestructionCertificate, destructionCertificateType, eventSubject, eventTypes, type WrappedKey } from '@claviger/contracts';
import { verifyRecord } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { idAt, newEpoch } from '../src/backup-records';
import { destroyKey, type Key, type KeyVersion, scheduleDeletion } from '../src/key';
import { backupsIn } from '../src/last-backup';
import { TamperedDocument } from '../src/signed-documents';
import { about, intent, type Lifecycle, startLifecycle } from './keys-under-test';

let l: Lifecycle;
beforeAll(async () => {
  l = await startLifecycle();
  l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

const day = 86_400_000;
const change = async (keyId: string, decide: (key: Key) => Key) =>
  (await l.commands.change(keyId, decide, ({ revision }) => intent(revision, { keyId }))).key;
const destroyed = async () => {
  const { keyId: _, ...wanted } = about({ team: 'payments' });
  const { key } = await l.commands.create(wanted, (made) => intent(1, { keyId: made.keyId }), context.active());
  const at = Date.now();
  await change(key.keyId, (k) => scheduleDeletion(k, 7, { by: 'ada', reason: 'nobody needs it' }, at));
  await change(key.keyId, (k) => destroyKey(k, at + 7 * day));
  return key;
};
const issued = ({ keyId }: Key) =>
  until(
    async () => {
      await l.relay.sweep();
      return l.store.certificate(keyId);
    },
    { what: 'the certificate' },
  );
const recordsOf = async ({ keyId }: Key) => (await l.recorded()).filter((one) => one.kind === 'destruction' && one.keyId === keyId);

test('of a destroyed key there is a signed certificate that tells a copy of its material, in the ledger and in an event', async () => {
  const key = await destroyed();
  const certificate = await issued(key);
  const said = DestructionCertificate.parse(verifyRecord(destructionCertificateType, certificate, l.control.trusted));
  const [{ material, createdAt }] = key.versions as [KeyVersion];
  const { wrapped, kekId } = material as WrappedKey;
  expect(said.backups).toEqual({ last: 'none' });
  expect(said).toMatchObject({ keyId: key.keyId, name: key.name, order: { by: 'ada', reason: 'nobody needs it' } });
  const sha256 = createHash('sha256').update(Buffer.from(wrapped, 'base64url')).digest('base64url');
  expect(said.versions).toEqual([{ version: 1, createdAt, material: { custody: 'wrapped', kekId, sha256 } }]);
  expect(await recordsOf(key)).toEqual([expect.objectContaining({ certificate, id: `${key.keyId}.3.destruction` })]);
  const subject = eventSubject('io.claviger.key.destroyed', key.keyId);
  const event = await (await jetstreamManager(await l.broker.connection('provisionerCore'))).streams.getMessage('KEYS', {
    last_by_subj: subject,
  });
  const { data } = event?.json<{ data: unknown }>() ?? {};
  expect(eventTypes['io.claviger.key.destroyed'].data.parse(data)).toMatchObject({ certificate, owner: key.owner });
});

test('a process that ends before it has told of a certificate leaves it to the next, which tells of the same one', async () => {
  const key = await destroyed();
  const [item] = (await l.store.pending(1_000)).items.filter(
    ({ aggregateId, entry }) => aggregateId === key.keyId && entry.kind === 'destruction',
  );
  // Issued and recorded, and then the process died before it could take the entry out.
  await l.delivery.deliver(item as NonNullable<typeof item>);
  const first = await l.store.certificate(key.keyId);
  expect(await issued(key)).toBe(first);
  await until(async () => (await l.store.pending(1_000)).items.every(({ aggregateId }) => aggregateId !== key.keyId), {
    what: 'an empty outbox',
  });
  const records = await recordsOf(key);
  expect(new Set(records.map(({ id, certificate }) => `${id} ${certificate}`)).size).toBe(1);
});

test('nobody without the control token has a certificate issued, or puts one into the store', async () => {
  const [key, other] = [await destroyed(), await destroyed()];
  const entry = (await l.store.pending(1_000)).items.find(
    (one) => one.aggregateId === other.keyId && one.entry.kind === 'destruction',
  )?.entry;
  await expect(l.store.certified(key.keyId, String(Object(entry).signed), new Date().toISOString(), backupsIn(l.backups))).rejects.toThrow(
    TamperedDocument,
  );
  const theirs = await issued(other);
  await issued(key);
  await l.db.collection<{ _id: string }>('keys').updateOne({ _id: key.keyId }, { $set: { certificate: theirs } });
  await expect(l.store.certificate(key.keyId)).rejects.toThrow(TamperedDocument);
});

test('the certificate names the last backup that may hold the material, and waits while that is not known', async () => {
  const epoch = newEpoch(
    { epoch: idAt('e', Date.now(), () => 0), group: 'g', epochKey: undefined, escrowFile: 'f' } as Parameters<typeof newEpoch>[0],
    { epochDays: 30, retentionDays: 90 },
    Date.now(),
  );
  const backupId = idAt('b', Date.now(), () => 1);
  const begunAt = new Date().toISOString();
  await l.backups.insertBackup({
    ...{ backupId, state: 'complete', epoch: epoch.epoch, createdAt: begunAt, finishedAt: begunAt, by: 'olga', session: 's' },
  });
  // Whoever takes the end of an epoch out of the store, or writes another there, has no certificate say what is not known.
  await l.backups.putEpoch(epoch);
  const epochs = l.db.collection<{ _id: string; signed: string }>('backup_epochs');
  const stored = await epochs.findOne({ _id: epoch.epoch });
  await epochs.updateOne({ _id: epoch.epoch }, { $set: { signed: 'theirs' } });
  const key = await destroyed();
  const item = (await l.store.pending(1_000)).items.find(
    ({ aggregateId, entry }) => aggregateId === key.keyId && entry.kind === 'destruction',
  );
  await expect(l.delivery.deliver(item as NonNullable<typeof item>)).rejects.toThrow(TamperedDocument);
  expect(await l.store.certificate(key.keyId)).toBeUndefined();
  await epochs.updateOne({ _id: epoch.epoch }, { $set: { signed: String(stored?.signed) } });
  const said = DestructionCertificate.parse(verifyRecord(destructionCertificateType, await issued(key), l.control.trusted));
  expect(said.backups).toEqual({ last: { backupId, begunAt, readableUntil: epoch.destroyAt } });
});
