import type { TokenFamily } from './algorithms';
import { HsmError, type HsmErrorCode } from './hsm-error';

/** What a PKCS#11 return value says: a certain failure, sessions or handles that are gone, or nothing certain until the token was asked again. */
export type Verdict = HsmErrorCode | 'sessions-gone' | 'ask-canary';

/** What was being done; decides what an uncertain return value means on a token that proves alive. */
export type Operation =
  | 'open'
  | 'find'
  | 'read'
  | 'generate'
  | 'import'
  | 'destroy'
  | 'wrap'
  | 'unwrap'
  | 'encrypt'
  | 'decrypt'
  | 'sign'
  | 'verify'
  | 'derive'
  | 'encapsulate'
  | 'decapsulate'
  | 'random';

/** PKCS#11 v3.1 §5.1. One table; nothing else in this lib interprets a return value. */
const verdicts: Readonly<Record<number, readonly [name: string, verdict: Verdict]>> = {
  2: ['CKR_HOST_MEMORY', 'HSM_CAPACITY'],
  3: ['CKR_SLOT_ID_INVALID', 'sessions-gone'],
  // SoftHSM reports a bad GCM tag, a bad wrapped key and a vanished token alike as one of these.
  5: ['CKR_GENERAL_ERROR', 'ask-canary'],
  6: ['CKR_FUNCTION_FAILED', 'ask-canary'],
  7: ['CKR_ARGUMENTS_BAD', 'HSM_ARGUMENT_INVALID'],
  16: ['CKR_ATTRIBUTE_READ_ONLY', 'HSM_TEMPLATE_REFUSED'],
  17: ['CKR_ATTRIBUTE_SENSITIVE', 'HSM_KEY_USE_REFUSED'],
  18: ['CKR_ATTRIBUTE_TYPE_INVALID', 'HSM_TEMPLATE_REFUSED'],
  19: ['CKR_ATTRIBUTE_VALUE_INVALID', 'HSM_TEMPLATE_REFUSED'],
  27: ['CKR_ACTION_PROHIBITED', 'HSM_KEY_USE_REFUSED'],
  32: ['CKR_DATA_INVALID', 'HSM_ARGUMENT_INVALID'],
  33: ['CKR_DATA_LEN_RANGE', 'HSM_ARGUMENT_INVALID'],
  48: ['CKR_DEVICE_ERROR', 'ask-canary'],
  49: ['CKR_DEVICE_MEMORY', 'HSM_CAPACITY'],
  50: ['CKR_DEVICE_REMOVED', 'sessions-gone'],
  64: ['CKR_ENCRYPTED_DATA_INVALID', 'ask-canary'],
  65: ['CKR_ENCRYPTED_DATA_LEN_RANGE', 'ask-canary'],
  66: ['CKR_AEAD_DECRYPT_FAILED', 'ask-canary'],
  84: ['CKR_FUNCTION_NOT_SUPPORTED', 'HSM_MECHANISM_UNAVAILABLE'],
  96: ['CKR_KEY_HANDLE_INVALID', 'sessions-gone'],
  98: ['CKR_KEY_SIZE_RANGE', 'HSM_KEY_USE_REFUSED'],
  99: ['CKR_KEY_TYPE_INCONSISTENT', 'HSM_KEY_USE_REFUSED'],
  104: ['CKR_KEY_FUNCTION_NOT_PERMITTED', 'HSM_KEY_USE_REFUSED'],
  105: ['CKR_KEY_NOT_WRAPPABLE', 'HSM_KEY_USE_REFUSED'],
  106: ['CKR_KEY_UNEXTRACTABLE', 'HSM_KEY_USE_REFUSED'],
  112: ['CKR_MECHANISM_INVALID', 'HSM_MECHANISM_UNAVAILABLE'],
  113: ['CKR_MECHANISM_PARAM_INVALID', 'HSM_MECHANISM_UNAVAILABLE'],
  130: ['CKR_OBJECT_HANDLE_INVALID', 'sessions-gone'],
  // An operation left half-way blocks its session; a fresh session is the only portable way out.
  144: ['CKR_OPERATION_ACTIVE', 'sessions-gone'],
  145: ['CKR_OPERATION_NOT_INITIALIZED', 'sessions-gone'],
  160: ['CKR_PIN_INCORRECT', 'HSM_PIN_INCORRECT'],
  161: ['CKR_PIN_INVALID', 'HSM_PIN_INCORRECT'],
  162: ['CKR_PIN_LEN_RANGE', 'HSM_PIN_INCORRECT'],
  163: ['CKR_PIN_EXPIRED', 'HSM_PIN_LOCKED'],
  164: ['CKR_PIN_LOCKED', 'HSM_PIN_LOCKED'],
  176: ['CKR_SESSION_CLOSED', 'sessions-gone'],
  177: ['CKR_SESSION_COUNT', 'HSM_CAPACITY'],
  179: ['CKR_SESSION_HANDLE_INVALID', 'sessions-gone'],
  181: ['CKR_SESSION_READ_ONLY', 'HSM_CONFIGURATION'],
  208: ['CKR_TEMPLATE_INCOMPLETE', 'HSM_TEMPLATE_REFUSED'],
  209: ['CKR_TEMPLATE_INCONSISTENT', 'HSM_TEMPLATE_REFUSED'],
  224: ['CKR_TOKEN_NOT_PRESENT', 'sessions-gone'],
  225: ['CKR_TOKEN_NOT_RECOGNIZED', 'sessions-gone'],
  226: ['CKR_TOKEN_WRITE_PROTECTED', 'HSM_CONFIGURATION'],
  240: ['CKR_UNWRAPPING_KEY_HANDLE_INVALID', 'sessions-gone'],
  241: ['CKR_UNWRAPPING_KEY_SIZE_RANGE', 'HSM_KEY_USE_REFUSED'],
  242: ['CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT', 'HSM_KEY_USE_REFUSED'],
  257: ['CKR_USER_NOT_LOGGED_IN', 'sessions-gone'],
  258: ['CKR_USER_PIN_NOT_INITIALIZED', 'HSM_CONFIGURATION'],
  272: ['CKR_WRAPPED_KEY_INVALID', 'HSM_WRAPPED_KEY_INVALID'],
  274: ['CKR_WRAPPED_KEY_LEN_RANGE', 'HSM_WRAPPED_KEY_INVALID'],
  275: ['CKR_WRAPPING_KEY_HANDLE_INVALID', 'sessions-gone'],
  276: ['CKR_WRAPPING_KEY_SIZE_RANGE', 'HSM_KEY_USE_REFUSED'],
  277: ['CKR_WRAPPING_KEY_TYPE_INCONSISTENT', 'HSM_KEY_USE_REFUSED'],
  304: ['CKR_DOMAIN_PARAMS_INVALID', 'HSM_MECHANISM_UNAVAILABLE'],
  320: ['CKR_CURVE_NOT_SUPPORTED', 'HSM_MECHANISM_UNAVAILABLE'],
  336: ['CKR_BUFFER_TOO_SMALL', 'HSM_ARGUMENT_INVALID'],
  400: ['CKR_CRYPTOKI_NOT_INITIALIZED', 'sessions-gone'],
};

/** An unlisted value is not certain of anything, so the token is asked. */
export const verdictOf = (ckr: number): Verdict => verdicts[ckr]?.[1] ?? 'ask-canary';

export const nameOf = (ckr: number): string => `${verdicts[ckr]?.[0] ?? 'CKR'} 0x${ckr.toString(16)}`;

/** Trouble of the device, whatever it was asked; only kryoptic says it of an input (a ciphertext of RSA-OAEP that does not open, a key that is none). */
const CKR_DEVICE_ERROR = 0x30;

/** What an uncertain return value means once the canary proved the token alive. */
export function meaningWhenAlive(operation: Operation, ckr: number, family: TokenFamily): HsmErrorCode {
  if (ckr === CKR_DEVICE_ERROR && family !== 'kryoptic') return 'HSM_OPERATION_FAILED';
  return operation === 'decrypt'
    ? 'HSM_AUTHENTICATION_FAILED'
    : operation === 'unwrap'
      ? 'HSM_WRAPPED_KEY_INVALID'
      : operation === 'import'
        ? 'HSM_ARGUMENT_INVALID'
        : 'HSM_OPERATION_FAILED';
}

/**
 * The return value inside what pkcs11js 2.1.7 throws: `code` on its own error class, only text (`CKR_X:5`) from C_CreateObject, C_CopyObject and
 * C_SetAttributeValue; undefined when the call never reached the token (a TypeError of its argument check).
 */
export function returnValueOf(error: unknown): number | undefined {
  // By shape: the binding makes errors of its own realm, for which instanceof fails under Jest.
  if (typeof error !== 'object' || error === null || !('message' in error) || typeof error.message !== 'string') return undefined;
  if ('code' in error && typeof error.code === 'number' && error.code > 0) return error.code;
  const match = /^CKR_\w+:(\d+)/.exec(error.message);
  return match ? Number(match[1]) : undefined;
}

/** Whether the session may still wait for the rest of an operation that was begun, so that only a fresh one surely does not. */
export function leavesOperation(error: unknown): boolean {
  if (error instanceof HsmError) return false;
  const ckr = returnValueOf(error);
  return ckr === undefined || verdictOf(ckr) === 'HSM_ARGUMENT_INVALID';
}

/** The error for a failure at a moment when there is no canary to ask: nothing certain is then "unavailable", never "absent". */
export function failureWithoutCanary(error: unknown, what: string): HsmError {
  if (error instanceof HsmError) return error;
  const ckr = returnValueOf(error);
  if (ckr === undefined) return new HsmError('HSM_ARGUMENT_INVALID', what, { cause: error });
  const verdict = verdictOf(ckr);
  const code = verdict === 'ask-canary' || verdict === 'sessions-gone' ? 'HSM_UNAVAILABLE' : verdict;
  return new HsmError(code, `${what}: ${nameOf(ckr)}`, { ckr, cause: error });
}
