import { randomBytes } from 'node:crypto';
import { ImportToken, limits } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { assertGood, expiryOf, type ImportParameters, newToken, tried } from '../src/import-parameters';

const nowMs = Date.parse('2026-03-01T12:00:00.000Z');
const made = () => {
  const { token, importId, tokenHash } = newToken(randomBytes);
  const receiver = { custody: 'wrapped' as const, kekId: 'kek_production_internal_1', mechanism: 1, family: 'softhsm', wrapped: 'w' };
  const parameters: ImportParameters = {
    ...{ keyId: 'k', importId, wrappingAlgorithm: 'RSA_AES_KEY_WRAP_SHA_256', spec: 'RSA_3072', receiver, tokenHash, tries: 0 },
    expiresAt: expiryOf(nowMs),
  };
  return { token, parameters };
};
const refusal = expect.objectContaining({ code: 'ERR_IMPORT_PARAMETERS' });
const thrown = (act: () => unknown) => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

test('a token opens the parameters that it was made with, for a day, and no others', () => {
  const { token, parameters } = made();
  expect(ImportToken.safeParse(token).success).toBe(true);
  expect(assertGood(parameters, token, nowMs)).toBe(parameters);
  expect(assertGood(parameters, token, nowMs + 86_400_000 - 1)).toBe(parameters);
  expect(thrown(() => assertGood(parameters, token, nowMs + 86_400_000))).toEqual(refusal);
  expect(thrown(() => assertGood(undefined, token, nowMs))).toEqual(refusal);
  const other = made();
  expect(thrown(() => assertGood(parameters, other.token, nowMs))).toEqual(refusal);
  const mixed = `${token.split('.')[0]}.${other.token.split('.')[1]}`;
  expect(thrown(() => assertGood(parameters, mixed, nowMs))).toEqual(refusal);
  expect(JSON.stringify(parameters)).not.toContain(token.split('.')[1]);
});

test('so many tries, and no more', () => {
  const { token, parameters: first } = made();
  let parameters = first;
  for (let n = 0; n < limits.importTries; n++) parameters = tried(assertGood(parameters, token, nowMs));
  expect(thrown(() => assertGood(parameters, token, nowMs))).toEqual(refusal);
});
