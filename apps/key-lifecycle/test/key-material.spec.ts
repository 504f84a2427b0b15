import type { Floor } from '@claviger/authz';
import { KeyDescription, ProblemError } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  activateKey,
  assertRotatable,
  compromiseKey,
  createKey,
  deactivateKey,
  destroyKey,
  type Key,
  resumeKey,
  scheduleDeletion,
  setRotation,
  suspendKey,
} from '../src/key';
import { dueAfter, dueAt, dueChange, iso, nextChange } from '../src/key-dates';
import { describeKey, viewKey } from '../src/key-description';
import { versionToExport, versionToWrapUnder } from '../src/key-export';
import {
  assertMaterialTimes,
  assertMayEnd,
  deleteMaterial,
  expireMaterial,
  type ImportAbout,
  type ImportTarget,
  importMaterial,
  newlyDeclared,
} from '../src/key-material';
import { protectKey, registerData, unprotectKey } from '../src/key-protection';
import { nothingTold, type Told, warning } from '../src/warnings';
import { codeOf } from './code-of';
import { about, made, newKey, now, nowMs } from './made-keys';

const day = 86_400_000;
const none: Floor = { refused: new Map(), says: [], approvals: {} };
const order = { by: 'kim', reason: 'obsolete' };
let imports = 0;
const external = (more: Parameters<typeof about>[0] = {}, activationAt?: string): Key =>
  createKey(about({ origin: 'external', ...more }), {}, now, activationAt);
const received = (checkValue: string, n = 1) => ({ ...made(n), checkValue });
const said = (more: Partial<ImportAbout> = {}): ImportAbout => ({ importId: `import-${imports++}`, priorEncryptions: 0, ...more });
const give = (key: Key, target: ImportTarget, checkValue: string, more: Partial<ImportAbout> = {}, at = now) =>
  importMaterial(key, target, received(checkValue), said(more), 'from the other HSM', at);
const states = (key: Key) => key.versions.map(({ state, material }) => `${state}${material ? '' : ' -'}`);

test('that its material expires is told 30, 7 and 1 days before, once each, beside the end of its period; of a short one what is left of it', () => {
  const told = (key: Key, days: number[], before: Told = nothingTold(key.keyId)) => {
    let known = before;
    return days.flatMap((after) => {
      const found: string[] = [];
      for (let due = warning(key, known, nowMs + after * day); due; due = warning(key, known, nowMs + after * day)) {
        known = due.told;
        const { days, version } = due.event.data as { days: number; version: number };
        found.push(`${due.event.type.split('.').at(-1)} ${version === 1 ? '' : `of ${version}: `}${days}`);
      }
      return found;
    });
  };
  const expiring = (days: number, more = {}) =>
    give(activateKey(give(external(more), 1, 'a'), 'r', now), 1, 'a', { expiresAt: iso(nowMs + days * day) });
  const hundred = expiring(100);
  expect(dueAt(hundred)).toBe(iso(nowMs + 70 * day));
  expect(told(hundred, [0, 69, 70, 71, 93, 98, 99, 99.5])).toEqual(['material-expiring 30', 'material-expiring 7', 'material-expiring 1']);
  expect(told(expiring(10), [0, 2, 3, 9])).toEqual(['material-expiring 7', 'material-expiring 1']);
  expect(told(expiring(0.5), [0, 0.4])).toEqual([]);
  const both = expiring(100, { cryptoperiod: { originatorDays: 100, recipientDays: 200 } });
  expect(told(both, [70]).sort()).toEqual(['material-expiring 30', 'period-ending 30']);
  expect(told(deleteMaterial(hundred, 1, none, nowMs), [70, 99])).toEqual([]);
  // Each version has an end of its own.
  const twice = (days: number) => give(hundred, 'new', 'b', { expiresAt: iso(nowMs + days * day) });
  expect(dueAfter(twice(110), nowMs + 71 * day)).toBe(iso(nowMs + 80 * day));
  expect(told(twice(110), [71, 81, 94, 99.5, 104])).toEqual([30, 'of 2: 30', 7, 1, 'of 2: 7'].map((what) => `material-expiring ${what}`));
  expect(told(twice(100), [71])).toEqual(['material-expiring 30', 'material-expiring of 2: 30']);
  const [first, second] = [1, 2].map(
    (version) =>
      warning(
        twice(100),
        { ...nothingTold('k'), materialExpiries: [{ version: 3 - version, at: iso(nowMs + 100 * day), days: 30 }] },
        nowMs + 71 * day,
      )?.event.id,
  );
  expect(first).not.toBe(second);
  // What was told before versions were is not told again.
  const before = { ...nothingTold(hundred.keyId), materialExpiry: { at: iso(nowMs + 100 * day), days: 30 } };
  expect(told(twice(100), [71, 94], before)).toEqual(['material-expiring 7', 'material-expiring of 2: 7']);
});

describe('given an external key', () => {
  const key = external();
  const filled = give(key, 1, 'a');

  test('it waits without material in pre-activation, and nothing but an import ends that', () => {
    expect(states(key)).toEqual(['pre-activation -']);
    expect(describeKey(key)).toMatchObject({ origin: 'external', exportable: false, versions: [{ missing: { why: 'awaits-import' } }] });
    expect(codeOf(() => activateKey(key, 'now', now))).toBe('ERR_KEY_MATERIAL_MISSING');
    expect(nextChange(external({}, iso(nowMs + day)))).toBeUndefined();
    expect(dueAt(key)).toBeUndefined();
  });

  test('its first import activates it; with an activation to come it waits for that', () => {
    expect(states(filled)).toEqual(['active']);
    expect(filled.versions[0]).not.toHaveProperty('missing');
    const waits = give(external({}, iso(nowMs + day)), 1, 'a');
    expect(states(waits)).toEqual(['pre-activation']);
    expect(dueChange(waits, nowMs + day)).toBe('activate');
    expect(give(external({}, iso(nowMs + day)), 1, 'a', {}, iso(nowMs + 2 * day))).not.toHaveProperty('activationAt');
  });

  test('a generated key takes none, and an external one is rotated by nothing else than an import', () => {
    expect(codeOf(() => give(newKey(), 1, 'a'))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => give(newKey(), 'new', 'a'))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => deleteMaterial(newKey(), 1, none, nowMs))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => assertRotatable(filled))).toBe('ERR_KEY_ORIGIN');
    const schedule = { everyDays: 30, timeZone: 'UTC', jitterMinutes: 0, onUsageThreshold: true };
    expect(codeOf(() => external({ schedule }))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => setRotation(filled, { schedule }, now))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => setRotation(filled, { atEnd: 'rotate' }, now))).toBe('ERR_KEY_ORIGIN');
    expect(codeOf(() => setRotation(filled, { atEnd: 'deactivate' }, now))).toBe('OK');
    const rotated = give(filled, 'new', 'b');
    expect(states(rotated)).toEqual(['deactivated', 'active']);
    expect(rotated.primaryVersion).toBe(2);
    expect(codeOf(() => give(key, 'new', 'b'))).toBe('ERR_KEY_STATE');
  });

  test('a version that had material takes only the same again', () => {
    for (const gone of [deleteMaterial(filled, 1, none, nowMs), filled]) {
      expect(codeOf(() => give(gone, 1, 'b'))).toBe('ERR_KEY_MATERIAL_DIFFERENT');
      expect(codeOf(() => give(gone, 1, 'aa'))).toBe('ERR_KEY_MATERIAL_DIFFERENT');
      expect(states(give(gone, 1, 'a'))).toEqual(['active']);
    }
    expect(codeOf(() => give(filled, 2, 'a'))).toBe('ERR_NOT_FOUND');
  });

  test('what keeps a key from its deletion keeps its material: nothing deletes it, and nothing has it end sooner than was said', () => {
    const ends = (of: Key, target: ImportTarget, days: number, floor: Floor = none) =>
      codeOf(() => assertMayEnd(of, target, { expiresAt: iso(nowMs + days * day) }, floor, nowMs));
    const kept = registerData(filled, { name: 'backups', by: 'ada', until: iso(nowMs + 5 * day) }, nowMs);
    for (const held of [protectKey(filled), kept]) {
      expect(codeOf(() => deleteMaterial(held, 1, none, nowMs))).toBe('ERR_KEY_PROTECTED');
      expect([ends(held, 1, 4), ends(held, 'new', 4)]).toEqual(['ERR_KEY_PROTECTED', 'ERR_KEY_PROTECTED']);
    }
    expect(codeOf(() => deleteMaterial(kept, 1, none, nowMs + 5 * day))).toBe('OK');
    expect([ends(kept, 1, 6), ends(protectKey(filled), 1, 6)]).toEqual(['OK', 'ERR_KEY_PROTECTED']);
    expect(codeOf(() => assertMayEnd(protectKey(filled), 1, {}, none, nowMs))).toBe('OK');
    const floor = { ...none, deletionWaitDaysMin: { profile: 'production', value: 14 } };
    expect(codeOf(() => deleteMaterial(filled, 1, floor, nowMs))).toBe('ERR_BELOW_FLOOR');
    expect([ends(filled, 1, 13, floor), ends(filled, 1, 14, floor), ends(filled, 1, 1)]).toEqual(['ERR_BELOW_FLOOR', 'OK', 'OK']);
    const soon = give(filled, 1, 'a', { expiresAt: iso(nowMs + 3 * day) });
    expect([ends(soon, 1, 3, floor), ends(soon, 1, 2, floor)]).toEqual(['OK', 'ERR_BELOW_FLOOR']);
    // A protection that the end of the material goes past would be believed.
    expect(codeOf(() => protectKey(soon))).toBe('ERR_KEY_STATE');
    expect(protectKey(give(soon, 1, 'a')).purgeProtected).toBe(true);
    expect(codeOf(() => deleteMaterial(unprotectKey(protectKey(filled)), 1, none, nowMs))).toBe('OK');
  });

  test('parameters that a version came with are good for no other import', () => {
    const importId = filled.versions[0]?.imported?.importId as string;
    expect(codeOf(() => give(filled, 1, 'a', { importId }))).toBe('ERR_IMPORT_PARAMETERS');
    expect(codeOf(() => give(filled, 'new', 'b', { importId }))).toBe('ERR_IMPORT_PARAMETERS');
  });

  test('what is suspended gets the same material again, and neither its first nor a new version', () => {
    const suspended = suspendKey(filled, false, 's', now);
    expect(states(give(deleteMaterial(suspended, 1, none, nowMs), 1, 'a'))).toEqual(['suspended']);
    expect(codeOf(() => give(suspended, 'new', 'b'))).toBe('ERR_KEY_SUSPENDED');
    expect(codeOf(() => give(suspendKey(key, false, 's', now), 1, 'a'))).toBe('ERR_KEY_SUSPENDED');
    expect(codeOf(() => give(scheduleDeletion(filled, 7, order, nowMs), 1, 'a'))).toBe('ERR_KEY_PENDING_DELETION');
    expect(codeOf(() => give(compromiseKey(filled, undefined, 'c', now), 1, 'a'))).toBe('ERR_KEY_STATE');
  });

  test('material that expires goes at its time, also of a key that is suspended or waits for its deletion; the state stays', () => {
    const expiresAt = iso(nowMs + 3 * day);
    const ends = give(key, 1, 'a', { expiresAt });
    expect(describeKey(ends)).toMatchObject({
      next: { event: 'expire-material', at: expiresAt },
      versions: [{ materialExpiresAt: expiresAt }],
    });
    for (const held of [ends, suspendKey(ends, false, 's', now), scheduleDeletion(ends, 7, order, nowMs)]) {
      expect(dueChange(held, nowMs + 3 * day)).toBe('expire-material');
      expect(dueChange(held, nowMs + 3 * day - 1)).toBeUndefined();
      const gone = expireMaterial(held, nowMs + 3 * day);
      expect(gone.versions[0]).toMatchObject({ state: held.versions[0]?.state, missing: { why: 'expired' } });
      expect(gone.versions[0]).not.toHaveProperty('material');
      expect(nextChange(gone)?.change).not.toBe('expire-material');
    }
    const again = give(expireMaterial(ends, nowMs + 4 * day), 1, 'a', { expiresAt: iso(nowMs + 9 * day) });
    expect([dueAt(again), nextChange(again)?.atMs]).toEqual([iso(nowMs + 2 * day), nowMs + 9 * day]);
    expect(expireMaterial(again, nowMs + 4 * day)).toBe(again);
  });

  test('times that are over are refused; of an AES key that encrypts its prior use is to be said, and only what is new is counted', () => {
    expect(codeOf(() => assertMaterialTimes(key, { priorEncryptions: 0, expiresAt: now }, nowMs))).toBe('ERR_MALFORMED_REQUEST');
    expect(codeOf(() => assertMaterialTimes(key, {}, nowMs))).toBe('ERR_MALFORMED_REQUEST');
    expect(codeOf(() => assertMaterialTimes(key, { priorEncryptions: 0 }, nowMs))).toBe('OK');
    expect(codeOf(() => assertMaterialTimes(external({ algorithm: 'EC_P256', usage: 'sign' }), {}, nowMs))).toBe('OK');
    const used = give(key, 1, 'a', { priorEncryptions: 500 });
    expect(newlyDeclared(used, 1, { priorEncryptions: 700 })).toBe(200);
    expect(newlyDeclared(used, 1, { priorEncryptions: 5 })).toBe(0);
    expect(newlyDeclared(used, 'new', { priorEncryptions: 5 })).toBe(5);
    expect(give(used, 1, 'a', { priorEncryptions: 5 }).versions[0]?.imported?.priorEncryptions).toBe(500);
  });

  test('neither the check value nor what it came with is in its description or its view', () => {
    for (const shown of [describeKey(filled), viewKey(filled)])
      for (const secret of ['checkValue', 'importId']) expect(JSON.stringify(shown)).not.toContain(secret);
    expect(KeyDescription.safeParse(describeKey(deleteMaterial(filled, 1, none, nowMs))).success).toBe(true);
  });
});

test('whatever is done in whatever order, a version has material or says why not, keeps its check value, and never has two', () => {
  const acts: ((key: Key, at: number) => Key)[] = [
    (key, at) => give(key, key.primaryVersion, 'a', { expiresAt: iso(at + day) }, iso(at)),
    (key, at) => give(key, key.primaryVersion, 'b', {}, iso(at)),
    (key, at) => give(key, 'new', 'b', { expiresAt: iso(at + 2 * day) }, iso(at)),
    (key, at) => deleteMaterial(key, key.primaryVersion, none, at),
    (key, at) => expireMaterial(key, at),
    (key, at) => suspendKey(key, false, 's', iso(at)),
    (key, at) => resumeKey(key, 'r', iso(at)),
    (key, at) => deactivateKey(key, 'd', iso(at)),
    (key, at) => activateKey(key, 'a', iso(at)),
    (key, at) => compromiseKey(key, [key.primaryVersion], 'c', iso(at)),
    (key, at) => scheduleDeletion(key, 7, order, at),
    (key, at) => destroyKey(key, at + 90 * day),
  ];
  fc.assert(
    fc.property(fc.array(fc.nat(acts.length - 1), { maxLength: 25 }), (sequence) => {
      let key = external();
      const checkValues = new Map<number, string>();
      for (const [step, n] of sequence.entries()) {
        try {
          key = (acts[n] as (typeof acts)[number])(key, nowMs + step * 3_600_000);
        } catch (error) {
          if (!(error instanceof ProblemError)) throw error;
        }
        for (const { version, state, material, missing, imported } of key.versions) {
          if (state === 'destroyed') expect([material, missing]).toEqual([undefined, undefined]);
          else expect([version, Boolean(material)]).toEqual([version, !missing]);
          if (!imported) continue;
          expect(checkValues.get(version) ?? imported.checkValue).toBe(imported.checkValue);
          checkValues.set(version, imported.checkValue);
        }
        expect(KeyDescription.safeParse(describeKey(key)).success).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

test('only a key that was made so is exported, and nothing that is compromised, destroyed, frozen, missing or kept in the token', () => {
  const key = newKey({ exportable: true });
  expect(versionToExport(key, undefined)).toMatchObject({ version: 1, material: { custody: 'wrapped' } });
  expect(versionToExport(deactivateKey(key, 'd', now), 1)).toMatchObject({ version: 1 });
  const refused: [Key, number | undefined, string][] = [
    [newKey(), undefined, 'ERR_KEY_NOT_EXPORTABLE'],
    [key, 2, 'ERR_NOT_FOUND'],
    [suspendKey(key, true, 's', now), undefined, 'ERR_KEY_SUSPENDED'],
    [compromiseKey(key, undefined, 'c', now), undefined, 'ERR_KEY_STATE'],
    [scheduleDeletion(key, 7, order, nowMs), undefined, 'ERR_KEY_PENDING_DELETION'],
    [destroyKey(scheduleDeletion(key, 7, order, nowMs), nowMs + 8 * day), undefined, 'ERR_KEY_STATE'],
    [deleteMaterial(give(external({ exportable: true }), 1, 'a'), 1, none, nowMs), undefined, 'ERR_KEY_MATERIAL_MISSING'],
    [
      createKey(
        about({ exportable: true, algorithm: 'ED25519', usage: 'sign' }),
        { material: { custody: 'token', family: 'softhsm', token: 'customer', label: 'key-aa' } },
        now,
      ),
      undefined,
      'ERR_KEY_NOT_EXPORTABLE',
    ],
  ];
  for (const [of, version, code] of refused) expect(codeOf(() => versionToExport(of, version))).toBe(code);
  expect(versionToWrapUnder(newKey({ usage: 'wrap' }))).toMatchObject({ version: 1 });
  expect(codeOf(() => versionToWrapUnder(newKey()))).toBe('ERR_KEY_USAGE');
  expect(codeOf(() => versionToWrapUnder(deactivateKey(newKey({ usage: 'wrap' }), 'd', now)))).toBe('ERR_KEY_STATE');
});
