import { expect, test } from '@jest/globals';
import { HsmError } from '../src/index';
import { failureWithoutCanary, meaningWhenAlive, returnValueOf, verdictOf } from '../src/return-values';

test.each([
  [0xb3, 'sessions-gone'],
  [0x82, 'sessions-gone'],
  [0x101, 'sessions-gone'],
  [0x190, 'sessions-gone'],
  [0x05, 'ask-canary'],
  [0xa0, 'HSM_PIN_INCORRECT'],
  [0xa4, 'HSM_PIN_LOCKED'],
  [0x70, 'HSM_MECHANISM_UNAVAILABLE'],
  [0x6a, 'HSM_KEY_USE_REFUSED'],
] as const)('CKR %p is %s', (ckr, verdict) => {
  expect(verdictOf(ckr)).toBe(verdict);
});

test('a return value that nobody listed is certain of nothing', () => {
  expect(verdictOf(0x8000_0001)).toBe('ask-canary');
});

test('on a token that is alive, an uncertain failure means the input', () => {
  expect(meaningWhenAlive('decrypt', 0x5, 'softhsm')).toBe('HSM_AUTHENTICATION_FAILED');
  expect(meaningWhenAlive('unwrap', 0x5, 'softhsm')).toBe('HSM_WRAPPED_KEY_INVALID');
  expect(meaningWhenAlive('sign', 0x5, 'softhsm')).toBe('HSM_OPERATION_FAILED');
});

test('trouble of the device is never taken for a bad input', () => {
  for (const operation of ['decrypt', 'unwrap', 'sign'] as const)
    expect(meaningWhenAlive(operation, 0x30, 'softhsm')).toBe('HSM_OPERATION_FAILED');
});

test('the return value is read from both forms of error that the binding throws', () => {
  expect(returnValueOf(Object.assign(new Error('CKR_PIN_INCORRECT'), { code: 0xa0 }))).toBe(0xa0);
  expect(returnValueOf(new Error('CKR_VENDOR_DEFINED:27\n  at x'))).toBe(27);
  expect(returnValueOf(new TypeError('Argument 1 has wrong type'))).toBeUndefined();
});

test('without a canary an uncertain failure is "unavailable", and says what to do', () => {
  const error = failureWithoutCanary(Object.assign(new Error('CKR_GENERAL_ERROR'), { code: 5 }), 'Opening');
  expect(error).toMatchObject({ code: 'HSM_UNAVAILABLE', ckr: 5, retryable: true, cause: { message: 'CKR_GENERAL_ERROR' } });
  expect(error.message).toMatch(/^Opening: CKR_GENERAL_ERROR 0x5\. Nothing is known .* do not create any/);
  expect(failureWithoutCanary(error, 'again')).toBe(error);
  expect(error).toBeInstanceOf(HsmError);
});
