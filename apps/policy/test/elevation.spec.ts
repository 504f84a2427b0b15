import { changeChallenge, signApproval, signerWith } from '@claviger/authz';
import type { BreakGlassReview, Grant, PolicyBundle } from '@claviger/contracts';
import { ownKey, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { ask, build, type Caller, PolicySystem, principal } from './policy-system';

let system: PolicySystem;
const callers = new Map<string, Caller>();
const keys = { sofia: ownKey(), simon: ownKey('P-256') };
type Reply = Awaited<ReturnType<typeof ask>>;
type Shown = Parameters<typeof changeChallenge>[0] & { state: string };

const resultOf = <T>(reply: Reply): T => {
  expect(reply).not.toHaveProperty('problem');
  return (reply as unknown as { result: T }).result;
};
const codeOf = (reply: Reply) => reply.problem?.code ?? 'done';
const as = (id: string) => callers.get(id) as Caller;

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({
    principals: [
      principal('otto', { roles: ['operator'] }),
      principal('olga', { roles: ['operator', 'application-owner'] }),
      principal('sofia', { roles: ['security-officer'], approvalKeys: [keys.sofia.key] }),
      principal('simon', { roles: ['security-officer'], approvalKeys: [keys.simon.key] }),
      principal('anna', { roles: ['auditor'] }),
    ],
  });
  await Promise.all([system.startPolicy(), system.startPolicy()]);
  for (const id of ['otto', 'olga', 'sofia', 'simon', 'anna'])
    callers.set(id, await system.caller(id, { token: system.token(id, { amr: ['mfa'] }) }));
}, 120_000);

afterAll(() => system?.stop());

async function requested(by: string, operation: string, input: Record<string, unknown>): Promise<string> {
  const refused = await ask(as(by), operation, input);
  expect(refused.problem).toMatchObject({ code: 'ERR_APPROVAL_REQUIRED' });
  const { demand } = (refused.problem as unknown as { approval: { demand: string } }).approval;
  return resultOf<Shown>(await ask(as(by), 'changes.request', { operation, input, reason: 'incident 42', demand })).change;
}
async function approve(change: string, by: 'sofia' | 'simon'): Promise<void> {
  const about = resultOf<Shown>(await ask(as(by), 'changes.show', { change }));
  const statement = { type: 'claviger.approval/1' as const, change, challenge: changeChallenge(about), approver: by };
  const { jwk, privateKey } = keys[by];
  const proof = { kind: 'signature', jws: signApproval(statement, jwk, signerWith(privateKey)) };
  expect(codeOf(await ask(as(by), 'changes.approve', { change, proof }))).toBe('done');
}
const bundle = async () => resultOf<{ bundle: PolicyBundle }>(await ask(as('sofia'), 'policy.show')).bundle;
const inForce = (check: (bundle: PolicyBundle) => boolean, what: string) => until(async () => check(await bundle()), { what });
const input = { role: 'key-administrator', minutes: 60, reason: 'stand in' };

test('a role is asked for, approved by another, in force for its time, and ended before it', async () => {
  const change = await requested('otto', 'access.request', input);
  const waiting = resultOf<{ requests: object[] }>(await ask(as('simon'), 'access.requests', { state: 'requested' })).requests;
  expect(waiting).toContainEqual(
    expect.objectContaining({ change, requester: 'otto', by: 'request', role: 'key-administrator', minutes: 60, approvedBy: [] }),
  );
  expect(codeOf(await ask(as('otto'), 'access.request', { ...input, change }))).toBe('ERR_APPROVAL_REQUIRED');
  await approve(change, 'sofia');
  const replies = await Promise.all(Array.from({ length: 4 }, () => ask(as('otto'), 'access.request', { ...input, change })));
  expect(replies.filter(({ problem }) => !problem)).toHaveLength(1);
  const { grant } = resultOf<{ grant: Grant }>(replies.find((reply) => !reply.problem) as Reply);
  expect(grant).toMatchObject({
    ...{ principal: 'otto', role: 'key-administrator' },
    elevated: { by: 'request', rules: ['operator-administers-keys'], change, reason: 'stand in', approvedBy: ['sofia'] },
  });
  expect(Date.parse(grant.notAfter as string) - Date.parse(grant.notBefore as string)).toBe(3_600_000);
  await system.recorded({
    action: 'access:Request',
    change,
    outcome: 'success',
    reason: 'the role key-administrator for 60 min: stand in',
  });
  await inForce(({ grants }) => grants.some(({ id }) => id === grant.id), 'the grant to be in force');

  // What is published takes nothing of it away, and forges nothing.
  const { revision, publishedAt: _, ...proposed } = await bundle();
  const forged = { ...grant, id: 'jit-forged', principal: 'olga' };
  const published = await ask(as('sofia'), 'policy.publish', {
    basedOn: revision,
    bundle: { ...proposed, grants: [forged] },
    reason: 'tidied',
  });
  expect(codeOf(published)).toBe('done');
  await inForce((now) => now.revision > revision, 'the publication to be in force');
  expect((await bundle()).grants.map(({ id }) => id)).toEqual([grant.id]);

  expect(resultOf<{ grants: Grant[] }>(await ask(as('otto'), 'access.list-grants')).grants).toEqual([grant]);
  expect(resultOf<{ grants: Grant[] }>(await ask(as('anna'), 'access.list-grants', { principal: 'otto' })).grants).toEqual([grant]);
  expect(resultOf<{ grants: Grant[] }>(await ask(as('olga'), 'access.list-grants', { principal: 'otto' })).grants).toEqual([]);
  expect(codeOf(await ask(as('olga'), 'access.revoke-grant', { grant: grant.id, reason: 'x' }))).toBe('ERR_ACCESS_DENIED');
  expect(await ask(as('otto'), 'access.revoke-grant', { grant: grant.id, reason: 'done' })).toMatchObject({ result: { changed: true } });
  await inForce(({ grants }) => grants.length === 0, 'the grant to be gone');
  expect(await ask(as('sofia'), 'access.revoke-grant', { grant: grant.id, reason: 'again' })).toMatchObject({ result: { changed: false } });
  await until(async () => (await types(grant.id)).length === 2, { what: 'its events' });
  expect(await types(grant.id)).toEqual(['elevated', 'elevation-ended']);
});

test('what no rule is about, what would join roles that exclude each other, and a key that is not there are refused before anybody is asked', async () => {
  const asked = (by: string, more: object) => ask(as(by), 'access.request', { minutes: 5, reason: 'x', ...more });
  expect(codeOf(await asked('otto', { role: 'auditor' }))).toBe('ERR_ELEVATION_REFUSED');
  expect(codeOf(await asked('otto', { role: 'key-administrator', minutes: 481 }))).toBe('ERR_ELEVATION_REFUSED');
  expect(codeOf(await asked('anna', { role: 'operator' }))).toBe('ERR_ACCESS_DENIED');
  expect(codeOf(await asked('otto', { role: 'operator', key: 'k_AAAAAAAAAAAAAAAAAAAAAA' }))).toBe('ERR_MALFORMED_REQUEST');
  expect(codeOf(await asked('otto', { action: 'crypto:Decrypt', key: 'k_AAAAAAAAAAAAAAAAAAAAAA' }))).toBe('ERR_NOT_FOUND');
  const plain = await system.caller('otto');
  expect(codeOf(await ask(plain, 'access.request', input))).toBe('ERR_SECOND_FACTOR_REQUIRED');
  // A rule of this installation lets operators ask for what they must never hold beside it.
  const { revision, publishedAt: _, ...proposed } = await bundle();
  const rule = {
    id: 'wrong',
    role: 'security-officer',
    requesters: ['operator'],
    maxMinutes: 5,
    mfa: false,
    quorum: 1,
    approvers: ['auditor'],
  };
  const elevations = [...(proposed.elevations ?? []), rule];
  expect(codeOf(await ask(as('sofia'), 'policy.publish', { basedOn: revision, bundle: { ...proposed, elevations }, reason: 'x' }))).toBe(
    'done',
  );
  await inForce((now) => now.elevations?.some(({ id }) => id === 'wrong') ?? false, 'the rule to be in force');
  expect(await asked('otto', { role: 'security-officer' })).toMatchObject({
    problem: { code: 'ERR_SEPARATION_OF_DUTIES', detail: expect.stringContaining('otto') },
  });
});

test('break-glass needs another person, is told, and closes the way until two others reviewed it', async () => {
  const emergency = { role: 'key-administrator', minutes: 30, reason: 'fire' };
  const change = await requested('otto', 'access.break-glass', emergency);
  await approve(change, 'sofia');
  const { grant } = resultOf<{ grant: Grant }>(await ask(as('otto'), 'access.break-glass', { ...emergency, change }));
  expect(grant.elevated).toMatchObject({ by: 'break-glass', approvedBy: ['sofia'], reason: 'fire' });
  await system.recorded({ action: 'access:BreakGlass', principal: 'otto', change, outcome: 'success' });
  const open = async (by: string) => resultOf<{ reviews: BreakGlassReview[] }>(await ask(as(by), 'access.break-glass-reviews')).reviews;
  await until(async () => (await open('anna')).length === 1, { what: 'the review to be open' });
  expect(await open('otto')).toEqual([expect.objectContaining({ id: grant.id, involved: ['otto', 'sofia'], closings: [] })]);
  expect(await open('olga')).toEqual([]);
  expect(codeOf(await ask(as('otto'), 'access.break-glass', emergency))).toBe('ERR_REVIEW_OPEN');

  const close = (by: string) => ask(as(by), 'access.close-review', { review: grant.id, reason: 'suspended one key' });
  expect(codeOf(await close('sofia'))).toBe('ERR_REVIEWER');
  expect(codeOf(await close('otto'))).toBe('ERR_ACCESS_DENIED');
  expect(await close('anna')).toMatchObject({ result: { closed: false, closedBy: ['anna'], missing: 1 } });
  expect(await close('anna')).toMatchObject({ result: { closed: false, closedBy: ['anna'], missing: 1 } });
  expect(codeOf(await ask(as('otto'), 'access.break-glass', emergency))).toBe('ERR_REVIEW_OPEN');
  expect(await close('simon')).toMatchObject({ result: { closed: true, closedBy: ['anna', 'simon'], missing: 0 } });
  expect(codeOf(await close('simon'))).toBe('ERR_NOT_FOUND');
  expect(codeOf(await ask(as('otto'), 'access.break-glass', emergency))).toBe('ERR_APPROVAL_REQUIRED');
  await until(async () => (await types(grant.id)).length === 3, { what: 'its events' });
  expect(await types(grant.id)).toEqual(['elevated', 'break-glass', 'break-glass-reviewed']);
});

/** Types of the events about a grant or its review, without the common part. */
async function types(subject: string): Promise<string[]> {
  const connection = await system.connectAs('provisionerCore');
  try {
    const jsm = await jetstreamManager(connection);
    const { state } = await jsm.streams.info('POLICY');
    const found: string[] = [];
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const event = (await jsm.streams.getMessage('POLICY', { seq }))?.json<{ type: string; subject: string }>();
      if (event?.subject === subject) found.push(event.type.replace('io.claviger.access.', ''));
    }
    return found;
  } finally {
    await connection.close();
  }
}
