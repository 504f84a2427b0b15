import pkcs11 from 'pkcs11js';
import { HsmError } from './hsm-error';
import { Library, type LibraryUser } from './library';
import { failureWithoutCanary } from './return-values';
import { closeSession, findSlot, openSession } from './sessions';

/** CK_TOKEN_INFO.flags, PKCS#11 v3.1 §3.2. */
const CKF_USER_PIN_INITIALIZED = 0x8;
const CKF_TOKEN_INITIALIZED = 0x400;
/** C_InitToken reads exactly this many bytes, padded with spaces (§5.5.7). */
const labelBytes = 32;

export interface TokenPins {
  label: string;
  soPin: string;
  pin: string;
}

export interface InitToken extends TokenPins {
  /** CK_SLOT_IDs to choose from; when left out, any free one. */
  slots?: readonly number[];
}

/** Without PIN: its initialisation ended between C_InitToken and C_InitPIN, so that no user has ever logged in to it. */
export type TokenState = 'absent' | 'without-pin' | 'complete';

/** What the library shows under this label. @throws HsmError HSM_UNAVAILABLE (a slot does not say what it holds), HSM_CONFIGURATION (several tokens) */
export const tokenState = (libraryPath: string, label: string): TokenState =>
  inLibrary(libraryPath, `Token ${label} cannot be looked for`, (p11) => stateOf(p11, label));

/**
 * Initialises a free slot as a new, empty token with a user PIN, without a PIN on a command line. Refuses when a token of that label is there.
 * @throws HsmError HSM_KEY_EXISTS, HSM_CAPACITY (no free slot), HSM_ARGUMENT_INVALID, HSM_PIN_INCORRECT (its length), HSM_UNAVAILABLE
 */
export function initToken(libraryPath: string, { label, soPin, pin, slots = [] }: InitToken): void {
  if (label.length === 0 || Buffer.byteLength(label) > labelBytes)
    throw new HsmError('HSM_ARGUMENT_INVALID', `A token label has 1 to ${labelBytes} bytes`);
  inLibrary(libraryPath, `Token ${label} cannot be initialised`, (p11) => {
    if (stateOf(p11, label) !== 'absent') throw new HsmError('HSM_KEY_EXISTS', `A token ${label} is there already`);
    const slot = p11.C_GetSlotList(true).find((candidate) => {
      if (slots.length > 0 && !slots.includes(Number(candidate.readBigUInt64LE(0)))) return false;
      return (p11.C_GetTokenInfo(candidate).flags & CKF_TOKEN_INITIALIZED) === 0;
    });
    if (!slot) throw new HsmError('HSM_CAPACITY', 'No slot holds a token that is not initialised yet');
    const { minPinLen, maxPinLen } = p11.C_GetTokenInfo(slot);
    // Asked first: a PIN refused half-way would leave a token without one.
    for (const { length } of [pin, soPin]) {
      // A token without an upper limit (CK_EFFECTIVELY_INFINITE) says 0.
      if (length < minPinLen || (maxPinLen > 0 && length > maxPinLen))
        throw new HsmError('HSM_PIN_INCORRECT', `A PIN of this token has ${minPinLen} to ${maxPinLen || 'any number of'} characters`);
    }
    p11.C_InitToken(slot, soPin, label.padEnd(labelBytes - (Buffer.byteLength(label) - label.length)));
    setFirstPin(p11, slot, soPin, pin);
  });
}

/**
 * What is left of an `initToken` that was interrupted after C_InitToken. Initialises nothing anew and never replaces a PIN.
 * @throws HsmError HSM_KEY_EXISTS (the token has a PIN), HSM_TOKEN_NOT_FOUND, HSM_PIN_INCORRECT (the SO PIN is another), HSM_UNAVAILABLE
 */
export function completeToken(libraryPath: string, { label, soPin, pin }: TokenPins): void {
  inLibrary(libraryPath, `The initialisation of token ${label} cannot be completed`, (p11) => {
    if (stateOf(p11, label) === 'complete') throw new HsmError('HSM_KEY_EXISTS', `Token ${label} has a PIN already`);
    setFirstPin(p11, findSlot(p11, label), soPin, pin);
  });
}

function setFirstPin(p11: Library['p11'], slot: Buffer, soPin: string, pin: string): void {
  const session = openSession(p11, slot);
  try {
    p11.C_Login(session, pkcs11.CKU_SO, soPin);
    p11.C_InitPIN(session, pin);
  } finally {
    closeSession(p11, session);
  }
}

/** Only the certain answer "no such token" counts as absent. */
function stateOf(p11: Library['p11'], label: string): TokenState {
  try {
    return p11.C_GetTokenInfo(findSlot(p11, label)).flags & CKF_USER_PIN_INITIALIZED ? 'complete' : 'without-pin';
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_TOKEN_NOT_FOUND') return 'absent';
    throw error;
  }
}

function inLibrary<T>(libraryPath: string, failure: string, work: (p11: Library['p11']) => T): T {
  // A user of its own: the library keeps a set of them.
  const user: LibraryUser = { libraryRestarted() {}, inUse: false };
  const library = Library.acquire(libraryPath, user);
  try {
    return work(library.p11);
  } catch (error) {
    throw failureWithoutCanary(error, failure);
  } finally {
    library.release(user);
  }
}
