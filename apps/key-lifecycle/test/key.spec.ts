import { KeyDescription, KeyView, keyStates, limits, ProblemError } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  activateKey,
  assertActivation,
  cancelDeletion,
  compromiseKey,
  createKey,
  deactivateKey,
  destroyKey,
  isDestroyed,
  type Key,
  resumeKey,
  rotateKey,
  scheduleDeletion,
  setConsumers,
  setOwner,
  suspendKey,
  updateNotes,
} from '../src/key';
import { dueAt } from '../src/key-dates';
import { describeKey, viewKey } from '../src/key-description';
import { codeOf } from './code-of';
import { about, made, newKey, now, nowMs } from './made-keys';

const day = 86_400_000;
const later = (days: number) => nowMs + days * day;
const states = (key: Key) => key.versions.map((v) => v.state);
const active = newKey();
const rotated = rotateKey(active, made(2), 'yearly', now);
const suspended = suspendKey(active, false, 'stolen', now);
const deleting = scheduleDeletion(rotated, 30, { by: 'ada', reason: 'obsolete' }, nowMs);
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
    expect(scheduleDeletion(deleting, 7, { by: 'ada', reason: 'sooner' }, nowMs)).toBe(deleting);
    expect(scheduleDeletion(deleting, 90, { by: 'ada', reason: 'later' }, nowMs).deletionAt).toBe(new Date(later(90)).toISOString());
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

describe('given a key that waits for its activation', () => {
  const at = new Date(later(3)).toISOString();
  const waiting = createKey(about(), made(), now, at);
  test('nothing can be done with it, and it is due then', () => {
    expect(waiting).toMatchObject({ activationAt: at, versions: [{ state: 'pre-activation', transitions: [{ to: 'pre-activation' }] }] });
    expect(dueAt(waiting)).toBe(at);
    expect(codeOf(() => rotateKey(waiting, made(), 'r', now))).toBe('ERR_KEY_STATE');
    expect(viewKey(waiting)).not.toHaveProperty('activationAt');
  });
  test('when it is activated, it is active and waits for nothing', () => {
    const activated = activateKey(waiting, 'needed today', now);
    expect(states(activated)).toEqual(['active']);
    expect(activated).not.toHaveProperty('activationAt');
    expect(activateKey(activated, 'again', now)).toBe(activated);
  });
  test('when it is frozen, it does not become active, by itself or otherwise, until it is resumed', () => {
    const frozen = suspendKey(waiting, false, 'doubts', now);
    expect(dueAt(frozen)).toBeUndefined();
    expect(codeOf(() => activateKey(frozen, 'a', now))).toBe('ERR_KEY_SUSPENDED');
    expect(dueAt(resumeKey(frozen, 'no more', now))).toBe(at);
  });
  test.each([
    ['in the past', -1],
    ['now', 0],
    ['more than two years ahead', limits.activationDaysMax + 1],
  ])('an activation %s is refused', (_what, days) => {
    expect(codeOf(() => assertActivation(new Date(later(days)).toISOString(), nowMs))).toBe('ERR_MALFORMED_REQUEST');
  });
});

describe('given a key whose time to protect is over, or whose material others may know', () => {
  test('a deactivated key goes on to process, and a rotation gives it a version that protects', () => {
    const ended = deactivateKey(active, 'end of 2026', now);
    expect(states(ended)).toEqual(['deactivated']);
    expect(deactivateKey(ended, 'again', now)).toBe(ended);
    expect(states(rotateKey(ended, made(2), 'needed again', now))).toEqual(['deactivated', 'active']);
    expect(states(deactivateKey(suspended, 'end', now))).toEqual(['deactivated']);
  });
  test('a compromised version stays so; the others are as they were', () => {
    const leaked = compromiseKey(rotated, [1], 'in a log', now);
    expect(states(leaked)).toEqual(['compromised', 'active']);
    expect(compromiseKey(leaked, [1], 'again', now)).toBe(leaked);
    expect(states(compromiseKey(leaked, undefined, 'all of it', now))).toEqual(['compromised', 'compromised']);
    expect(codeOf(() => compromiseKey(rotated, [1, 3], 'r', now))).toBe('ERR_NOT_FOUND');
    expect(states(rotateKey(compromiseKey(active, undefined, 'leak', now), made(2), 'after it', now))).toEqual(['compromised', 'active']);
  });
  test('it can be said of a key that waits for its deletion or its activation, and no resumption or activation undoes it', () => {
    const deletingToo = compromiseKey(deleting, undefined, 'leak', now);
    expect(states(destroyKey(deletingToo, later(30)))).toEqual(['destroyed', 'destroyed']);
    const waiting = compromiseKey(createKey(about(), made(), now, new Date(later(3)).toISOString()), undefined, 'leak', now);
    expect([states(waiting), dueAt(waiting)]).toEqual([['compromised'], undefined]);
    expect(states(resumeKey(compromiseKey(suspended, undefined, 'leak', now), 'r', now))).toEqual(['compromised']);
  });
});

test('every change of state has its time and reason; of very many the first and the newest are kept', () => {
  const later1 = '2026-04-01T00:00:00.000Z';
  expect(suspendKey(active, false, 'stolen', later1).versions[0]?.transitions).toEqual([
    { to: 'active', at: now, reason: 'created' },
    { to: 'suspended', at: later1, reason: 'stolen' },
  ]);
  let key = active;
  for (let n = 0; n < limits.transitionsPerVersion; n++) key = resumeKey(suspendKey(key, false, `s${n}`, now), `r${n}`, now);
  const kept = key.versions[0]?.transitions;
  expect(kept).toHaveLength(limits.transitionsPerVersion);
  expect([kept?.[0]?.reason, kept?.at(-1)?.reason]).toEqual(['created', `r${limits.transitionsPerVersion - 1}`]);
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
    ['scheduled', () => scheduleDeletion(destroyed, 30, { by: 'ada', reason: 'r' }, nowMs)],
    ['lent', () => setConsumers(destroyed, ['x'])],
    ['handed over', () => setOwner(destroyed, 'x')],
    ['activated', () => activateKey(destroyed, 'r', now)],
    ['deactivated', () => deactivateKey(destroyed, 'r', now)],
    ['called compromised', () => compromiseKey(destroyed, undefined, 'r', now)],
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

test('a key whose versions fill its record is rotated no more, and can still be suspended', () => {
  const large = { ...made(), publicKeySpki: 'A'.repeat(100_000) };
  let key = active;
  for (let n = 0; n < 6; n++) key = rotateKey(key, large, 'r', now);
  expect(codeOf(() => rotateKey(key, large, 'r', now))).toBe('ERR_KEY_STATE');
  expect(suspendKey(key, false, 's', now).suspended).toBe(true);
});

test('neither description nor view says more than it may, and both are what the contract says', () => {
  const key = { ...newKey({ keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' }) };
  expect(KeyDescription.parse(describeKey(key))).toBeDefined();
  expect(JSON.stringify(describeKey(key))).not.toContain('wrapped-');
  expect(KeyView.parse(viewKey(key))).toMatchObject({ id: key.keyId, createdBy: 'kim', versions: [{ material: made().material }] });
  expect(JSON.stringify(viewKey(key))).not.toContain('"reason"');
});

test('what is said about a key is changed where it is given, taken away by null, and is no business of the workers', () => {
  const key = newKey({ keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA', description: 'card numbers', team: 'payments' });
  const updated = updateNotes(key, { team: null, contact: 'rota payments', description: undefined }, { pci: 'yes' });
  expect(updated).toMatchObject({ description: 'card numbers', contact: 'rota payments', tags: { pci: 'yes' }, revision: 2 });
  expect(updated).not.toHaveProperty('team');
  expect(KeyDescription.parse(describeKey(updated))).toMatchObject({ contact: 'rota payments' });
  expect(KeyView.parse(viewKey(updated))).toMatchObject({ tags: { pci: 'yes' } });
  expect(JSON.stringify(viewKey(updated))).not.toContain('card numbers');
  expect(setOwner(key, 'ola')).toMatchObject({ owner: 'ola', revision: 2 });
  expect(setOwner(key, key.owner)).toBe(key);
});

const command = fc.oneof(
  fc.constant((key: Key, at: number) => rotateKey(key, made(), 'r', new Date(at).toISOString())),
  fc.boolean().map((allow) => (key: Key, at: number) => suspendKey(key, allow, 's', new Date(at).toISOString())),
  fc.constant((key: Key, at: number) => resumeKey(key, 'r', new Date(at).toISOString())),
  fc.integer({ min: 7, max: 90 }).map((days) => (key: Key, at: number) => scheduleDeletion(key, days, { by: 'ada', reason: 'd' }, at)),
  fc.constant((key: Key) => cancelDeletion(key)),
  fc.constant((key: Key, at: number) => destroyKey(key, at)),
  fc.constant((key: Key) => setConsumers(key, ['x'])),
  fc.constant((key: Key) => setOwner(key, 'x')),
  fc.constant((key: Key) => updateNotes(key, { team: 't', contact: null })),
  fc.constant((key: Key, at: number) => activateKey(key, 'a', new Date(at).toISOString())),
  fc.constant((key: Key, at: number) => deactivateKey(key, 'e', new Date(at).toISOString())),
  fc
    .option(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1 }), { nil: undefined })
    .map((versions) => (key: Key, at: number) => compromiseKey(key, versions, 'c', new Date(at).toISOString())),
);

test('no sequence of commands leaves the state table, goes back a revision, or gives a destroyed version its material again', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(fc.tuple(command, fc.integer({ min: 0, max: 40 })), { maxLength: 30 }), (waits, steps) => {
      let key = waits ? createKey(about(), made(), now, new Date(later(20)).toISOString()) : newKey();
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
          // What happened is told, once, and nothing that was told before is told otherwise.
          const told = after?.state === before.state ? [] : [expect.objectContaining({ to: after?.state })];
          expect(after?.transitions).toEqual([...before.transitions, ...told]);
          if (before.state === 'destroyed') expect(after).not.toHaveProperty('material');
        }
        expect(next.versions.map((v) => v.version)).toEqual(next.versions.map((_, n) => n + 1));
        expect(next.versions.filter((v) => v.state === 'active').length).toBeLessThanOrEqual(1);
        // Frozen means that nothing protects.
        if (next.suspended || next.deletionAt) expect(next.versions.some((v) => keyStates[v.state].uses.includes('protect'))).toBe(false);
        else expect(next.versions.some((v) => v.state === 'suspended')).toBe(false);
        expect(next.activationAt !== undefined).toBe(next.versions.some((v) => v.state === 'pre-activation'));
        if (dueAt(next) !== undefined) expect(isDestroyed(next)).toBe(false);
        key = next;
      }
    }),
    { numRuns: 500 },
  );
});
