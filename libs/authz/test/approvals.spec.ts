import { sign } from 'node:crypto';
import type { Approval, ApprovalKey, Principal } from '@claviger/contracts';
import { ownKey, SoftwareAuthenticator } from '@claviger/testing';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ApprovalRefused,
  type ApprovalRule,
  changeChallenge,
  commandDigest,
  countApprovals,
  Evaluator,
  type ExactChange,
  guardStandings,
  nameOfApprovalKey,
  type People,
  proveApproval,
  signApproval,
  signerWith,
  validateBundle,
} from '../src/index';
import { bundleOf, principal } from './starter-set';

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const change: ExactChange = {
  ...{ change: 'ch_AAAAAAAAAAAAAAAAAAAAAA', requester: 'owen', operation: 'keys.export', reason: 'move to the new data centre' },
  input: { keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA', recipient: { publicKeySpki: 'AAAA' }, reason: 'move' },
  ...{ quorum: 2, approvers: ['security-officer'], expiresAt: '2026-06-04T12:00:00.000Z' },
};
const challenge = changeChallenge(change);

const [sofiasKey, simonsKey, owensKey] = [ownKey('Ed25519'), ownKey('P-256'), ownKey()];
const signed = (approver: string, own: ReturnType<typeof ownKey>, about: Partial<ExactChange> = {}): Approval => {
  const exact = { ...change, ...about };
  const statement = { type: 'claviger.approval/1' as const, change: exact.change, challenge: changeChallenge(exact), approver };
  return {
    approver,
    at: '2026-06-01T12:00:00.000Z',
    proof: { kind: 'signature', jws: signApproval(statement, own.jwk, signerWith(own.privateKey)) },
  };
};
const proven = (approval: Approval, keys: readonly ApprovalKey[]) => proveApproval(approval, { change: change.change, challenge }, keys);
const refusal = (approval: Approval, keys: readonly ApprovalKey[]): Promise<string> =>
  proven(approval, keys).then(
    () => 'taken',
    (error) => (error instanceof ApprovalRefused ? error.message : Promise.reject(error)),
  );

describe('what is hashed', () => {
  test('the order of members is nothing, every value is everything', () => {
    const turned = { ...change, input: { reason: 'move', recipient: { publicKeySpki: 'AAAA' }, keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' } };
    expect(changeChallenge(turned)).toBe(challenge);
    const others: Partial<ExactChange>[] = [
      ...[{ change: 'ch_BAAAAAAAAAAAAAAAAAAAAA' }, { requester: 'sofia' }, { operation: 'keys.rotate' }, { reason: 'x' }, { quorum: 1 }],
      ...[{ approvers: ['auditor'] }, { expiresAt: '2026-06-05T12:00:00.000Z' }, { input: { ...change.input, version: 2 } }],
    ];
    for (const other of others) expect(changeChallenge({ ...change, ...other })).not.toBe(challenge);
    expect(commandDigest(turned)).toBe(commandDigest(change));
    expect(commandDigest({ ...change, operation: 'keys.rotate' })).not.toBe(commandDigest(change));
  });
});

describe('a signature by a key of the approver', () => {
  test.each(['Ed25519', 'P-256'] as const)('%s proves it', async (curve) => {
    const own = ownKey(curve);
    expect(await proven(signed('sofia', own), [simonsKey.key, own.key])).toEqual({ approver: 'sofia', key: nameOfApprovalKey(own.key) });
  });

  test.each<[string, Approval, RegExp]>([
    ['an approval of another change, replayed', signed('sofia', sofiasKey, { change: 'ch_BAAAAAAAAAAAAAAAAAAAAA' }), /of another change/],
    ['a command altered after approval', signed('sofia', sofiasKey, { input: { ...change.input, version: 3 } }), /of another command/],
    ['a quorum lowered after approval', signed('sofia', sofiasKey, { quorum: 3 }), /of another command/],
    ['an expiry moved after approval', signed('sofia', sofiasKey, { expiresAt: '2026-06-03T12:00:00.000Z' }), /of another command/],
    ['an approval that names somebody else', { ...signed('simon', sofiasKey), approver: 'sofia' }, /names another approver/],
    ['a key that is not of the approver', signed('sofia', simonsKey), /none of the approver/],
    ['no JWS', { ...signed('sofia', sofiasKey), proof: { kind: 'signature', jws: 'a.b' } }, /no compact JWS/],
  ])('refuses %s', async (_what, approval, why) => {
    expect(await refusal(approval, [sofiasKey.key])).toMatch(why);
  });

  test('refuses a key that is no point on its curve', async () => {
    const jwk = { ...simonsKey.jwk, y: Buffer.alloc(32, 1).toString('base64url') } as typeof simonsKey.jwk;
    const own = { ...simonsKey, jwk };
    expect(await refusal(signed('simon', own), [{ kind: 'signature', jwk }])).toMatch(/no point on its curve/);
  });

  test('takes no other header, algorithm or type than its own', async () => {
    const { proof } = signed('sofia', sofiasKey);
    const [, body] = (proof as { jws: string }).jws.split('.') as [string, string, string];
    const kid = JSON.parse(Buffer.from((proof as { jws: string }).jws.split('.')[0] as string, 'base64url').toString()).kid as string;
    for (const header of [
      { alg: 'none', kid, typ: 'claviger-approval+jws' },
      { alg: 'ES256', kid, typ: 'claviger-approval+jws' },
      { alg: 'EdDSA', kid, typ: 'claviger-key+jws' },
      { alg: 'EdDSA', kid, typ: 'claviger-approval+jws', crit: ['b64'] },
      null,
    ]) {
      const input = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}`;
      const jws = `${input}.${sign(null, Buffer.from(input), sofiasKey.privateKey).toString('base64url')}`;
      expect(await refusal({ ...signed('sofia', sofiasKey), proof: { kind: 'signature', jws } }, [sofiasKey.key])).not.toBe('taken');
    }
  });

  test('refuses it when any character was changed', async () => {
    const { jws } = signed('sofia', sofiasKey).proof as { jws: string };
    for (let at = 0; at < jws.length; at += 7) {
      const other = jws[at] === 'A' ? 'B' : 'A';
      const changed = `${jws.slice(0, at)}${other}${jws.slice(at + 1)}`;
      const approval: Approval = { ...signed('sofia', sofiasKey), proof: { kind: 'signature', jws: changed } };
      expect([at, await refusal(approval, [sofiasKey.key])]).not.toEqual([at, 'taken']);
    }
  });
});

describe('a WebAuthn assertion', () => {
  const authenticator = new SoftwareAuthenticator();
  const approval = (proof: Approval['proof']): Approval => ({ approver: 'sofia', at: '2026-06-01T12:00:00.000Z', proof });

  test('whose challenge is the hash of the exact change proves it', async () => {
    expect(await proven(approval(authenticator.assert(challenge)), [authenticator.key])).toEqual({
      approver: 'sofia',
      key: nameOfApprovalKey(authenticator.key),
    });
  });

  test.each<[string, Approval['proof'], RegExp]>([
    ['of another challenge', authenticator.assert(changeChallenge({ ...change, quorum: 1 })), /challenge is not that of this change/],
    ['without user verification', authenticator.assert(challenge, { unverified: true }), /[Uu]ser verification/],
    ['from another origin', authenticator.assert(challenge, { origin: 'https://evil.example' }), /origin/],
    ['for another relying party', authenticator.assert(challenge, { rpId: 'evil.example' }), /RP ID/],
    ['made in a frame', authenticator.assert(challenge, { crossOrigin: true }), /frame of another origin/],
    ['that is a registration', authenticator.assert(challenge, { type: 'webauthn.create' }), /type/],
    ['of a credential that is not of the approver', new SoftwareAuthenticator().assert(challenge), /none of the approver/],
    [
      'whose signature is of something else',
      { ...authenticator.assert(challenge), signature: authenticator.assert('x').signature },
      /not valid/,
    ],
  ])('is refused %s', async (_what, proof, why) => {
    expect(await refusal(approval(proof), [authenticator.key])).toMatch(why);
  });
});

/** A system of people, whose approvals are proven already. */
function peopleOf(principals: Principal[], more: Parameters<typeof bundleOf>[1] = {}): Evaluator {
  const evaluator = new Evaluator();
  expect(evaluator.load(bundleOf(principals, more))).toMatchObject({ ok: true });
  return evaluator;
}
/** Also of what no bundle in force holds: nothing here is to rest on that it was checked before. */
const unchecked = (principals: Principal[]): People => ({
  principalOf: (id) => principals.find((one) => one.id === id),
  mayApproveAs: (id, approver) => principals.some((one) => one.id === id && one.roles.includes(approver)),
  everybody: () => principals,
});
const rule: ApprovalRule = { quorum: 2, approvers: ['security-officer'] };
const officer = (id: string, own = ownKey(), more: Partial<Principal> = {}) =>
  principal(id, ['security-officer'], { approvalKeys: [own.key], ...more });
const by = ({ id, approvalKeys = [] }: Principal, at = 0) => ({ approver: id, key: nameOfApprovalKey(approvalKeys[at] as ApprovalKey) });

describe('who counts', () => {
  const [sofia, simon] = [officer('sofia'), officer('simon')];
  const owen = principal('owen', ['application-owner', 'security-officer'], { approvalKeys: [owensKey.key] });
  const count = (approvals: Parameters<typeof countApprovals>[0], people: Principal[], asked: Partial<ApprovalRule> = {}, at = nowMs) =>
    countApprovals(approvals, { rule: { ...rule, ...asked }, requester: 'owen', people: unchecked(people), nowMs: at });

  test('two officers who are distinct and did not request it', () => {
    expect(count([by(sofia), by(simon)], [sofia, simon, owen])).toEqual({ satisfied: true, approvers: ['sofia', 'simon'] });
  });

  test('approvals omitted, or a quorum that is missing, 0, negative, no number or infinite, are never enough', () => {
    expect(count([], [sofia, simon, owen])).toMatchObject({ satisfied: false, why: expect.stringContaining('0 of 2 approvals') });
    for (const quorum of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, undefined, null, '2'] as number[])
      expect([quorum, count([by(sofia), by(simon)], [sofia, simon, owen], { quorum })]).toMatchObject([quorum, { satisfied: false }]);
    expect(count([by(sofia), by(simon)], [sofia, simon, owen], { approvers: [] })).toMatchObject({ satisfied: false });
  });

  test('more than there are approvers: fails closed, and says so', () => {
    expect(count([by(sofia), by(simon)], [sofia, simon, owen], { quorum: 3 })).toMatchObject({
      satisfied: false,
      why: expect.stringContaining('only 2 people can approve it'),
    });
  });

  test('the requester does not approve, also under another session, nor as another principal of the same key or identity', () => {
    expect(count([by(owen), by(sofia)], [sofia, simon, owen])).toMatchObject({ why: expect.stringContaining('owen requested it') });
    const twin = officer('olivia', owensKey);
    expect(count([by(twin), by(sofia)], [sofia, twin, owen])).toMatchObject({
      satisfied: false,
      why: expect.stringContaining('olivia is the same person as owen'),
    });
    const oidc = { kind: 'oidc' as const, issuer: 'https://login.example.org', subject: '42' };
    const login = officer('olga', ownKey(), { identities: [oidc] });
    const asker = { ...owen, identities: [oidc] };
    expect(count([by(login), by(sofia)], [sofia, login, asker])).toMatchObject({ why: expect.stringContaining('same person') });
  });

  test('one person counts once: approved twice, with two keys, or as two principals of one key', () => {
    const two = officer('sofia', ownKey(), { approvalKeys: [sofiasKey.key, simonsKey.key] });
    expect(count([by(two), by(two), by(two, 1)], [two, simon, owen])).toMatchObject({ satisfied: false, approvers: ['sofia'] });
    const [one, other] = [officer('sofia', sofiasKey), officer('sofie', sofiasKey)];
    expect(count([by(one), by(other)], [one, other, owen])).toMatchObject({ satisfied: false, approvers: ['sofia'] });
    expect(validateBundle(bundleOf([one, other])).map(({ message }) => message)).toEqual([
      "has the same approval key as sofia: one key is one person's",
    ]);
  });

  test('one subject is one person, whatever its tokens claim; a person by claims alone may be anybody of the issuer', () => {
    const oidc = (more: object) => ({ kind: 'oidc' as const, issuer: 'https://login.example.org', ...more });
    const [alice, admin, group] = [{ claims: { acr: '1' } }, { claims: { acr: '2' } }, { claims: { team: 'keys' } }].map((more, i) =>
      officer(['alice', 'alice-admin', 'team'][i] as string, ownKey(), {
        identities: [oidc(i === 2 ? more : { subject: '42', ...more })],
      }),
    ) as [Principal, Principal, Principal];
    expect(validateBundle(bundleOf([alice, admin]))).toEqual([]);
    expect(count([by(alice), by(admin)], [alice, admin, owen])).toMatchObject({ satisfied: false, approvers: ['alice'] });
    const asker = { ...owen, identities: alice.identities };
    expect(count([by(admin), by(sofia)], [sofia, admin, asker])).toMatchObject({ why: expect.stringContaining('same person as owen') });
    const byClaims = { ...owen, identities: group.identities };
    expect(count([by(admin), by(sofia)], [sofia, admin, byClaims])).toMatchObject({ why: expect.stringContaining('same person as owen') });
    expect(validateBundle(bundleOf([group])).map(({ message }) => message)).toEqual([
      'has approval keys and an OIDC identity without a subject: who approves is one person, by a subject',
    ]);
  });

  test('one public key has one name: as a JWK, as a COSE_Key, and with its members in another order', () => {
    const { jwk } = simonsKey as { jwk: { x: string; y: string } & (typeof simonsKey)['jwk'] };
    const point = (label: number, value: string) => Buffer.concat([Buffer.from([label, 0x58, 0x20]), Buffer.from(value, 'base64url')]);
    const [x, y] = [point(0x21, jwk.x), point(0x22, jwk.y)];
    const head = [Buffer.from([0xa5]), Buffer.from([0x01, 0x02]), Buffer.from([0x03, 0x26]), Buffer.from([0x20, 0x01])] as const;
    const webauthn = (parts: readonly Buffer[]): ApprovalKey => ({
      ...{ kind: 'webauthn', credentialId: 'AAAA', rpId: 'localhost', origin: 'http://localhost:7437' },
      publicKey: Buffer.concat(parts).toString('base64url'),
    });
    const [one, other] = [webauthn([...head, x, y]), webauthn([head[0], y, x, head[3], head[2], head[1]])];
    expect([one, other].map(nameOfApprovalKey)).toEqual([nameOfApprovalKey(simonsKey.key), nameOfApprovalKey(simonsKey.key)]);
    const issuesOf = (key: ApprovalKey) => validateBundle(bundleOf([officer('sofia', ownKey(), { approvalKeys: [key] })]));
    expect(issuesOf(other)).toEqual([]);
    const [zero, long] = [Buffer.concat([Buffer.from([0x22, 0x58, 0x20]), Buffer.alloc(32, 1)]), Buffer.from([0x18, 0x01, 0x02])];
    for (const bad of [
      webauthn([...head, x, zero]),
      webauthn([...head, x, y, Buffer.alloc(1)]),
      webauthn([...head, x, x]),
      webauthn([...head, x]),
      webauthn([head[0], long, head[2], head[3], x, y]),
      webauthn([Buffer.from([0xa6]), ...head.slice(1), x, y, Buffer.from([0x05, 0x05])]),
      { kind: 'signature', jwk: { ...simonsKey.jwk, y: Buffer.alloc(32, 1).toString('base64url') } } as ApprovalKey,
    ])
      expect(issuesOf(bad)).toMatchObject([{ message: expect.stringContaining('is no public key') }]);
  });

  test('nobody who is disabled, a service, gone, without the role, or whose key was taken away', () => {
    const disabled = { ...simon, disabled: true };
    expect(count([by(sofia), by(simon)], [sofia, disabled, owen])).toMatchObject({ why: expect.stringContaining('simon is disabled') });
    const robot = officer('robot', ownKey(), { kind: 'service' });
    expect(count([by(sofia), by(robot)], [sofia, robot, owen])).toMatchObject({ why: expect.stringContaining('robot is a service') });
    expect(count([by(sofia), by(simon)], [sofia, owen])).toMatchObject({
      why: expect.stringContaining('simon is not in the policy bundle'),
    });
    const left = { ...simon, roles: ['auditor'] };
    expect(count([by(sofia), by(simon)], [sofia, left, owen])).toMatchObject({
      why: expect.stringContaining('simon is not security-officer'),
    });
    const { approvalKeys: _, ...keyless } = simon;
    expect(count([by(sofia), by(simon)], [sofia, keyless, owen])).toMatchObject({
      why: expect.stringContaining('the key of simon is in the bundle no more'),
    });
  });

  test('a role granted for a time counts while it is in force', () => {
    const temp = principal('temp', [], { approvalKeys: [simonsKey.key] });
    const grants = [{ id: 'june', principal: 'temp', role: 'security-officer', notAfter: '2026-06-02T00:00:00.000Z', revision: 1 }];
    const people = peopleOf([sofia, temp, owen], { grants });
    const at = (time: string) =>
      countApprovals([by(sofia), by(temp)], { rule, requester: 'owen', people, nowMs: Date.parse(time) }).satisfied;
    expect([at('2026-06-01T00:00:00.000Z'), at('2026-06-02T00:00:00.000Z')]).toEqual([true, false]);
  });

  test('an indirect member of a group counts; a member of a group of the same name in another tenant does not', () => {
    const group = (tenant: string, id: string, members: string[]) => ({ tenant, id, members, roles: [], revision: 1 });
    const member = (id: string) => principal(id, [], { approvalKeys: [ownKey().key] });
    const [ada, ben, eve] = [member('ada'), member('ben'), member('eve')];
    const groups = [
      group('acme', 'security', ['ada', 'group:acme/night-shift']),
      group('acme', 'night-shift', ['ben']),
      group('umbrella', 'security', ['eve']),
    ];
    const people = peopleOf([ada, ben, eve, owen], { groups });
    const asked = { rule: { quorum: 2, approvers: ['group:acme/security'] }, requester: 'owen', people, nowMs };
    expect(countApprovals([by(ada), by(ben)], asked)).toMatchObject({ satisfied: true });
    expect(countApprovals([by(ada), by(eve)], asked)).toMatchObject({ satisfied: false, approvers: ['ada'] });
  });
});

test('nothing is satisfied without M distinct people who may, whatever is approved by whom, with which keys and roles', () => {
  const keys = Array.from({ length: 5 }, () => ownKey().key);
  const ids = ['ada', 'ben', 'cleo', 'dan', 'eve'];
  const person = fc.record({
    officer: fc.boolean(),
    disabled: fc.boolean(),
    service: fc.boolean(),
    held: fc.uniqueArray(fc.nat(4), { maxLength: 2 }),
  });
  fc.assert(
    fc.property(
      fc.tuple(person, person, person, person, person),
      fc.array(fc.tuple(fc.nat(4), fc.nat(4)), { maxLength: 10 }),
      fc.integer({ min: -1, max: 4 }),
      (people, approvals, quorum) => {
        const principals = people.map(({ officer: may, disabled, service, held }, i) =>
          principal(ids[i] as string, may ? ['security-officer'] : [], {
            disabled,
            kind: service ? 'service' : 'person',
            approvalKeys: held.map((at) => keys[at] as ApprovalKey),
          }),
        );
        const given = approvals.map(([i, at]) => ({ approver: ids[i] as string, key: nameOfApprovalKey(keys[at] as ApprovalKey) }));
        const { satisfied, approvers } = countApprovals(given, {
          ...{ rule: { quorum, approvers: ['security-officer'] }, requester: 'ada', nowMs },
          people: unchecked(principals),
        });
        // The model: one person is everybody who is linked to it by a key, so the distinct ones are the components of that graph.
        const holds = (i: number) => new Set(people[i]?.held);
        const linked = (a: number, b: number) => a === b || [...holds(a)].some((at) => holds(b).has(at));
        const eligible = [...new Set(approvals.flatMap(([i, at]) => (holds(i).has(at) ? [i] : [])))].filter(
          (i) => people[i]?.officer && !people[i]?.disabled && !people[i]?.service && !linked(i, 0),
        );
        for (const name of approvers) expect(eligible).toContain(ids.indexOf(name));
        const counted = approvers.map((name) => ids.indexOf(name));
        for (const [x, a] of counted.entries()) for (const b of counted.slice(x + 1)) expect(linked(a, b)).toBe(false);
        expect(satisfied).toBe(quorum >= 1 && counted.length >= quorum);
        if (eligible.length === 0) expect(satisfied).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
});

test('a guard holds while people enough have keys and may approve; each that does not is named', () => {
  const guarded = bundleOf([officer('sofia'), principal('simon', ['security-officer']), { ...officer('sven'), disabled: true }]);
  const of = (bundle: typeof guarded) =>
    guardStandings(bundle, nowMs).find(({ policy }) => policy === 'application-owner-exports-with-approval');
  expect(of(guarded)).toEqual({
    ...{ policy: 'application-owner-exports-with-approval', quorum: 2, approvers: ['security-officer'], able: 1, holds: false },
  });
  expect(of(bundleOf([officer('sofia'), officer('simon')]))).toMatchObject({ able: 2, holds: true });
});
