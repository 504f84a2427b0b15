import { Refusal } from '@claviger/authz';
import { appliedSubject, type CloudEvent, CommittedRecord, eventSubject, eventTypes, limits, ProblemError } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { type KeyAlias, pointAlias } from '../src/alias';
import type { AliasDocument } from '../src/alias-store';
import { AliasesController } from '../src/aliases.controller';
import type { RestoreRecord } from '../src/backup-records';
import type { Key, NewKey } from '../src/key';
import { suspendKey } from '../src/key';
import { ListCursors } from '../src/list-cursors';
import { NamedKeys } from '../src/named-keys';
import { RecordedChange } from '../src/recorded-change';
import { restoreAliases } from '../src/restored-aliases';
import { about, intent, type Lifecycle, now, startLifecycle } from './keys-under-test';

let l: Lifecycle;
beforeAll(async () => {
  l = await startLifecycle();
  l.serveHsm();
  await l.aliases.createIndexes();
}, 120_000);
afterAll(() => l.stop());

const create = async (more: Partial<NewKey> = {}): Promise<Key> => {
  const { keyId: _, ...wanted } = about(more);
  const { key, recorded } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  recorded();
  return key;
};
let names = 0;
const newName = () => `alias/payments/${names++}`;
const documents = () => l.db.collection<AliasDocument>('aliases');

/** What policy was asked, and what it says: `no` to these actions on these resources. */
const asked: string[] = [];
let no: string[] = [];
beforeEach(() => {
  asked.length = 0;
  no = [];
});
const gate = {
  knows: () => true,
  session: () => ({ ip: 'commitment', mfa: true }),
  decide: (_session: unknown, action: string, resource: { id: string; revision?: number }): object => {
    asked.push(`${action} ${resource.id}`);
    if (no.some((one) => `${action} ${resource.id}`.startsWith(one))) {
      throw new Refusal('ERR_ACCESS_DENIED', 'a test');
    }
    return { policies: ['p1'], revisions: { key: resource.revision, session: 1, bundle: 3 } };
  },
  admit: (session: unknown, _charges: unknown, action: string, resource: { id: string; revision?: number }) =>
    gate.decide(session, action, resource),
  confirm: (session: unknown, _charges: unknown, action: string, resource: { id: string; revision?: number }) =>
    gate.decide(session, action, resource),
};
const frontOf = (replica: ReturnType<Lifecycle['replica']>) => {
  const replies = new RecordedReply(gate as never, l.trail);
  const found = new NamedKeys(replica.aliases, replica.store);
  return {
    front: new AliasesController(replies, replica.aliasCommands, replica.aliases, found, replica.store, new ListCursors(l.db)),
    changes: new RecordedChange(replies, replica.commands, found),
  };
};
const caller = {
  ...{ subject: 's', principal: 'kim', session: 'S'.repeat(22), service: 'keys', verb: 'x', trace: context.active() },
};
const type = 'claviger.request/1';
const set = (alias: string, keyId: string, { front } = frontOf(l)) =>
  front.setAlias({ type, alias, keyId, reason: 'a test' }, caller).then(({ result }) => result as Record<string, unknown>);
const del = (alias: string) =>
  frontOf(l)
    .front.deleteAlias({ type, alias, reason: 'a test' }, caller)
    .then(({ result }) => result as Record<string, unknown>);
const list = (more: { keyId?: string; after?: string; limit?: number } = {}) =>
  frontOf(l)
    .front.listAliases({ type, limit: 100, ...more }, caller)
    .then(({ result }) => result as { aliases: { alias: string; keyId: string }[]; next?: string });
const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'none',
    (error: { code?: string; problem?: ProblemError }) => error.problem?.code ?? error.code ?? String(error),
  );
const recordsOf = async (alias: string) => (await l.recorded()).filter((record) => record.alias === alias);

test('an alias is made, pointed to another key and deleted: each worker has it, each change is recorded with the key of before', async () => {
  const [first, second, name] = [await create(), await create(), newName()];
  const worker = await l.worker('one');
  worker.view.onChange(({ id, revision }) =>
    l.workers.publish(appliedSubject('keys'), JSON.stringify({ worker: worker.holder, id, revision })),
  );
  expect(await set(name, first.keyId)).toMatchObject({ alias: name, keyId: first.keyId, revision: 1 });
  expect(await set(name, second.keyId)).toMatchObject({ keyId: second.keyId, previousKeyId: first.keyId, revision: 2 });
  expect(asked.slice(-2)).toEqual([`keys:SetAlias ${second.keyId}`, `keys:SetAlias ${first.keyId}`]);
  expect(worker.view.get(name)).toMatchObject({ kind: 'alias', keyId: second.keyId, revision: 2 });
  const deleted = await del(name);
  expect(deleted).toMatchObject({ previousKeyId: second.keyId, revision: 3 });
  expect(deleted.keyId).toBeUndefined();
  expect(await del(name)).toMatchObject({ previousKeyId: second.keyId, revision: 4 });
  await until(() => worker.view.get(name)?.revision === 4, { what: 'the deletion at the worker' });
  expect(worker.view.get(name)).not.toHaveProperty('keyId');
  expect(await set(name, first.keyId)).toMatchObject({ keyId: first.keyId, revision: 5 });
  expect(await recordsOf(name)).toMatchObject([
    { action: 'keys:SetAlias', outcome: 'success', keyId: first.keyId, reason: 'a test' },
    { keyId: second.keyId, previousKeyId: first.keyId },
    { keyId: second.keyId },
    { keyId: second.keyId },
    { keyId: first.keyId },
  ]);
  expect((await recordsOf(name))[4]).not.toHaveProperty('previousKeyId');
  await l.aliasRelay.sweep();
  const events = await eventsOf(name);
  expect(events.map(({ keyId, previousKeyId, by }) => [keyId, previousKeyId, by])).toEqual([
    [first.keyId, undefined, 'kim'],
    [second.keyId, first.keyId, 'kim'],
    [undefined, second.keyId, 'kim'],
    [undefined, second.keyId, 'kim'],
    [first.keyId, undefined, 'kim'],
  ]);
});

test('who may not set an alias for the key of before, or for that of after, does not; nor who may not hand the key over or lower its classification; deleting it first is no way around', async () => {
  const [first, second, name] = [await create({ classification: 'confidential' }), await create({ owner: 'ada' }), newName()];
  no = [`keys:SetAlias ${first.keyId}`];
  expect(await codeOf(set(name, first.keyId))).toBe('ERR_ACCESS_DENIED');
  no = [];
  await set(name, first.keyId);
  const onBoth = [`keys:SetAlias ${first.keyId}`, `keys:SetAlias ${second.keyId}`];
  const denied = async () => {
    for (const refused of [...onBoth, `keys:LowerClassification ${first.keyId}`, `keys:SetOwner ${first.keyId}`]) {
      no = [refused];
      expect(await codeOf(set(name, second.keyId))).toBe('ERR_ACCESS_DENIED');
    }
  };
  await denied();
  no = [`keys:SetAlias ${first.keyId}`];
  expect(await codeOf(del(name))).toBe('ERR_ACCESS_DENIED');
  expect((await l.aliases.get(name))?.keyId).toBe(first.keyId);
  expect((await recordsOf(name)).at(-2)).toMatchObject({ outcome: 'denied', keyId: second.keyId, previousKeyId: first.keyId });
  no = [];
  await del(name);
  await denied();
  no = [];
  expect(await set(name, second.keyId)).not.toHaveProperty('previousKeyId');
});

test('an alias that there is not is told only to those who may list keys', async () => {
  const [key, name] = [await create(), newName()];
  expect(await codeOf(del(name))).toBe('ERR_KEY_UNKNOWN');
  expect(await codeOf(set(name, newName()))).toBe('ERR_KEY_UNKNOWN');
  no = ['keys:List'];
  expect(await codeOf(del(name))).toBe('ERR_ACCESS_DENIED');
  expect(await codeOf(list({ keyId: name }))).toBe('ERR_ACCESS_DENIED');
  no = [];
  await set(name, key.keyId);
  await del(name);
  expect(await codeOf(list({ keyId: name }))).toBe('ERR_KEY_UNKNOWN');
});

test('a command names its key by an alias; the record has both', async () => {
  const [key, name] = [await create(), newName()];
  await set(name, key.keyId);
  const suspend = { name: 'keys.suspend', action: 'keys:Suspend' } as never;
  const { changes } = frontOf(l);
  await changes.answer(suspend, { keyId: name, reason: 'stolen' }, caller, (k) => suspendKey(k, false, 'stolen', now));
  expect((await l.store.get(key.keyId))?.suspended).toBe(true);
  expect((await recordsOf(name)).at(-1)).toMatchObject({ action: 'keys:Suspend', keyId: key.keyId, alias: name, reason: 'stolen' });
  no = ['keys:Suspend'];
  expect(await codeOf(changes.answer(suspend, { keyId: name, reason: 'r' }, caller, (k) => k))).toBe('ERR_ACCESS_DENIED');
  expect((await recordsOf(name)).at(-1)).toMatchObject({ outcome: 'denied', keyId: key.keyId });
});

test('two replicas that point one alias at the same moment do so in some order, each knowing of the other', async () => {
  const [one, two, name] = [await create(), await create(), newName()];
  const [a, b] = [frontOf(l.replica()), frontOf(l.replica())];
  const answers = await Promise.all([set(name, one.keyId, a), set(name, two.keyId, b)]);
  const [first, second] = answers.sort((x, y) => (x.revision as number) - (y.revision as number));
  expect([first?.revision, second?.revision]).toEqual([1, 2]);
  expect(first).not.toHaveProperty('previousKeyId');
  expect(second?.previousKeyId).toBe(first?.keyId);
  expect((await l.aliases.get(name))?.keyId).toBe(second?.keyId);
});

test('a process that ends between the change and its record: another one records who did it, and delivers it', async () => {
  const [key, name] = [await create(), newName()];
  const alias = pointAlias(undefined, name, key.keyId);
  const promised = intent(1, { keyId: key.keyId, alias: name, action: 'keys:SetAlias' });
  const entry = { id: `${name}.1.view`, kind: 'view' as const };
  expect(await l.aliases.change(undefined, alias, [entry], [l.owedOfAliases.owe(name, promised)])).toBe(true);
  const other = l.replica();
  await other.aliasRelay.sweep();
  await other.owedOfAliases.sweep();
  await until(() => l.view.get(name)?.revision === 1, { what: 'the alias in the bucket' });
  const [record, ...more] = await recordsOf(name);
  expect(more).toEqual([]);
  expect(CommittedRecord.parse(record)).toMatchObject({ record: promised.id, keyId: key.keyId, alias: name, revision: 1 });
  await until(async () => (await documents().findOne({ _id: name }))?.pending === false, { what: 'nothing to be pending' });
});

test('lists are by key or of all that the caller may describe, page by page, and of what is signed', async () => {
  const [key, other] = [await create(), await create()];
  const mine = [newName(), newName(), newName()].sort();
  for (const name of mine) await set(name, key.keyId);
  const theirs = newName();
  await set(theirs, other.keyId);
  expect((await list({ keyId: key.keyId })).aliases.map(({ alias }) => alias)).toEqual(mine);
  expect((await list({ keyId: mine[1] as string })).aliases).toHaveLength(3);
  const page = await list({ keyId: key.keyId, limit: 2 });
  expect((await list({ keyId: key.keyId, limit: 2, after: page.next as string })).aliases.map(({ alias }) => alias)).toEqual(mine.slice(2));
  expect(await codeOf(list({ keyId: other.keyId, after: page.next as string }))).toBe('ERR_MALFORMED_REQUEST');
  no = [`keys:Describe ${other.keyId}`];
  let after: string | undefined;
  const seen: string[] = [];
  do {
    const { aliases, next } = await list({ limit: 1, ...(after ? { after } : {}) });
    expect(aliases).toHaveLength(1);
    seen.push(aliases[0]?.alias as string);
    after = next;
  } while (after);
  expect(seen).toEqual(expect.arrayContaining(mine));
  expect(seen).not.toContain(theirs);
  no = [];
  await set(mine[0] as string, other.keyId);
  expect((await list({ keyId: key.keyId })).aliases.map(({ alias }) => alias)).toEqual(mine.slice(1));
  no = [`keys:Describe ${other.keyId}`];
  const all = (await list({ limit: 500 })).aliases.map(({ alias }) => alias);
  expect(all).toEqual(expect.arrayContaining(mine.slice(1)));
  expect(all).not.toContain(theirs);
  expect(await codeOf(list({ keyId: other.keyId }))).toBe('ERR_ACCESS_DENIED');
});

test('what somebody else writes into the store is not used, and told: another key, an older state, a document that is gone, a list it is hidden from', async () => {
  const [key, other, name] = [await create(), await create(), newName()];
  await set(name, key.keyId);
  const old = (await documents().findOne({ _id: name })) as AliasDocument;
  await set(name, other.keyId);
  await until(() => l.view.get(name)?.revision === 2, { what: 'the view to have it' });
  const found = async (change: () => Promise<unknown>) => {
    l.tampered.length = 0;
    await change();
    await l
      .replica()
      .aliases.get(name)
      .catch(() => undefined);
    return l.tampered.some((line) => line.startsWith(`${name}: `));
  };
  const replace = ({ _id, ...rest }: AliasDocument) => documents().updateOne({ _id }, { $set: rest }, { upsert: true });
  const current = (await documents().findOne({ _id: name })) as AliasDocument;
  expect(await found(() => replace(old))).toBe(true);
  expect(await codeOf(set(name, key.keyId))).toBe('ERR_INTERNAL');
  expect(
    await found(() =>
      replace({ ...current, signed: l.documents.signAlias({ alias: newName(), keyId: key.keyId, revision: 2, deleted: false }) }),
    ),
  ).toBe(true);
  expect(await found(() => replace({ ...current, keyId: null }))).toBe(true);
  l.tampered.length = 0;
  expect((await list({ keyId: other.keyId })).aliases).toEqual([]);
  await l.replica().aliasDelivery.check(l.view);
  expect(l.tampered).toContainEqual(expect.stringContaining(`${name}: index`));
  expect((await list({ keyId: other.keyId })).aliases).toEqual([{ alias: name, keyId: other.keyId, revision: 2 }]);
  await documents().deleteOne({ _id: name });
  l.tampered.length = 0;
  await l.replica().aliasDelivery.check(l.view);
  expect(l.tampered).toContainEqual(`${name}: it is gone`);
  await replace(current);
});

test('a bucket that has lost aliases gets them from the store', async () => {
  const [key, name] = [await create(), newName()];
  const alias: KeyAlias = pointAlias(undefined, name, key.keyId);
  await l.aliases.change(undefined, alias, [], []);
  expect(l.view.get(name)).toBeUndefined();
  expect(await l.aliasDelivery.rebuild()).toBeGreaterThan(0);
  await until(() => l.view.get(name)?.revision === 1, { what: 'the alias in the bucket' });
});

test('aliases of a backup come back side by side, page by page; a process that ends stops between two, and the next one does the rest', async () => {
  const key = await create();
  const names = Array.from({ length: 120 }, newName);
  async function* aliases() {
    for (const alias of names) yield pointAlias(undefined, alias, key.keyId);
    yield pointAlias(undefined, newName(), `k_${'x'.repeat(22)}`);
  }
  const record: RestoreRecord = {
    ...{ backupId: 'b_20260301120000000_AAAAAAAAAA', headerDigest: 'x', state: 'running', startedAt: now },
    ...{ progress: { keys: 0, of: 0 }, by: 'kim', session: 'S'.repeat(22) },
  };
  const [perPage, counts] = [100, { now: 0, most: 0, all: 0 }];
  const trail: Pick<AuditTrail, 'operation'> = {
    operation: async (...of) => {
      counts.most = Math.max(counts.most, ++counts.now);
      counts.all++;
      return l.trail.operation(...of).finally(() => counts.now--);
    },
  };
  const restore = (mayBegin: number) => {
    const assertGoingOn = () => {
      if (mayBegin-- === 0) throw new ProblemError('ERR_SHUTTING_DOWN');
    };
    return restoreAliases({ aliases: l.aliases, delivery: l.aliasDelivery, keys: l.store, trail, assertGoingOn }, { aliases }, record);
  };
  expect(await codeOf(restore(1))).toBe('ERR_SHUTTING_DOWN');
  expect(counts).toMatchObject({ all: perPage, now: 0 });
  expect(counts.most).toBeGreaterThan(1);
  expect(await l.aliases.get(names[perPage] as string)).toBeUndefined();
  expect(await restore(2)).toEqual({ aliases: names.length, aliasesLeftOut: 1 });
  for (const name of names) expect(await l.aliases.get(name)).toMatchObject({ keyId: key.keyId, revision: 1 });
});

test(`a key has at most ${limits.aliasesPerKey} aliases`, async () => {
  const key = await create();
  for (let n = 0; n < limits.aliasesPerKey; n++) await l.aliases.change(undefined, pointAlias(undefined, newName(), key.keyId), [], []);
  expect(await codeOf(set(newName(), key.keyId))).toBe('ERR_KEY_STATE');
});

async function eventsOf(alias: string): Promise<CloudEvent<'io.claviger.key.alias-changed'>['data'][]> {
  await until(async () => (await l.aliases.pending(1_000)).items.every((item) => item.aggregateId !== alias), {
    what: 'the outbox to be empty',
  });
  const reader = await l.broker.connection('provisionerCore');
  try {
    const jsm = await jetstreamManager(reader);
    const { state } = await jsm.streams.info('KEYS');
    const found: CloudEvent<'io.claviger.key.alias-changed'>['data'][] = [];
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage('KEYS', { seq });
      if (!message?.subject.startsWith(eventSubject('io.claviger.key.alias-changed'))) continue;
      const data = eventTypes['io.claviger.key.alias-changed'].data.parse(message.json<{ data: unknown }>().data);
      if (data.alias === alias) found.push(data);
    }
    return found;
  } finally {
    await reader.close();
  }
}
