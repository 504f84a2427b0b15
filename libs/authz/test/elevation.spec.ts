import type { BreakGlass, BreakGlassReview, Elevated, Elevation, ErrorCode, Grant, PolicyBundle } from '@claviger/contracts';
import { PolicyBundle as BundleShape, ProblemError } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  carriedOver,
  closedBy,
  decideBreakGlass,
  decideElevation,
  Evaluator,
  elevatedGrant,
  isClosed,
  isDue,
  isSwept,
  type Requester,
  reviewOf,
  validateBundle,
  whyNotClose,
  withGrant,
  withoutGrant,
  withReview,
} from '../src/index';
import { bundleOf, context, key, keyId, principal } from './starter-set';

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const requester = (roles: string[], mfa = true): Requester => ({ id: 'otto', mfa, is: (entry) => roles.includes(entry) });
const codeOf = (work: () => unknown): ErrorCode | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return error.code;
  }
};

const forRole: Elevation = {
  ...{ id: 'administration', role: 'key-administrator', requesters: ['operator'], maxMinutes: 60, mfa: true },
  ...{ quorum: 1, approvers: ['security-officer', 'auditor'] },
};
const forKeys: Elevation = {
  ...{ id: 'decrypt', actions: ['crypto:Decrypt'], environments: ['production'], requesters: ['operator'], maxMinutes: 30, mfa: false },
  ...{ quorum: 2, approvers: ['security-officer'], maxUses: 5 },
};
const production = { environment: 'production', classification: 'internal' };
const decrypt = { action: 'crypto:Decrypt', key: keyId, minutes: 30, uses: 5 } as const;

test('what no rule of the bundle is about is refused, and so is everything where there is none', () => {
  const role = { role: 'key-administrator', minutes: 60 };
  expect(decideElevation({ elevations: [forRole, forKeys] }, role, requester(['operator']))).toEqual({
    ...{ quorum: 1, approvers: ['security-officer', 'auditor'], rules: ['administration'] },
  });
  const refused: [() => unknown, string][] = [
    [() => decideElevation({}, role, requester(['operator'])), 'no rules'],
    [() => decideElevation({ elevations: [forKeys] }, role, requester(['operator'])), 'rules about something else'],
    [() => decideElevation({ elevations: [forRole] }, role, requester(['auditor'])), 'not for this requester'],
    [() => decideElevation({ elevations: [forRole] }, { ...role, minutes: 61 }, requester(['operator'])), 'too long'],
    [() => decideElevation({ elevations: [forKeys] }, decrypt, requester(['operator'])), 'a key that is not known'],
    [() => decideElevation({ elevations: [forKeys] }, decrypt, requester(['operator']), { ...production, environment: 'test' }), 'others'],
    [() => decideElevation({ elevations: [forKeys] }, { ...decrypt, uses: 6 }, requester(['operator']), production), 'too many uses'],
    [() => decideElevation({ elevations: [forKeys] }, { ...decrypt, uses: undefined }, requester(['operator']), production), 'no count'],
  ];
  for (const [work, what] of refused) expect([what, codeOf(work)]).toEqual([what, 'ERR_ELEVATION_REFUSED']);
  expect(codeOf(() => decideElevation({ elevations: [forRole] }, role, requester(['operator'], false)))).toBe('ERR_SECOND_FACTOR_REQUIRED');
  const malformed = [{ minutes: 1 }, { ...role, ...decrypt }, { ...role, context: {} }, { ...decrypt, action: 'keys:List' as const }];
  for (const wanted of malformed)
    expect(codeOf(() => decideElevation({ elevations: [forRole, forKeys] }, wanted, requester(['operator']), production))).toBe(
      'ERR_MALFORMED_REQUEST',
    );
});

test('where several rules match each of them holds: a lenient one dilutes no strict one', () => {
  const rule = fc.record({
    maxMinutes: fc.integer({ min: 1, max: 100 }),
    quorum: fc.integer({ min: 1, max: 4 }),
    approvers: fc.subarray(['a', 'b', 'c'], { minLength: 1 }),
    mfa: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 100 }), fc.boolean(), (rules, minutes, mfa) => {
      const elevations = rules.map((one, i) => ({ ...one, id: `r${i}`, role: 'auditor', requesters: ['operator'] }));
      const common = ['a', 'b', 'c'].filter((one) => rules.every(({ approvers }) => approvers.includes(one)));
      const code = codeOf(() => {
        const decision = decideElevation({ elevations }, { role: 'auditor', minutes }, requester(['operator'], mfa));
        expect(decision.quorum).toBe(Math.max(...rules.map(({ quorum }) => quorum)));
        expect([...decision.approvers].sort()).toEqual(common);
      });
      const isRefused =
        rules.some(({ maxMinutes }) => minutes > maxMinutes) || common.length === 0 || (!mfa && rules.some((one) => one.mfa));
      expect(code !== undefined).toBe(isRefused);
    }),
    { numRuns: 200 },
  );
});

const elevated = (more: Partial<Elevated> = {}): Elevated => ({
  ...{ by: 'request', rules: ['decrypt'], change: 'ch_AAAAAAAAAAAAAAAAAAAAAA', reason: 'incident 42', approvedBy: ['sofia'] },
  ...more,
});

test('the grant is in force from now on, for as long and for what was asked, and ends by itself', () => {
  const wanted = { action: 'crypto:Decrypt', key: keyId, minutes: 30, context: { includes: { tenant: 'acme' } } } as const;
  const grant = elevatedGrant(wanted, 'otto', elevated(), nowMs);
  const evaluator = new Evaluator();
  const bundle = withGrant(bundleOf([principal('otto', ['operator'])]), grant);
  expect(evaluator.load(bundle)).toMatchObject({ ok: true });
  const decide = (atMs: number, tenant: string) =>
    evaluator.decide({
      ...{ principalId: 'otto', action: 'crypto:Decrypt', resource: key() },
      context: context({ nowMs: atMs, encryptionContext: { tenant } }),
    }).kind;
  const end = nowMs + 30 * 60_000;
  expect([decide(nowMs - 1, 'acme'), decide(nowMs, 'acme'), decide(end - 1, 'acme'), decide(end, 'acme')]).toEqual([
    'deny',
    'allow',
    'allow',
    'deny',
  ]);
  expect(decide(nowMs, 'other')).toBe('deny');
  // Executed twice it is one grant, and ended it is gone.
  expect(withGrant(bundle, grant)).toBe(bundle);
  expect(withoutGrant(bundle, grant.id)?.grants).toEqual([]);
  expect(withoutGrant(bundle, 'jit-other')).toBeUndefined();
  expect([isSwept(grant, end), isSwept(grant, end + 600_000)]).toEqual([false, true]);
  expect(isSwept({ ...grant, elevated: undefined }, end + 600_000)).toBe(false);
});

test('what is published neither adds nor removes a grant that was asked for, nor an open review', () => {
  const people = ['otto', 'olga'].map((id) => principal(id, []));
  const grant = (id: string, by: string, asked: boolean): Grant => ({
    ...{ id, principal: by, revision: 1, role: 'operator' },
    ...(asked ? { elevated: elevated() } : {}),
  });
  const named = fc.uniqueArray(
    fc.tuple(fc.constantFrom('g1', 'g2', 'g3'), fc.constantFrom('otto', 'olga'), fc.boolean()).map((parts) => grant(...parts)),
    { selector: ({ id }) => id },
  );
  const reviews = fc.option(fc.constant<BreakGlassReview[]>([{ id: 'r' } as BreakGlassReview]), { nil: undefined });
  fc.assert(
    fc.property(named, named, reviews, reviews, fc.boolean(), (before, after, open, forged, drops) => {
      const stored = { ...bundleOf(people, { grants: before }), ...(open ? { breakGlassReviews: open } : {}) };
      const kept = drops ? people.slice(0, 1) : people;
      const proposed = { ...bundleOf(kept, { grants: after }), ...(forged ? { breakGlassReviews: forged } : {}) };
      const result = carriedOver(stored, proposed);
      expect(result.grants.filter((one) => !one.elevated)).toEqual(after.filter((one) => !one.elevated));
      expect(result.grants.filter((one) => one.elevated)).toEqual(
        before.filter((one) => one.elevated && kept.some(({ id }) => id === one.principal)),
      );
      expect(result.breakGlassReviews).toEqual(open);
    }),
    { numRuns: 100 },
  );
});

const emergency: BreakGlass = {
  ...{ id: 'emergency', role: 'key-administrator', requesters: ['operator'], maxMinutes: 30, quorum: 1, approvers: ['security-officer'] },
  reviewers: ['auditor', 'security-officer'],
};

test('break-glass needs a rule, a second factor, and that the last one was reviewed', () => {
  const wanted = { role: 'key-administrator', minutes: 30 };
  const rules = { breakGlass: [emergency] };
  expect(decideBreakGlass(rules, wanted, requester(['operator']))).toMatchObject({ quorum: 1, reviewers: ['auditor', 'security-officer'] });
  expect(codeOf(() => decideBreakGlass({}, wanted, requester(['operator'])))).toBe('ERR_ELEVATION_REFUSED');
  expect(codeOf(() => decideBreakGlass(rules, wanted, requester(['auditor'])))).toBe('ERR_ELEVATION_REFUSED');
  expect(codeOf(() => decideBreakGlass(rules, { ...wanted, minutes: 31 }, requester(['operator'])))).toBe('ERR_ELEVATION_REFUSED');
  expect(codeOf(() => decideBreakGlass(rules, wanted, requester(['operator'], false)))).toBe('ERR_SECOND_FACTOR_REQUIRED');
  const breakGlassReviews = [reviewed()];
  expect(codeOf(() => decideBreakGlass({ ...rules, breakGlassReviews }, wanted, requester(['operator'])))).toBe('ERR_REVIEW_OPEN');
  expect(
    codeOf(() => decideBreakGlass({ ...rules, breakGlassReviews }, wanted, { ...requester(['operator']), id: 'olga' })),
  ).toBeUndefined();
});

function reviewed(): BreakGlassReview {
  const grant = elevatedGrant(
    { role: 'key-administrator', minutes: 30 },
    'otto',
    elevated({ by: 'break-glass', rules: ['emergency'] }),
    nowMs,
  );
  return reviewOf(grant, emergency.reviewers, nowMs);
}

test('two distinct people who had nothing to do with it close a review, whoever else tries in whatever order', () => {
  const shared = { kind: 'spiffe' as const, id: 'spiffe://example.org/anna' };
  const people = [
    ...['otto', 'sofia', 'sam'].map((id) => principal(id, [id === 'otto' ? 'operator' : 'security-officer'])),
    principal('anna', ['auditor'], { identities: [shared] }),
    // The same person under another name.
    principal('anna-too', ['auditor'], { identities: [shared] }),
    principal('robot', ['auditor'], { kind: 'service' }),
    principal('paul', ['application-owner']),
  ];
  const principalOf = (id: string) => people.find((one) => one.id === id);
  const names = people.map(({ id }) => id);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...names), { maxLength: 10 }), (order) => {
      let review = reviewed();
      const counted = new Set<string>();
      for (const id of order) {
        if (isClosed(review)) break;
        const is = (entry: string) => principalOf(id)?.roles.includes(entry) ?? false;
        const why = whyNotClose(review, { breakGlass: [emergency] }, { id, is }, principalOf);
        const person = id.startsWith('anna') ? 'anna' : id;
        const again = counted.has(person) && !review.closings.some(({ by }) => by === id);
        expect(why === undefined).toBe(['anna', 'sam'].includes(person) && !again);
        if (why !== undefined) continue;
        counted.add(person);
        review = closedBy(review, id, 'looked into it', nowMs);
      }
      expect(isClosed(review)).toBe(counted.size === 2);
      const bundle = withReview(bundleOf([], { breakGlassReviews: [reviewed()] }), review);
      expect(bundle.breakGlassReviews).toEqual(isClosed(review) ? undefined : [review]);
    }),
    { numRuns: 200 },
  );
});

test('reviewers are told once a day for as long as a review is open', () => {
  const review = reviewed();
  const day = 86_400_000;
  expect([isDue(review, nowMs + day - 1), isDue(review, nowMs + day)]).toEqual([false, true]);
  expect(isDue({ ...review, toldAt: new Date(nowMs + day).toISOString() }, nowMs + day)).toBe(false);
});

test('rules that name what is not there are no rules, and a bundle with grants, rules and reviews is one', () => {
  const issues = (change: Partial<PolicyBundle>) => validateBundle(bundleOf([principal('otto', [])], change)).map(({ where }) => where);
  const grants = [elevatedGrant({ role: 'operator', minutes: 5 }, 'otto', elevated(), nowMs)];
  const whole = { elevations: [forRole, forKeys], breakGlass: [emergency], grants, breakGlassReviews: [reviewed()] };
  expect(issues(whole)).toEqual([]);
  expect(BundleShape.safeParse(bundleOf([principal('otto', [])], whole)).success).toBe(true);
  const bad: Elevation[] = [
    { ...forRole, role: 'nobody' },
    { ...forRole, requesters: ['group:acme/nobody'] },
    { ...forRole, approvers: ['nobody'] },
    { ...forKeys, actions: ['keys:List'] },
    { ...forKeys, actions: ['crypto:Nothing'] },
  ];
  for (const rule of bad) expect(issues({ elevations: [rule] })).toEqual([`elevations.0 (${rule.id})`]);
  expect(issues({ elevations: [forRole, forRole] })).toEqual(['elevations.1 (administration)']);
  expect(issues({ breakGlass: [{ ...emergency, reviewers: ['nobody'] }] })).toEqual(['breakGlass.0 (emergency)']);
});
