import { type KeyState, type KeyView, keyStates, ProblemError } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { versionsToProcess, versionToDecrypt, versionToProcess, versionToProtect } from '../src/key-use';

const material = { custody: 'wrapped', kekId: 'kek_production_internal_1', mechanism: 1, family: 'softhsm', wrapped: 'AAAA' } as const;
const keyOf = (states: KeyState[], more: Partial<KeyView> = {}): KeyView => ({
  kind: 'key',
  id: 'k',
  revision: 1,
  keyId: 'k',
  name: 'n',
  algorithm: 'AES_256',
  usage: 'encrypt',
  environment: 'production',
  classification: 'internal',
  owner: 'kim',
  consumers: [],
  createdBy: 'kim',
  tags: {},
  primaryVersion: states.length,
  suspended: false,
  processingAllowed: false,
  versions: states.map((state, n) => ({ version: n + 1, state, ...(state === 'destroyed' ? {} : { material }) })),
  ...more,
});
const signing = { algorithm: 'EC_P256', usage: 'sign' } as const;
const outcome = (act: () => { version: number } | { version: number }[]): unknown => {
  try {
    const made = act();
    return Array.isArray(made) ? made.map((v) => v.version) : made.version;
  } catch (error) {
    if (error instanceof ProblemError) return error.code;
    throw error;
  }
};

test.each(Object.keys(keyStates) as KeyState[])('a version that is %s does what the state table says, and nothing else', (state) => {
  const { uses } = keyStates[state];
  const refusal = 'ERR_KEY_STATE';
  expect(outcome(() => versionToProtect(keyOf([state]), 'encrypt'))).toBe(uses.includes('protect') ? 1 : refusal);
  expect(outcome(() => versionToDecrypt(keyOf([state]), 1))).toBe(uses.includes('process') ? 1 : refusal);
  expect(outcome(() => versionToProcess(keyOf([state], signing), 'sign', 1))).toBe(uses.includes('process') ? 1 : refusal);
  // A key whose every version is destroyed is destroyed.
  const many = uses.includes('process') ? [1] : state === 'destroyed' ? refusal : [];
  expect(outcome(() => versionsToProcess(keyOf([state], signing), 'sign'))).toEqual(many);
});

const frozen = { suspended: true };
const processing = { suspended: true, processingAllowed: true };
const waiting = { suspended: true, deletionAt: '2026-01-01T00:00:00.000Z' };
test.each([
  ['suspended', ['suspended'], frozen, 'ERR_KEY_SUSPENDED', 'ERR_KEY_SUSPENDED'],
  ['suspended, but may process', ['suspended'], processing, 'ERR_KEY_SUSPENDED', 1],
  // The flag alone freezes, whatever a version's state says.
  ['suspended with an active version', ['active'], frozen, 'ERR_KEY_SUSPENDED', 'ERR_KEY_SUSPENDED'],
  ['waiting for its deletion', ['suspended'], waiting, 'ERR_KEY_PENDING_DELETION', 'ERR_KEY_PENDING_DELETION'],
  [
    'waiting, though it once might process',
    ['suspended'],
    { ...waiting, processingAllowed: true },
    'ERR_KEY_PENDING_DELETION',
    'ERR_KEY_PENDING_DELETION',
  ],
  ['destroyed', ['destroyed', 'destroyed'], waiting, 'ERR_KEY_STATE', 'ERR_KEY_STATE'],
] as const)('a key that is %s', (_what, states, more, protect, process) => {
  expect(outcome(() => versionToProtect(keyOf([...states], more), 'encrypt'))).toBe(protect);
  expect(outcome(() => versionToDecrypt(keyOf([...states], more), 1))).toBe(process);
  expect(outcome(() => versionToProcess(keyOf([...states], { ...more, ...signing }), 'sign', 1))).toBe(process);
  expect(outcome(() => versionsToProcess(keyOf([...states], { ...more, ...signing }), 'sign'))).toEqual(process === 1 ? [1] : process);
});

test('the primary version protects, older ones go on to process, newest first', () => {
  const key = keyOf(['deactivated', 'compromised', 'deactivated', 'active']);
  expect(outcome(() => versionToProtect(key, 'encrypt'))).toBe(4);
  expect(outcome(() => versionToDecrypt(key, 1))).toBe(1);
  expect(outcome(() => versionToDecrypt(key, 2))).toBe('ERR_KEY_STATE');
  expect(outcome(() => versionsToProcess({ ...key, ...signing }, 'sign'))).toEqual([4, 3, 1]);
});

test('a version that the key never had: a ciphertext cannot be of it, and a caller who names it is told', () => {
  expect(outcome(() => versionToDecrypt(keyOf(['active']), 2))).toBe('ERR_DECRYPTION_FAILED');
  expect(outcome(() => versionToProcess(keyOf(['active'], signing), 'sign', 2))).toBe('ERR_NOT_FOUND');
});

test('a key does only what it was made for', () => {
  expect(outcome(() => versionToProtect(keyOf(['active']), 'sign'))).toBe('ERR_KEY_USAGE');
  expect(outcome(() => versionToDecrypt(keyOf(['active'], signing), 1))).toBe('ERR_KEY_USAGE');
  expect(outcome(() => versionToProcess(keyOf(['active']), 'sign', 1))).toBe('ERR_KEY_USAGE');
  expect(outcome(() => versionsToProcess(keyOf(['active']), 'sign'))).toBe('ERR_KEY_USAGE');
});

test('a version whose imported material is missing is told so, and one that has its material goes on', () => {
  const key = keyOf(['deactivated', 'active']);
  const without = (n: number): KeyView => ({ ...key, versions: key.versions.with(n, { version: n + 1, state: key.versions[n]!.state }) });
  expect(outcome(() => versionToProtect(without(1), 'encrypt'))).toBe('ERR_KEY_MATERIAL_MISSING');
  expect(outcome(() => versionToDecrypt(without(1), 1))).toBe(1);
  expect(outcome(() => versionToDecrypt(without(0), 1))).toBe('ERR_KEY_MATERIAL_MISSING');
  expect(outcome(() => versionsToProcess({ ...without(1), ...signing }, 'sign'))).toEqual([1]);
  const none = { ...key, ...signing, versions: without(0).versions.slice(0, 1) };
  expect(outcome(() => versionsToProcess(none, 'sign'))).toBe('ERR_KEY_MATERIAL_MISSING');
});
