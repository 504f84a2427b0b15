import type { KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import type { Token } from './token';

/**
 * `not-permitted`: the token lets no key value in (as FIPS tokens do), so its result was not compared with a known one. `unavailable`: the token lacks
 * the mechanism, so that nothing can use it either.
 */
export type SelfTestResult = 'passed' | 'not-permitted' | 'unavailable';

/** Whether `test` passes with the key that `importKey` brings in. */
export function withKnownKey(token: Token, importKey: () => KeyHandle, test: (key: KeyHandle) => void): SelfTestResult {
  let key: KeyHandle;
  try {
    key = importKey();
  } catch (error) {
    if (error instanceof HsmError && !error.retryable) return 'not-permitted';
    throw error;
  }
  try {
    test(key);
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_MECHANISM_UNAVAILABLE') return 'unavailable';
    throw error;
  } finally {
    token.destroyObject(key);
  }
  return 'passed';
}

/** @throws HsmError HSM_SELF_TEST_FAILED */
export function assertRight(name: string, right: boolean): void {
  if (!right) throw new HsmError('HSM_SELF_TEST_FAILED', `${name} does not give the known answer`);
}
