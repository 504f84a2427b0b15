import { nameOfApprovalKey, type People } from '@claviger/authz';
import { type ApprovalKey, type Principal, ProblemError } from '@claviger/contracts';
import { ownKey } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { approveChange, assertWaiting, type Change, challengeOf, describeChange, endChange, requestChange, viewOf } from '../src/change';

const startMs = Date.parse('2026-06-01T12:00:00.000Z');
const hour = 3_600_000;
const about = {
  ...{ change: 'ch_AAAAAAAAAAAAAAAAAAAAAA', requester: 'owen', operation: 'keys.export', input: { keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' } },
  ...{ reason: 'move', quorum: 2, approvers: ['security-officer'] },
};
const ids = ['owen', 'sofia', 'simon', 'sven', 'otto'];
const keys = ids.map(() => ownKey().key);
const person = (id: string, roles: string[]): Principal => ({
  ...{ id, kind: 'person', roles, disabled: false, revision: 1, identities: [], approvalKeys: [keys[ids.indexOf(id)] as ApprovalKey] },
});
const principals = [
  person('owen', ['application-owner', 'security-officer']),
  ...['sofia', 'simon', 'sven'].map((id) => person(id, ['security-officer'])),
  person('otto', ['operator']),
];
const people: People = {
  principalOf: (id) => principals.find((one) => one.id === id),
  mayApproveAs: (id, role) => principals.some((one) => one.id === id && one.roles.includes(role)),
  everybody: () => principals,
};
const approve = (change: Change, approver: string, nowMs: number) =>
  approveChange(
    change,
    { approver, at: new Date(nowMs).toISOString(), proof: { kind: 'signature', jws: 'verified' } },
    nameOfApprovalKey(keys[ids.indexOf(approver)] as ApprovalKey),
    people,
    nowMs,
  );
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'done';
  } catch (error) {
    return (error as ProblemError).code;
  }
};

test('an approval after expiry, rejection, withdrawal or execution is refused, each with its own code', () => {
  const change = requestChange(about, 1, startMs);
  expect(codeOf(() => approve(change, 'sofia', startMs + hour))).toBe('ERR_CHANGE_EXPIRED');
  expect(describeChange(change, startMs + hour).state).toBe('expired');
  const ended = (state: 'rejected' | 'withdrawn' | 'executed' | 'failed' | 'executing' | 'expired') =>
    codeOf(() => approve(endChange(change, { state, by: 'sven', at: '2026-06-01T12:10:00.000Z' }), 'sofia', startMs));
  expect((['rejected', 'withdrawn', 'executed', 'failed', 'executing', 'expired'] as const).map(ended)).toEqual([
    ...['ERR_CHANGE_STATE', 'ERR_CHANGE_STATE', 'ERR_CHANGE_USED', 'ERR_CHANGE_USED', 'ERR_CHANGE_USED', 'ERR_CHANGE_EXPIRED'],
  ]);
});

test('the requester, and whoever has not the role, approve nothing', () => {
  const change = requestChange(about, 72, startMs);
  expect(['owen', 'otto'].map((id) => codeOf(() => approve(change, id, startMs)))).toEqual(['ERR_APPROVER', 'ERR_APPROVER']);
});

test('what holders get has no input, and the challenge is of the input and of what does not change any more', () => {
  const change = requestChange(about, 72, startMs);
  expect(viewOf(change)).not.toHaveProperty('input');
  expect(challengeOf(approve(change, 'sofia', startMs))).toBe(challengeOf(change));
  expect(challengeOf({ ...change, input: {} })).not.toBe(challengeOf(change));
});

test('however it is approved, ended and waited for: approved is what M distinct people approved in time, and nothing else', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ what: fc.constant('approve' as const), who: fc.constantFrom(...ids) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('wait' as const), who: fc.constant('') }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('withdraw' as const), who: fc.constant('owen') }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (steps, quorum) => {
      let change = requestChange({ ...about, quorum }, 1, startMs);
      let nowMs = startMs;
      const said = new Set<string>();
      let over = false;
      for (const { what, who } of steps) {
        if (what === 'wait') nowMs += hour / 2;
        const late = over || nowMs - startMs >= hour;
        if (what === 'withdraw' && codeOf(() => assertWaiting(change, nowMs)) === 'done') {
          change = endChange(change, { state: 'withdrawn', by: who, at: new Date(nowMs).toISOString() });
          over = true;
        }
        if (what !== 'approve') continue;
        const allowed = !late && ['sofia', 'simon', 'sven'].includes(who);
        expect(codeOf(() => approve(change, who, nowMs)) === 'done').toBe(allowed);
        if (!allowed) continue;
        const to = approve(change, who, nowMs);
        // Said again it changes nothing.
        expect(to === change).toBe(said.has(who));
        change = to;
        said.add(who);
        expect(change.state).toBe(said.size >= quorum ? 'approved' : 'requested');
      }
    }),
    { numRuns: 300 },
  );
});
