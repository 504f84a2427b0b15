import pkcs11 from 'pkcs11js';
import { HsmError } from './hsm-error';
import { Library, type LibraryUser } from './library';
import { failureWithoutCanary } from './return-values';
import { closeSession, findSlot, openSession } from './sessions';
import type { Token } from './token';

/** Labels of the keys that a ceremony creates, by token. `root` wraps; the others sign. */
export const tokenKeyLabels = {
  customer: { root: 'root', certifier: 'certifier' },
  control: { signing: 'control-signing', certifier: 'certifier' },
  ledger: { checkpoint: 'checkpoint', certifier: 'certifier' },
  detection: { certifier: 'certifier' },
} as const;

/** CK_TOKEN_INFO.flags, PKCS#11 v3.1 §3.2. */
const CKF_TOKEN_INITIALIZED = 0x400;
/** C_InitToken reads exactly this many bytes, padded with spaces (§5.5.7). */
const labelBytes = 32;

export interface InitToken {
  label: string;
  soPin: string;
  pin: string;
  /** CK_SLOT_IDs to choose from; when left out, any free one. */
  slots?: readonly number[];
}

/**
 * Initialises a free slot as a new, empty token with a user PIN, without a PIN on a command line. Refuses when a token of that label is there.
 * @throws HsmError HSM_KEY_EXISTS, HSM_CAPACITY (no free slot), HSM_ARGUMENT_INVALID, HSM_PIN_INCORRECT (its length), HSM_UNAVAILABLE
 */
export function initToken(libraryPath: string, { label, soPin, pin, slots = [] }: InitToken): void {
  if (label.length === 0 || Buffer.byteLength(label) > labelBytes)
    throw new HsmError('HSM_ARGUMENT_INVALID', `A token label has 1 to ${labelBytes} bytes`);
  // A user of its own: the library keeps a set of them.
  const user: LibraryUser = { libraryRestarted() {}, inUse: false };
  const library = Library.acquire(libraryPath, user);
  const { p11 } = library;
  try {
    if (tokenExists(p11, label)) throw new HsmError('HSM_KEY_EXISTS', `A token ${label} is there already`);
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
    const session = openSession(p11, slot);
    try {
      p11.C_Login(session, pkcs11.CKU_SO, soPin);
      p11.C_InitPIN(session, pin);
    } finally {
      closeSession(p11, session);
    }
  } catch (error) {
    throw failureWithoutCanary(error, `Token ${label} cannot be initialised`);
  } finally {
    library.release(user);
  }
}

/** `customer`: the root that wraps KEKs, and the pair that certifies the batch keys of workers. Gives SPKIs for trust.json. */
export function createCustomerKeys(token: Token, { clonableRoot = false }: { clonableRoot?: boolean } = {}): { certifier: Buffer } {
  const { root, certifier } = tokenKeyLabels.customer;
  prepare(token, [root, certifier]);
  token.generateRootKey(root, { clonable: clonableRoot });
  return { certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `control`: the pair that signs KV records, bundles and tokens, and the pair that certifies the batch keys of policy and key-lifecycle. */
export function createControlKeys(token: Token): { signing: Buffer; certifier: Buffer } {
  const { signing, certifier } = tokenKeyLabels.control;
  prepare(token, [signing, certifier]);
  return { signing: token.generateTokenKeyPair(signing, 'EC_P256'), certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `ledger`: the Ed25519 pair that signs checkpoints, and the pair that certifies the batch keys of audit. */
export function createLedgerKeys(token: Token): { checkpoint: Buffer; certifier: Buffer } {
  const { checkpoint, certifier } = tokenKeyLabels.ledger;
  prepare(token, [checkpoint, certifier]);
  return { checkpoint: token.generateTokenKeyPair(checkpoint, 'ED25519'), certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `detection`: the pair that certifies the batch keys of anomaly-detector. */
export function createDetectionKeys(token: Token): { certifier: Buffer } {
  const { certifier } = tokenKeyLabels.detection;
  prepare(token, [certifier]);
  return { certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** Before the first key is made, all of them must be known to be absent: a ceremony makes all or nothing where it can. */
function prepare(token: Token, labels: string[]): void {
  token.createCanary();
  for (const label of labels) token.assertAbsent(label);
}

/** Only the certain answer "no such token" counts as no. */
function tokenExists(p11: Library['p11'], label: string): boolean {
  try {
    findSlot(p11, label);
    return true;
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_TOKEN_NOT_FOUND') return false;
    throw error;
  }
}
