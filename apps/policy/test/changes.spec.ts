import { changeChallenge, signApproval, signerWith } from '@claviger/authz';
import { type ChangesView, outcomeId, type PolicyBundle, type Principal } from '@claviger/contracts';
import { KvOwner, recordTypes, revisionReader, signRecord } from '@claviger/messaging';
import { ownKey, SoftwareAuthenticator, until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { MongoClient } from 'mongodb';
import { ask, build, type Caller, PolicySystem, principal } from './policy-system';

let system: PolicySystem;
let bucket: KvOwner<ChangesView>;
let mongo: MongoClient;
let otto: Caller;
let sofia: Caller;
let simon: Caller;
let sven: Caller;

const authenticator = new SoftwareAuthenticator();
const [ottosKey, simonsKey, svensKey] = [ownKey(), ownKey('P-256'), ownKey()];
const officer = (id: string, more: Partial<Principal>) => principal(id, { roles: ['security-officer'], ...more });

/** Security officers issue tokens for others when two others of them approve. */
const guard = `
@id("tokens-with-approval")
@control("test")
@quorum("2")
@approvers("security-officer")
permit (principal in Claviger::Role::"security-officer", action == Claviger::Action::"access:IssueToken", resource is Claviger::System);
`;

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({
    policies: guard,
    principals: [
      principal('otto', { roles: ['security-officer'], approvalKeys: [ottosKey.key] }),
      officer('sofia', { approvalKeys: [authenticator.key] }),
      officer('simon', { approvalKeys: [simonsKey.key] }),
      officer('sven', { approvalKeys: [svensKey.key] }),
      principal('payments-api', { kind: 'service', roles: ['application'] }),
      principal('audra', { roles: ['auditor'] }),
      principal('nia'),
    ],
  });
  await Promise.all([system.startPolicy(), system.startPolicy()]);
  mongo = new MongoClient(system.storeUrl);
  otto = await system.caller('otto');
  sofia = await system.caller('sofia');
  simon = await system.caller('simon');
  sven = await system.caller('sven');
  // Somebody who has the broker's user and a signing key of the policy service, and no approver's key.
  const connection = await system.connectAs('policy');
  const trusted = new Map([[system.key.kid, system.key.publicKey]]);
  bucket = new KvOwner<ChangesView>(connection, 'changes', recordTypes.changes, system.key, revisionReader('changes', trusted));
  await bucket.start();
}, 120_000);

afterAll(async () => {
  await system?.stop();
  await mongo?.close();
});

interface Shown {
  change: string;
  state: string;
  requester: string;
  operation: string;
  input: Record<string, unknown>;
  reason: string;
  quorum: number;
  approvers: string[];
  expiresAt: string;
  challenge: string;
  approvals: { approver: string }[];
}
type Reply = Awaited<ReturnType<typeof ask>>;
const resultOf = <T>(reply: Reply): T => {
  expect(reply).not.toHaveProperty('problem');
  return (reply as unknown as { result: T }).result;
};
const codeOf = (reply: Reply) => reply.problem?.code ?? 'done';

const command = { principal: 'payments-api', lifetimeSeconds: 60 };
const issue = (input: Record<string, unknown> = command, by = otto) => ask(by, 'access.issue-token', input);
const demandOf = (reply: Reply) => (reply.problem as unknown as { approval: { quorum: number; demand: string } }).approval;
async function requested(input: Record<string, unknown> = command): Promise<Shown> {
  const refused = await issue(input);
  expect(refused.problem).toMatchObject({ code: 'ERR_APPROVAL_REQUIRED', approval: { quorum: 2, approvers: ['security-officer'] } });
  const { demand } = demandOf(refused);
  const asked = { operation: 'access.issue-token', input, reason: 'the service moves', demand };
  return resultOf<Shown>(await ask(otto, 'changes.request', asked));
}
const shown = async (change: string, by = otto) => resultOf<Shown>(await ask(by, 'changes.show', { change }));
const signed = (about: Shown, approver: string, own: ReturnType<typeof ownKey>) => {
  const statement = { type: 'claviger.approval/1' as const, change: about.change, challenge: changeChallenge(about), approver };
  return { kind: 'signature', jws: signApproval(statement, own.jwk, signerWith(own.privateKey)) };
};
const approveAs = async (caller: Caller, change: string, own?: ReturnType<typeof ownKey>) => {
  const about = await shown(change, caller);
  const proof = own ? signed(about, caller.id, own) : authenticator.assert(changeChallenge(about));
  return ask(caller, 'changes.approve', { change, proof });
};
async function approved(input?: Record<string, unknown>): Promise<string> {
  const { change } = await requested(input);
  expect(await approveAs(sofia, change)).toMatchObject({ result: { state: 'requested' } });
  expect(await approveAs(simon, change, simonsKey)).toMatchObject({ result: { state: 'approved' } });
  return change;
}
const execute = (change: string, input: Record<string, unknown> = command, by = otto) => issue({ ...input, change }, by);

describe('a command that policy asks for approval of', () => {
  test('is done once, for its requester, when two others approved exactly it, by WebAuthn and by a key of their own', async () => {
    const change = await approved();
    const other = await system.caller('otto');
    const { token } = resultOf<{ token: string }>(await execute(change, command, other));
    expect(token.split('.')).toHaveLength(3);
    expect(await execute(change)).toMatchObject({ problem: { code: 'ERR_CHANGE_USED' } });
    await until(async () => (await shown(change)).state === 'executed', { what: 'the change to be executed' });
    const record = await system.recorded({ action: 'access:IssueToken', change, outcome: 'success' });
    expect(record).toMatchObject({
      principal: 'otto',
      session: other.session,
      approvedBy: ['sofia', 'simon'],
      policies: ['officers-issue-tokens', 'tokens-with-approval'],
    });
    for (const action of ['changes:Request', 'changes:Approve']) await system.recorded({ action, change, outcome: 'success' });
    const types = async () => (await events()).filter(({ subject }) => subject === change).map(({ type }) => type);
    await until(async () => (await types()).length >= 3, { what: 'its events' });
    expect(await types()).toEqual(['requested', 'approved', 'executed'].map((what) => `io.claviger.change.${what}`));
  });

  test('is done by one of two replicas that are asked at once', async () => {
    const change = await approved();
    const replies = await Promise.all(Array.from({ length: 8 }, () => execute(change)));
    expect(replies.map(codeOf).sort()).toEqual([...Array(7).fill('ERR_CHANGE_USED'), 'done']);
  });

  test('is not done again when whoever began it ended before it said how that went', async () => {
    const change = await approved();
    const { expiresAt } = await shown(change);
    const claim = {
      kind: 'outcome',
      id: outcomeId(change),
      revision: 1,
      change,
      state: 'executing',
      by: 'policy.gone',
      at: new Date().toISOString(),
      expiresAt,
    } as const;
    expect(await bucket.claim(claim, 3_600)).toBe(true);
    expect(await execute(change)).toMatchObject({
      problem: { code: 'ERR_CHANGE_USED', detail: expect.stringContaining('the ledger says') },
    });
    await until(async () => (await shown(change)).state === 'executing', { what: 'it to be told' });
    expect(codeOf(await ask(otto, 'changes.withdraw', { change, reason: 'x' }))).toBe('ERR_CHANGE_USED');
  });

  test('is not done without approvals, for somebody else, or with another input', async () => {
    const { change } = await requested();
    await approveAs(sofia, change);
    expect(await execute(change)).toMatchObject({ problem: { code: 'ERR_APPROVAL_REQUIRED', detail: expect.stringContaining('1 of 2') } });
    await approveAs(simon, change, simonsKey);
    expect(codeOf(await execute(change, { ...command, lifetimeSeconds: 900 }))).toBe('ERR_CHANGE_MISMATCH');
    expect(codeOf(await ask(otto, 'access.list-sessions', { change }))).toBe('ERR_CHANGE_MISMATCH');
    expect(codeOf(await execute(change, command, sven))).toBe('ERR_CHANGE_UNKNOWN');
    expect(codeOf(await execute('ch_AAAAAAAAAAAAAAAAAAAAAA'))).toBe('ERR_CHANGE_UNKNOWN');
    // None of these used it up.
    expect(codeOf(await execute(change))).toBe('done');
  });

  test('by a service of policy that lies it is not done either: its signature is no approval', async () => {
    const { change, ...about } = await requested();
    const { approvals } = await shown(change);
    expect(approvals).toEqual([]);
    const { command: digest, requestedAt } = (await bucketRecord(change)) as { command: string; requestedAt: string };
    const forged = ['sofia', 'simon'].map((approver) => ({
      approver,
      at: requestedAt,
      proof: signed({ ...about, change } as Shown, approver, ownKey()),
    }));
    const record = {
      kind: 'change',
      id: change,
      revision: 9,
      requester: 'otto',
      operation: about.operation,
      command: digest,
      reason: about.reason,
    };
    const more = { quorum: 1, approvers: ['operator'], requestedAt, expiresAt: about.expiresAt, approvals: forged };
    expect(await bucket.put({ ...record, ...more } as ChangesView)).toBe('written');
    const reply = await execute(change);
    expect(reply).toMatchObject({
      problem: { code: 'ERR_APPROVAL_REQUIRED', detail: expect.stringContaining('the approval of sofia is refused') },
    });
  });
});

describe('an approval', () => {
  test('of the requester, under another session too, of somebody without the role, or of nobody with a key, counts for nothing', async () => {
    const { change } = await requested();
    const again = await system.caller('otto');
    expect(codeOf(await approveAs(again, change, ottosKey))).toBe('ERR_APPROVER');
    const audra = await system.caller('audra');
    expect(codeOf(await approveAs(audra, change, ownKey()))).toBe('ERR_ACCESS_DENIED');
    expect(codeOf(await approveAs(simon, change, ownKey()))).toBe('ERR_APPROVAL_INVALID');
    const unverified = authenticator.assert(changeChallenge(await shown(change)), { unverified: true });
    expect(codeOf(await ask(sofia, 'changes.approve', { change, proof: unverified }))).toBe('ERR_APPROVAL_INVALID');
  });

  test('that is replayed on another change, or was made of something else, is refused', async () => {
    const [one, two] = [await requested(), await requested({ ...command, lifetimeSeconds: 61 })];
    const about = await shown(one.change);
    const replayed = await ask(simon, 'changes.approve', { change: two.change, proof: signed(about, 'simon', simonsKey) });
    expect(replayed).toMatchObject({ problem: { code: 'ERR_APPROVAL_INVALID', detail: expect.stringContaining('another change') } });
    const altered = signed({ ...about, input: { ...about.input, lifetimeSeconds: 900 } }, 'simon', simonsKey);
    expect(codeOf(await ask(simon, 'changes.approve', { change: one.change, proof: altered }))).toBe('ERR_APPROVAL_INVALID');
    const assertion = authenticator.assert(changeChallenge(about));
    expect(codeOf(await ask(sofia, 'changes.approve', { change: two.change, proof: assertion }))).toBe('ERR_APPROVAL_INVALID');
  });

  test('after rejection or withdrawal is refused, and what was approved before is not done', async () => {
    const rejected = await approved();
    expect(await ask(sven, 'changes.reject', { change: rejected, reason: 'not this week' })).toMatchObject({
      result: { state: 'rejected' },
    });
    const withdrawn = await approved();
    expect(codeOf(await ask(simon, 'changes.withdraw', { change: withdrawn, reason: 'x' }))).toBe('done');
    for (const change of [rejected, withdrawn]) {
      expect(codeOf(await approveAs(sven, change, svensKey))).toBe('ERR_CHANGE_STATE');
      expect(codeOf(await execute(change))).toBe('ERR_CHANGE_STATE');
    }
  });
});

describe('a request', () => {
  test('is of exactly what was refused, for who was refused', async () => {
    const { demand } = demandOf(await issue());
    const asked = { operation: 'access.issue-token', input: command, reason: 'x', demand };
    expect(codeOf(await ask(otto, 'changes.request', { ...asked, input: { ...command, lifetimeSeconds: 900 } }))).toBe(
      'ERR_CHANGE_MISMATCH',
    );
    expect(codeOf(await ask(sofia, 'changes.request', asked))).toBe('ERR_CHANGE_MISMATCH');
    expect(codeOf(await ask(otto, 'changes.request', { ...asked, demand: signRecord('x', {}, system.key) }))).toBe('ERR_CHANGE_MISMATCH');
    expect(codeOf(await ask(otto, 'changes.request', { ...asked, operation: 'crypto.encrypt' }))).toBe('ERR_CHANGE_UNSUPPORTED');
    expect(codeOf(await ask(otto, 'changes.request', { ...asked, input: { ...command, more: 1 } }))).toBe('ERR_MALFORMED_REQUEST');
    expect(codeOf(await ask(otto, 'changes.request', { ...asked, expiresInHours: 337 }))).toBe('ERR_MALFORMED_REQUEST');
  });

  test('is seen by its requester, those who may approve it, and readers', async () => {
    const { change } = await requested();
    for (const caller of [otto, sofia, await system.caller('audra')]) expect((await shown(change, caller)).input).toEqual(command);
    const service = await system.caller('payments-api');
    expect(codeOf(await ask(service, 'changes.show', { change }))).toBe('ERR_ACCESS_DENIED');
    expect(resultOf<{ changes: unknown[] }>(await ask(service, 'changes.list')).changes).toEqual([]);
    expect(
      resultOf<{ changes: Shown[] }>(await ask(otto, 'changes.list', { state: 'requested' })).changes.map((one) => one.change),
    ).toContain(change);
  });

  test('that was edited in the store is used by nobody, and the ledger says so', async () => {
    const { change } = await requested();
    const changes = mongo.db(system.database).collection<{ _id: string; state: string }>('changes');
    await changes.updateOne({ _id: change }, { $set: { state: 'approved' } });
    expect(codeOf(await ask(simon, 'changes.show', { change }))).toBe('ERR_STORE_UNAVAILABLE');
    expect(codeOf(await execute(change))).toBe('ERR_APPROVAL_REQUIRED');
    await system.recorded({ kind: 'refused-state', bucket: 'store', key: change, reason: 'tampered-document' });
    await changes.updateOne({ _id: change }, { $set: { state: 'requested' } });
  });
});

describe('the quorum guards itself', () => {
  const bundleNow = async () => resultOf<{ bundle: PolicyBundle }>(await ask(sofia, 'policy.show')).bundle;
  const publish = async (change: (bundle: PolicyBundle) => Partial<PolicyBundle>) => {
    const before = await bundleNow();
    const { revision, publishedAt: _, ...bundle } = before;
    const input = { basedOn: revision, bundle: { ...bundle, ...change(before) }, reason: 'new rules' };
    return { input, reply: await ask(sofia, 'policy.publish', input) };
  };
  const withPrincipal = (id: string, change: Partial<Principal>) => (bundle: PolicyBundle) => ({
    principals: bundle.principals.map((one) => (one.id === id ? { ...one, ...change, revision: one.revision + 1 } : one)),
  });

  test.each<[string, (bundle: PolicyBundle) => Partial<PolicyBundle>, string]>([
    ['taking the guard away', (b) => ({ policies: b.policies.replace(guard, '') }), 'takes the policy tokens-with-approval away'],
    ['lowering the quorum', (b) => ({ policies: b.policies.replace(guard, guard.replace('"2"', '"1"')) }), 'changes the policy'],
    ['another approver', withPrincipal('nia', { roles: ['security-officer'], approvalKeys: [ownKey().key] }), 'nia could approve'],
    ['another key', withPrincipal('simon', { approvalKeys: [simonsKey.key, ownKey().key] }), 'simon could approve with another key'],
    ['a role that is taken away', withPrincipal('simon', { roles: [] }), 'simon could approve no more'],
    [
      'a permit beside the guard',
      (b) => ({
        policies: `${b.policies}\n@id("besides")\n@control("x")\npermit (principal, action in Claviger::Action::"access", resource);`,
      }),
      'its policy besides permits access:IssueToken',
    ],
  ])('%s needs it', async (_what, change, why) => {
    const { reply } = await publish(change);
    expect(reply).toMatchObject({
      problem: { code: 'ERR_APPROVAL_REQUIRED', detail: expect.stringContaining(why), approval: { quorum: 2 } },
    });
  });

  test('what touches no guard is published as ever; an approver is disabled at once, and counts no more', async () => {
    const change = await approved();
    const { reply } = await publish(withPrincipal('simon', { disabled: true }));
    expect(codeOf(reply)).toBe('done');
    const now = (await bundleNow()).revision;
    const views = await system.views();
    await until(() => views.policy.get('bundle')?.revision === now, { what: 'the bundle to arrive' });
    views.stop();
    await until(async () => (await execute(change)).problem?.detail.includes('simon is disabled'), { what: 'both replicas to have it' });
    expect(codeOf(await approveAs(sven, change, svensKey))).toBe('done');
    await until(async () => codeOf(await execute(change)) === 'done', { what: 'the third approval to arrive' });
  });

  test('a bundle that two others approved is published, exactly as they saw it', async () => {
    await publish(withPrincipal('simon', { disabled: false }));
    const { input, reply } = await publish((b) => ({ policies: b.policies.replace(guard, guard.replace('"2"', '"3"')) }));
    const asked = { operation: 'policy.publish', input, reason: 'one more', demand: demandOf(reply).demand };
    const { change } = resultOf<Shown>(await ask(sofia, 'changes.request', asked));
    expect(codeOf(await approveAs(sven, change, svensKey))).toBe('done');
    expect(await approveAs(otto, change, ottosKey)).toMatchObject({ result: { state: 'approved' } });
    const altered = { ...input, reason: 'other rules', change };
    expect(codeOf(await ask(sofia, 'policy.publish', altered))).toBe('ERR_CHANGE_MISMATCH');
    expect(codeOf(await ask(sofia, 'policy.publish', { ...input, change }))).toBe('done');
    await until(async () => (await bundleNow()).policies.includes('@quorum("3")'), { what: 'whichever replica is asked to have it' });
  });
});

async function bucketRecord(id: string): Promise<object> {
  const connection = await system.connectAs('provisionerCore');
  try {
    const jsm = await jetstreamManager(connection);
    const message = await jsm.streams.getMessage('KV_changes', { last_by_subj: `$KV.changes.${id}` });
    return JSON.parse(Buffer.from(message!.string().split('.')[1] as string, 'base64url').toString()) as object;
  } finally {
    await connection.close();
  }
}

async function events(): Promise<{ type: string; subject: string }[]> {
  const connection = await system.connectAs('provisionerCore');
  try {
    const jsm = await jetstreamManager(connection);
    const { state } = await jsm.streams.info('POLICY');
    const found: { type: string; subject: string }[] = [];
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage('POLICY', { seq });
      if (message) found.push(message.json());
    }
    return found;
  } finally {
    await connection.close();
  }
}
