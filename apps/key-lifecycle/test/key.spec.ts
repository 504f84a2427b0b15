import { KeyDescription, KeyView, keyStates, limits, ProblemError } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  cancelDeletion,
  createKey,
  describeKey,
  destroyKey,
  isDestroyed,
  type Key,
  resumeKey,
  rotateKey,
  scheduleDeletion,
  setConsumers,
  suspendKey,
  viewKey,
} from '../src/key';
import { about, made, newKey, now, nowMs } from './keys-under-test';

const day = 86_400_000;
const later = (days: number) => nowMs + days * day;
const states = (key: Key) => key.versions.map((v) => v.state);
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof ProblemError) return error.code;
    throw error;
  }
  return 'OK';
};
const active = newKey();
const rotated = rotateKey(active, made(2), 'yearly', now);
const suspended = suspendKey(active, false, 'stolen', now);
const deleting = scheduleDeletion(rotated, 30, 'obsolete', nowMs);
const destroyed = destroyKey(deleting, later(30));

describe('given a new key', () => {
  test('it has one active version and protects', () => {
    expect(createKey(about({ keyId: 'k' }), made(), now)).toMatchObject({
      revision: 1,
      primaryVersion: 1,
      suspended: false,
      versions: [{ state: 'active' }],
    });
  });
  test('when it is rotated, the new version protects and the old one goes on to process', () => {
    expect(states(rotated)).toEqual(['deactivated', 'active']);
    expect(rotated).toMatchObject({ primaryVersion: 2, revision: 2 });
  });
  test('when it is suspended, it is frozen; when processing is allowed, that is said', () => {
    expect(suspended).toMatchObject({ suspended: true, processingAllowed: false });
    expect(states(suspended)).toEqual(['suspended']);
    expect(suspendKey(active, true, 'audit', now).processingAllowed).toBe(true);
  });
  test('when it is resumed or its deletion cancelled, there is nothing to change', () => {
    expect(resumeKey(active, 'r', now)).toBe(active);
    expect(cancelDeletion(active)).toBe(active);
  });
  test('when somebody wants to destroy it at once, that is refused', () => {
    expect(codeOf(() => destroyKey(active, later(1_000)))).toBe('ERR_KEY_STATE');
  });
});

describe('given a suspended key', () => {
  test('when it is suspended again alike, nothing changes; otherwise only what is asked', () => {
    expect(suspendKey(suspended, false, 'again', now)).toBe(suspended);
    expect(suspendKey(suspended, true, 'again', now)).toMatchObject({ processingAllowed: true, suspended: true, revision: 3 });
  });
  test('when it is resumed, what was active is active', () => {
    const resumed = resumeKey(suspendKey(rotated, true, 's', now), 'found', now);
    expect(states(resumed)).toEqual(['deactivated', 'active']);
    expect(resumed).toMatchObject({ suspended: false, processingAllowed: false });
  });
  test('when it is rotated, that is refused', () => {
    expect(codeOf(() => rotateKey(suspended, made(), 'r', now))).toBe('ERR_KEY_SUSPENDED');
  });
});

describe('given a key that waits for its deletion', () => {
  test('it is frozen and keeps its material', () => {
    expect(deleting).toMatchObject({ suspended: true, processingAllowed: false, deletionAt: new Date(later(30)).toISOString() });
    expect(deleting.versions.every((v) => v.material)).toBe(true);
  });
  test.each([
    ['rotated', () => rotateKey(deleting, made(), 'r', now)],
    ['resumed', () => resumeKey(deleting, 'r', now)],
    ['suspended', () => suspendKey(deleting, true, 'r', now)],
  ])('when it is %s, that is refused', (_what, act) => {
    expect(codeOf(act)).toBe('ERR_KEY_PENDING_DELETION');
  });
  test('when it is scheduled again, the end comes no nearer', () => {
    expect(scheduleDeletion(deleting, 7, 'sooner', nowMs)).toBe(deleting);
    expect(scheduleDeletion(deleting, 90, 'later', nowMs).deletionAt).toBe(new Date(later(90)).toISOString());
  });
  test('when it is cancelled, the key comes back suspended', () => {
    const kept = cancelDeletion(deleting);
    expect(kept).toMatchObject({ suspended: true, revision: deleting.revision + 1 });
    expect(kept).not.toHaveProperty('deletionAt');
    expect(states(resumeKey(kept, 'needed', now))).toEqual(['deactivated', 'active']);
  });
  test('when the time is not over to the millisecond, it is not destroyed', () => {
    expect(codeOf(() => destroyKey(deleting, later(30) - 1))).toBe('ERR_KEY_STATE');
  });
});

describe('given a destroyed key', () => {
  test('no material is left, in no version, and the record that there was a key stays', () => {
    expect(states(destroyed)).toEqual(['destroyed', 'destroyed']);
    expect(JSON.stringify(destroyed)).not.toContain('wrapped-');
    expect(isDestroyed(destroyed)).toBe(true);
  });
  test.each([
    ['destroyed again', () => destroyKey(destroyed, later(31))],
    ['rotated', () => rotateKey(destroyed, made(), 'r', now)],
    ['resumed', () => resumeKey(destroyed, 'r', now)],
    ['suspended', () => suspendKey(destroyed, true, 'r', now)],
    ['kept after all', () => cancelDeletion(destroyed)],
    ['scheduled', () => scheduleDeletion(destroyed, 30, 'r', nowMs)],
    ['lent', () => setConsumers(destroyed, ['x'])],
  ])('when it is %s, that is refused', (_what, act) => {
    expect(codeOf(act)).toBe('ERR_KEY_STATE');
  });
});

test('a key has at most so many versions', () => {
  let key = active;
  for (let n = 1; n < limits.versionsPerKey; n++) key = rotateKey(key, made(n), 'r', now);
  expect(key.versions).toHaveLength(limits.versionsPerKey);
  expect(codeOf(() => rotateKey(key, made(), 'r', now))).toBe('ERR_KEY_STATE');
});

test('neither description nor view says more than it may, and both are what the contract says', () => {
  const key = { ...newKey({ keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' }) };
  expect(KeyDescription.parse(describeKey(key))).toBeDefined();
  expect(JSON.stringify(describeKey(key))).not.toContain('wrapped-');
  expect(KeyView.parse(viewKey(key))).toMatchObject({ id: key.keyId, createdBy: 'kim', versions: [{ material: made().material }] });
  expect(JSON.stringify(viewKey(key))).not.toContain('"reason"');
});

const command = fc.oneof(
  fc.constant((key: Key, at: number) => rotateKey(key, made(), 'r', new Date(at).toISOString())),
  fc.boolean().map((allow) => (key: Key, at: number) => suspendKey(key, allow, 's', new Date(at).toISOString())),
  fc.constant((key: Key, at: number) => resumeKey(key, 'r', new Date(at).toISOString())),
  fc.integer({ min: 7, max: 90 }).map((days) => (key: Key, at: number) => scheduleDeletion(key, days, 'd', at)),
  fc.constant((key: Key) => cancelDeletion(key)),
  fc.constant((key: Key, at: number) => destroyKey(key, at)),
  fc.constant((key: Key) => setConsumers(key, ['x'])),
);

test('no sequence of commands leaves the state table, goes back a revision, or gives a destroyed version its material again', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(command, fc.integer({ min: 0, max: 40 })), { maxLength: 30 }), (steps) => {
      let key = newKey();
      let at = nowMs;
      for (const [apply, days] of steps) {
        at += days * day;
        let next: Key;
        try {
          next = apply(key, at);
        } catch (error) {
          if (error instanceof ProblemError) continue;
          throw error;
        }
        expect(next === key ? key.revision : key.revision + 1).toBe(next.revision);
        for (const before of key.versions) {
          const after = next.versions.find((v) => v.version === before.version);
          expect([before.state, ...keyStates[before.state].next]).toContain(after?.state);
          if (before.state === 'destroyed') expect(after).not.toHaveProperty('material');
        }
        expect(next.versions.map((v) => v.version)).toEqual(next.versions.map((_, n) => n + 1));
        expect(next.versions.filter((v) => v.state === 'active').length).toBeLessThanOrEqual(1);
        // Frozen means that nothing protects.
        if (next.suspended || next.deletionAt) expect(next.versions.some((v) => keyStates[v.state].uses.includes('protect'))).toBe(false);
        else expect(next.versions.at(-1)?.state).toBe('active');
        key = next;
      }
    }),
    { numRuns: 500 },
  );
});
