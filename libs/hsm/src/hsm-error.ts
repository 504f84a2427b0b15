/** The closed table of this lib's failures: whether the same call may succeed later unchanged, and what to do next. */
const table = {
  HSM_UNAVAILABLE: {
    retryable: true,
    next: 'Nothing is known about the keys in it: do not create any. Check that the token, its configuration (SOFTHSM2_CONF) and its storage are there; calls recover by themselves once it is back',
  },
  HSM_SESSION_LOST: {
    retryable: true,
    next: 'The sessions were rebuilt and every session object is gone: look the key up (or unwrap it) again and repeat the call',
  },
  HSM_CAPACITY: {
    retryable: true,
    next: 'The token has no memory or sessions left: lower the capacity of the unwrapped-key cache or the number of workers',
  },
  HSM_TOKEN_NOT_FOUND: {
    retryable: false,
    next: 'Check the token label and SOFTHSM2_CONF. Initialise a token only in a ceremony, and only when you know that there never was one',
  },
  HSM_PIN_INCORRECT: {
    retryable: false,
    next: 'It is never tried again by this process, since tokens lock: correct the PIN file, then restart',
  },
  HSM_PIN_LOCKED: {
    retryable: false,
    next: 'The token allows no further try by software: unlock it by hand with the security officer PIN',
  },
  HSM_PIN_UNCERTAIN: {
    retryable: false,
    next: 'Nobody knows whether that was an attempt with a wrong PIN, and tokens lock, so it is not offered again: check the token and its PIN file, then restart',
  },
  HSM_CONFIGURATION: { retryable: false, next: 'Correct the configuration, then restart' },
  HSM_KEY_NOT_FOUND: { retryable: false, next: 'The token answers and holds no such object: check the label, or run the ceremony' },
  HSM_KEY_EXISTS: {
    retryable: false,
    next: 'Nothing was created or changed. To start over, initialise a new token; what is wrapped under the old root stays with it',
  },
  HSM_KEY_AMBIGUOUS: {
    retryable: false,
    next: 'Several objects carry this label: find out which one is meant and remove the others by hand',
  },
  HSM_KEY_USE_REFUSED: { retryable: false, next: 'The key may not be used like this: ask for a key with that usage' },
  HSM_MECHANISM_UNAVAILABLE: {
    retryable: false,
    next: 'This token cannot do that: use another algorithm, or a token family that has the mechanism',
  },
  HSM_TEMPLATE_REFUSED: {
    retryable: false,
    next: 'The token refuses these key attributes, or the wrapped key is of another type than was asked for',
  },
  HSM_AUTHENTICATION_FAILED: {
    retryable: false,
    next: 'The token is alive and the tag does not match: key, IV, associated data or ciphertext is another',
  },
  HSM_WRAPPED_KEY_INVALID: {
    retryable: false,
    next: 'The blob was altered, is of another kind of key, or was wrapped under another key; the token itself is well',
  },
  HSM_KEY_UNSUITABLE: {
    retryable: false,
    next: 'It is intact and not what it was said to be: compare algorithm, length and curve with the key that it is for',
  },
  HSM_ARGUMENT_INVALID: { retryable: false, next: 'Correct the argument' },
  HSM_OPERATION_FAILED: { retryable: false, next: 'The token is alive and refuses this call: see the cause' },
  HSM_SELF_TEST_FAILED: { retryable: false, next: 'Do not use this token: its results are wrong' },
} as const satisfies Record<string, { retryable: boolean; next: string }>;

export type HsmErrorCode = keyof typeof table;

/** The only error that this lib throws. No message, cause or field ever holds a PIN, key, plaintext or IV. */
export class HsmError extends Error {
  override readonly name = 'HsmError';
  /** The same call may succeed later unchanged. */
  readonly retryable: boolean;
  /** Return value of the PKCS#11 function (v3.1 §5.1), when one failed. */
  readonly ckr: number | undefined;
  /** Label of the token that failed, where it is one that was opened. */
  readonly token: string | undefined;

  constructor(
    readonly code: HsmErrorCode,
    /** The failure alone, without what to do next. */
    readonly what: string,
    { ckr, cause, token }: { ckr?: number; cause?: unknown; token?: string } = {},
  ) {
    super(`${what}. ${table[code].next}.`, cause === undefined ? undefined : { cause });
    this.retryable = table[code].retryable;
    this.ckr = ckr;
    this.token = token;
  }
}
