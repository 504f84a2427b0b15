import { Classification, RotationSchedule } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  activateKey,
  compromiseKey,
  createKey,
  deactivateKey,
  type Key,
  resumeKey,
  rotateKey,
  scheduleDeletion,
  setOwner,
  suspendKey,
} from '../src/key';
import { dueChange, nextChange } from '../src/key-dates';
import { afterCompromise, afterOwnerChange, isLowered, setClassification } from '../src/key-events';
import { about, made, newKey, now, nowMs } from './made-keys';

const schedule = (more: object) => RotationSchedule.parse({ everyDays: 300, ...more });
const compromised = (key: Key, rotate?: boolean, versions?: number[]) =>
  afterCompromise(key, compromiseKey(key, versions, 'leaked', now), rotate, 'leaked', now);

test('raising a classification asks for a rotation, lowering it does not, and the same again changes nothing', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Classification.options), fc.constantFrom(...Classification.options), (from, to) => {
      const key = newKey({ classification: from });
      const changed = setClassification(key, to, 'r', now);
      const [a, b] = [Classification.options.indexOf(from), Classification.options.indexOf(to)];
      expect(changed === key).toBe(a === b);
      expect(changed.classification).toBe(to);
      expect(dueChange(changed, nowMs)).toBe(b > a ? 'rotate' : undefined);
      expect(isLowered(key, to)).toBe(b < a);
    }),
  );
});

test('what an event asked for waits until the key can be rotated, and a rotation settles it', () => {
  const raised = setClassification(newKey({ classification: 'internal' }), 'restricted', 'cards', now);
  expect(raised.rotationDue).toEqual({ at: now, reason: 'classification raised from internal to restricted: cards' });
  const frozen = suspendKey(raised, false, 's', now);
  expect(nextChange(frozen)).toBeUndefined();
  expect(dueChange(resumeKey(frozen, 'r', now), nowMs)).toBe('rotate');
  const rotated = rotateKey(raised, made(2), raised.rotationDue?.reason as string, now);
  expect([rotated.rotationDue, dueChange(rotated, nowMs)]).toEqual([undefined, undefined]);
  expect(rotated.versions[1]?.transitions[0]?.reason).toContain('classification raised');
  const waits = setClassification(createKey(about(), made(), now, '2026-04-01T00:00:00.000Z'), 'restricted', 'r', now);
  expect(nextChange(waits)?.change).toBe('activate');
  expect(dueChange(activateKey(waits, 'a', now), nowMs)).toBe('rotate');
  // A window is for what is planned.
  const windowed = newKey({ schedule: schedule({ window: { days: ['mon'], from: '03:00', to: '03:01' } }) });
  expect(dueChange(setClassification(windowed, 'restricted', 'r', now), nowMs)).toBe('rotate');
});

test('no event brings back what somebody deactivated, or what waits for its deletion', () => {
  const ended = deactivateKey(newKey(), 'd', now);
  expect(setClassification(ended, 'restricted', 'r', now).rotationDue).toBeUndefined();
  const deleting = scheduleDeletion(newKey({ schedule: schedule({ onOwnerChange: true }) }), 7, { by: 'kim', reason: 'd' }, nowMs);
  expect(() => setClassification(deleting, 'restricted', 'r', now)).toThrow(/ERR_KEY_PENDING_DELETION/);
  expect(afterOwnerChange(deleting, setOwner(deleting, 'ada'), 'r', now).rotationDue).toBeUndefined();
  expect(compromised(deleting, true).rotationDue).toBeUndefined();
});

test('a compromise rotates where the command says so, else where the schedule does, and only when the primary version fell', () => {
  const plain = newKey();
  const asked = newKey({ schedule: schedule({ onCompromise: true }) });
  expect(compromised(plain).rotationDue).toBeUndefined();
  expect(dueChange(compromised(plain, true), nowMs)).toBe('rotate');
  expect(dueChange(compromised(asked), nowMs)).toBe('rotate');
  expect(compromised(asked, false).rotationDue).toBeUndefined();
  const older = rotateKey(asked, made(2), 'r', now);
  expect(compromised(older, true, [1]).rotationDue).toBeUndefined();
  expect(compromised(older, undefined, [2]).rotationDue?.reason).toBe('version 2 compromised: leaked');
  const again = compromised(plain, false);
  expect(compromised(again, true)).toBe(again);
  expect(compromised(deactivateKey(asked, 'd', now)).rotationDue).toBeUndefined();
});

test('another owner rotates a key whose schedule says so', () => {
  const handedOver = (key: Key, owner: string) => afterOwnerChange(key, setOwner(key, owner), 'kim left', now);
  const asked = newKey({ schedule: schedule({ onOwnerChange: true }) });
  expect(handedOver(asked, 'ada').rotationDue?.reason).toBe('owner kim left it to ada: kim left');
  expect(handedOver(asked, 'kim')).toBe(asked);
  expect(handedOver(newKey({ schedule: schedule({}) }), 'ada').rotationDue).toBeUndefined();
});
