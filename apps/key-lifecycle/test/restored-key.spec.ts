import { KeyState, keyStates } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isDestroyed, type Key, type KeyVersion, rotateKey, suspendKey } from '../src/key';
import { type RestoreRule, restoredKey } from '../src/restored-key';
import { made, newKey, now, nowMs } from './made-keys';

const rule = (more: Partial<RestoreRule> = {}): RestoreRule => ({ backupId: 'b_20260301120000000_AAAAAAAAAA', proven: true, ...more });
const states = (key: Key) => key.versions.map(({ state }) => state);
const token = { custody: 'token' as const, family: 'softhsm', token: 'customer', label: `key-${'0'.repeat(24)}` };

describe('what is proven not to have changed since', () => {
  test('an AES key that encrypted is deactivated and rotates: nobody knows how often it encrypted since', () => {
    const restored = restoredKey(newKey(), rule(), nowMs);
    expect(restored).toMatchObject({ outcome: 'usable', rotates: true, key: { revision: 2, suspended: false } });
    expect(states(restored.key)).toEqual(['deactivated']);
    expect(states(rotateKey(restored.key, made(2), 'restored', now))).toEqual(['deactivated', 'active']);
  });

  test.each(['HMAC_SHA_256', 'EC_P256', 'RSA_2048'] as const)('a key of %s goes on as it was', (algorithm) => {
    const key = newKey({ algorithm, usage: algorithm.startsWith('HMAC') ? 'mac' : 'sign' });
    expect(restoredKey(key, rule(), nowMs)).toEqual({ key: { ...key, revision: 2 }, outcome: 'usable', rotates: false });
  });

  test('one that waited for its activation may have been activated since: it encrypts no more either', () => {
    const waiting = { ...newKey(), activationAt: '2026-04-01T00:00:00.000Z' };
    waiting.versions = waiting.versions.map((v): KeyVersion => ({ ...v, state: 'pre-activation' }));
    const { key, rotates } = restoredKey(waiting, rule(), nowMs);
    expect([states(key), rotates, key.activationAt]).toEqual([['deactivated'], false, undefined]);
  });

  test('one whose material stays in its token comes back suspended', () => {
    const key = newKey({ algorithm: 'ED25519', usage: 'sign' });
    const inToken = { ...key, versions: key.versions.map((v) => ({ ...v, material: token })) };
    expect(restoredKey(inToken, rule(), nowMs)).toMatchObject({ outcome: 'suspended', key: { suspended: true } });
  });

  test('a deletion that came due meanwhile waits seven days more, and its AES versions encrypt no more when it is cancelled', () => {
    const dying: Key = { ...suspendKey(newKey(), false, 'r', now), deletionAt: '2026-03-01T11:00:00.000Z' };
    const { key, outcome } = restoredKey(dying, rule(), nowMs);
    expect([key.deletionAt, outcome, states(key)]).toEqual(['2026-03-08T12:00:00.000Z', 'suspended', ['deactivated']]);
  });
});

test('without proof of what became of it, no key comes up usable', () => {
  for (const usage of ['encrypt', 'mac', 'sign'] as const) {
    const algorithm = { encrypt: 'AES_256', mac: 'HMAC_SHA_256', sign: 'EC_P256' } as const;
    const { key, outcome, rotates } = restoredKey(newKey({ algorithm: algorithm[usage], usage }), rule({ proven: false }), nowMs);
    expect([outcome, rotates, key.suspended, key.processingAllowed]).toEqual(['suspended', false, true, false]);
    expect(states(key)).not.toContain('active');
  }
});

const anyKey = fc
  .record({
    encrypts: fc.boolean(),
    suspended: fc.boolean(),
    deletes: fc.boolean(),
    versions: fc.array(fc.constantFrom(...KeyState.options), { minLength: 1, maxLength: 4 }),
  })
  .map(({ encrypts, suspended, deletes, versions }): Key => {
    const key = newKey(encrypts ? {} : { algorithm: 'HMAC_SHA_256', usage: 'mac' });
    const [first] = key.versions as [KeyVersion];
    const { material: _, ...gone } = first;
    return {
      ...key,
      suspended: suspended || deletes,
      ...(deletes ? { deletionAt: '2026-03-20T00:00:00.000Z' } : {}),
      primaryVersion: versions.length,
      versions: versions.map((state, i) => {
        const is = (suspended || deletes) && state === 'active' ? 'suspended' : state;
        return { ...(is === 'destroyed' ? gone : first), version: i + 1, state: is };
      }),
    };
  });
const anyRule = fc.record({
  proven: fc.boolean(),
  tombstone: fc.option(fc.constantFrom('destroyed' as const, 'suspended' as const, 'compromised' as const), { nil: undefined }),
  defect: fc.option(fc.constant('its canary was made with another key'), { nil: undefined }),
});

test('whatever a key was and whatever is known: what is destroyed stays so, what is doubtful is suspended, no AES version that could encrypt does, every step is legal', () => {
  fc.assert(
    fc.property(anyKey, anyRule, (from, more) => {
      const { key, outcome, rotates } = restoredKey(from, rule(more), nowMs);
      expect(key.revision).toBe(from.revision + 1);
      for (const [i, version] of key.versions.entries()) {
        const before = from.versions[i] as KeyVersion;
        if (before.state === 'destroyed') expect(version.state).toBe('destroyed');
        if (version.state === 'destroyed') expect(version.material).toBeUndefined();
        // Each change is by the table, one after the other.
        let at = before.state;
        for (const { to } of version.transitions.slice(before.transitions.length)) {
          expect(keyStates[at].next).toContain(to);
          at = to;
        }
        expect(at).toBe(version.state);
      }
      if (isDestroyed(from) || more.tombstone === 'destroyed') expect([outcome, isDestroyed(key)]).toEqual(['destroyed', true]);
      else if (!more.proven || more.tombstone || more.defect)
        expect([outcome, key.suspended || key.deletionAt !== undefined]).toEqual(['suspended', true]);
      if (key.usage === 'encrypt') expect(states(key)).not.toEqual(expect.arrayContaining(['active']));
      if (outcome !== 'usable') expect(states(key)).not.toContain('active');
      if (rotates) expect(() => rotateKey(key, made(9), 'restored', now)).not.toThrow();
    }),
    { numRuns: 500 },
  );
});
