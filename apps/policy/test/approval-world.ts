import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { changeChallenge, claviger, Evaluator, Gate, signApproval, signerWith } from '@claviger/authz';
import {
  type ApprovalKey,
  type ApprovalProof,
  bundleFormat,
  type ChangesView,
  outcomeId,
  type PolicyBundle,
  type Principal,
  ProblemError,
  policyOperations,
  type SessionView,
} from '@claviger/contracts';
import {
  AuditTrail,
  KvOwner,
  openChangesView,
  RecordedProblem,
  type RequestContext,
  recordTypes,
  revisionReader,
} from '@claviger/messaging';
import { ApprovedChanges, OwedRecords, RecordedReply } from '@claviger/service';
import { fakeClock, openTestStore, ownKey, SoftwareAuthenticator, startBroker, temporaryFolder, until } from '@claviger/testing';
import { context } from '@opentelemetry/api';
import type { Change } from '../src/change';
import { ChangeKeeper } from '../src/change-keeper';
import { ChangeStore } from '../src/change-store';
import { type Guard, type KeyNumber, type Person, people, type Standing } from './approval-model';
import { sessionId } from './policy-system';

const operation = policyOperations.issueToken;
export type Input = { principal: string; lifetimeSeconds: number };
const silent = { log() {}, warn() {}, error() {}, debug() {}, verbose() {} };
const cedar = (id: string, annotations: string, role: string) =>
  `@id("${id}") @control("test") ${annotations} permit (principal in Claviger::Role::"${role}", action == Claviger::Action::"access:IssueToken", resource is Claviger::System);`;
const policies = (guard: Guard): string => {
  if (guard === 'none') return cedar('plain', '', 'operator');
  if (guard === 'denied') return cedar('others', '', 'auditor');
  return cedar('guarded', `@quorum("${guard.quorum}") @approvers("${guard.approvers.join(', ')}")`, 'operator');
};
const starter = (file: string) => readFileSync(new URL(`../../../deploy/policies/starter/${file}`, import.meta.url), 'utf8');

/** Two keys of each: a person with WebAuthn credentials, the others with keys of their own of both kinds. */
function keysOf(person: Person): { key: ApprovalKey; prove: (about: ApprovalOf, approver: string) => ApprovalProof }[] {
  return [0, 1].map((n) => {
    if (person === 'sofia') {
      const authenticator = new SoftwareAuthenticator();
      return { key: authenticator.key, prove: ({ challenge, verified }) => authenticator.assert(challenge, { unverified: !verified }) };
    }
    const own = ownKey(n === 0 ? 'P-256' : 'Ed25519');
    return {
      key: own.key,
      prove: ({ change, challenge }, approver) => ({
        kind: 'signature',
        jws: signApproval({ type: 'claviger.approval/1', change, challenge, approver }, own.jwk, signerWith(own.privateKey)),
      }),
    };
  });
}
interface ApprovalOf {
  change: string;
  challenge: string;
  /** With a second factor, where the key tells. */
  verified: boolean;
}

/**
 * The keeper of change requests and two services that execute them, with real signatures, broker, bucket, store and ledger; each has its own connection and its own
 * copy of the bucket. Time is the test's, and what an executed command does is to be counted.
 */
export async function startWorld() {
  const folder = await temporaryFolder('approval-flows');
  const [broker, testStore] = await Promise.all([startBroker({ dir: folder.path }), openTestStore()]);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const es256 = (input: Buffer) => sign('sha256', input, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
  const trusted = new Map([['control-1', pair.publicKey]]);
  const signer = { kid: 'control-1', sign: es256 };
  const clock = fakeClock(Date.now());
  const evaluator = new Evaluator();
  const keys = Object.fromEntries(people.map((id) => [id, keysOf(id)])) as Record<Person, ReturnType<typeof keysOf>>;
  let revision = 0;
  let requester = 'otto';
  const sessions = new Map<string, SessionView>();
  /** By change: how often its command was done. */
  const executed = new Map<string, number>();

  const users = ['policy', 'policy', 'key-lifecycle'] as const;
  const connections = await Promise.all(users.map((user) => broker.connection(user)));
  const holders = connections.map((connection, n) => ({
    connection,
    view: openChangesView({ connection, holder: `${users[n]}.${n}`, trusted, onRefused: () => undefined }),
    owner: new KvOwner<ChangesView>(connection, 'changes', recordTypes.changes, signer, revisionReader('changes', trusted)),
  }));
  const [kept, ...executing] = holders as [(typeof holders)[0], ...typeof holders];
  await Promise.all(holders.flatMap(({ view, owner }) => [view.start(), owner.start()]));
  await until(() => kept.view.proven(), { what: 'the view to be proven' });

  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  const openEpoch = () => ({ batchPublicKey: spki, signBatch: es256, certifier: 'certifier', certify: es256 });
  const trail = new AuditTrail({ connection: kept.connection, service: 'policy', worker: 'p-test', openEpoch });
  const store = ChangeStore.open(
    ...([testStore.url, testStore.databaseName('flows'), signer, trusted] as const),
    (id) => kept.view.held(id)?.revision,
    () => undefined,
  );
  const owed = new OwedRecords({ source: store, trail, signer, trusted, onTampered: () => undefined, logger: silent, dueAfterMs: 60_000 });
  const keeper = new ChangeKeeper({
    ...{ connection: kept.connection, store, owed, owner: kept.owner, view: kept.view, people: evaluator, trusted },
    ...{ logger: silent, nowMs: clock.now },
  });
  keeper.start();
  await Promise.all(holders.map(({ view }) => view.whenFresh()));

  const replies = executing.map(({ view, owner }, n) => {
    const ports = { get: (id: string) => sessions.get(id), fetch: async (id: string) => sessions.get(id), fresh: () => true };
    const gate = new Gate({ sessions: ports, policy: { fresh: () => true }, evaluator, nowMs: clock.now });
    const approved = new ApprovedChanges({
      ...{ view, owner, people: evaluator, signer, holder: `executor.${n}`, logger: silent, nowMs: clock.now },
    });
    return new RecordedReply(gate, trail, undefined, approved);
  });

  const openSession = (principal: string): string => {
    const session = sessionId();
    const expiresAt = new Date(clock.now() + 10 * 365 * 86_400_000).toISOString();
    const [issuedAt, authTime] = [new Date(clock.now()).toISOString(), new Date(clock.now()).toISOString()];
    sessions.set(session, {
      ...{ kind: 'session', id: session, revision: 1, session, principal, method: 'token', mfa: true, authTime, issuedAt, expiresAt },
      ...{ chain: 'A'.repeat(43), ip: 'commitment-to-ip', state: 'active' },
    });
    return session;
  };
  const asking = (principal: string, session: string, input: Input, change?: string): RequestContext => ({
    ...{ subject: '', principal, session, service: 'access', verb: 'issue-token', requestId: randomUUID(), trace: context.active() },
    command: { operation: operation.name, input },
    ...(change === undefined ? {} : { change }),
  });
  const intend = (by: string) => (change: Change) =>
    trail.intend({
      ...{ action: 'changes:Approve', ...trail.who(asking(by, sessionId(), { principal: by, lifetimeSeconds: 60 })), ip: 'x', mfa: true },
      ...{ change: change.change, policies: [], revisions: { session: 1, bundle: revision }, revision: change.revision },
    });

  return {
    ...{ broker, trail, clock, executed, keeper },
    requester: () => requester,
    /** One who has requested nothing yet. */
    begin() {
      requester = `otto-${randomBytes(4).toString('hex')}`;
      return [openSession(requester), openSession(requester)] as const;
    },
    openSession,
    /** Another bundle comes into force everywhere. */
    publish(standings: Record<Person, Standing>, guard: Guard): void {
      const oidc = (subject: string, acr: string) => ({ kind: 'oidc' as const, issuer: 'https://login.example', subject, claims: { acr } });
      const record = (id: string, more: Partial<Principal>): Principal => ({
        ...{ id, kind: 'person', roles: [], disabled: false, revision: 1, identities: [{ kind: 'token' }] },
        ...more,
      });
      const principals = people.map((id) => {
        const { enabled, officer, key } = standings[id];
        const identity = { sofia: oidc('sofia', '1'), sofie: oidc('sofia', '2'), twin: oidc('otto', '2') }[id as string];
        return record(id, {
          ...{ kind: id === 'robot' ? 'service' : 'person', roles: officer ? ['security-officer'] : [], disabled: !enabled },
          ...(key === undefined || id === 'robot' ? {} : { approvalKeys: [keys[id][key]!.key] }),
          ...(identity ? { identities: [identity] } : {}),
        });
      });
      const members = (facet: 'direct' | 'nested' | 'umbrella') => people.filter((id) => standings[id][facet]);
      const group = (tenant: string, id: string, who: string[]) => ({ tenant, id, members: who, roles: [], revision: 1 });
      const bundle: PolicyBundle = {
        ...{ format: bundleFormat, revision: ++revision, policies: policies(guard), schema: starter('schema.cedarschema') },
        roles: JSON.parse(starter('roles.json')),
        principals: [...principals, record(requester, { roles: ['operator', 'security-officer'], identities: [oidc('otto', '1')] })],
        groups: [
          group('acme', 'security', [...members('direct'), 'group:acme/night-shift']),
          ...[group('acme', 'night-shift', members('nested')), group('umbrella', 'security', members('umbrella'))],
        ],
        ...{ grants: [], publishedAt: '2026-01-01T00:00:00.000Z' },
      };
      const loaded = evaluator.load(bundle);
      if (!loaded.ok) throw new Error(JSON.stringify(loaded));
    },
    /** `done`, or the code of the refusal with what it is a demand for. */
    async execute(executor: number, by: { principal: string; session: string }, input: Input, change?: string) {
      const reply = replies[executor] as RecordedReply;
      try {
        await reply.answer(operation, asking(by.principal, by.session, input, change), {}, ({ admit }) => {
          admit('access:IssueToken', claviger);
          if (change !== undefined) executed.set(change, (executed.get(change) ?? 0) + 1);
          return { result: { token: 'of the service' } };
        });
        return { code: 'done' };
      } catch (error) {
        if (!(error instanceof RecordedProblem)) throw error;
        return { code: error.problem.code as string, demand: error.problem.approval?.demand };
      }
    },
    request: (by: string, input: Input, demand: string, expiresInHours: number) =>
      coded(keeper.request(by, { operation: operation.name, input, reason: 'the service moves', expiresInHours, demand }, intend(by))),
    /** As the approver's client would prove it, by the key of this number, of the change as it is shown to be. */
    approve(change: Change, approver: Person, number: KeyNumber, about: Partial<Change> = {}, verified = true) {
      const exact = { ...change, ...about };
      const proof = keys[approver][number]!.prove({ change: exact.change, challenge: changeChallenge(exact), verified }, approver);
      return coded(keeper.approve(change.change, approver, proof, intend(approver)));
    },
    end: (how: 'withdraw' | 'reject', change: string, by: string) => coded(keeper[how](change, by, 'not this week', intend(by))),
    /** Until the keeper knows what became of it. */
    async settled(change: string): Promise<void> {
      const outcome = await kept.view.fetch(outcomeId(change));
      if (outcome)
        await until(() => (kept.view.held(outcomeId(change))?.revision ?? 0) >= outcome.revision, { what: 'the outcome', everyMs: 2 });
    },
    async stop() {
      await keeper.stop();
      for (const { view, owner } of holders) {
        view.stop();
        owner.stop();
      }
      await trail.commit.stop(1_000);
      await store.close();
      await Promise.all(connections.map((connection) => connection.close()));
      await Promise.all([broker.stop(), testStore.stop()]);
      await folder.remove();
    },
  };
}
export type World = Awaited<ReturnType<typeof startWorld>>;

async function coded<T extends { change: Change }>(asked: Promise<T>): Promise<{ code: string; change?: Change }> {
  try {
    return { code: 'done', change: (await asked).change };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { code: error.code };
  }
}
