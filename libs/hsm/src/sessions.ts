import { createHash } from 'node:crypto';
import pkcs11, { type PKCS11 } from 'pkcs11js';
import { algorithms, familyOf, type TokenFamily } from './algorithms';
import type { AsyncSessions } from './async-calls';
import { gcmMechanism } from './gcm';
import { HsmError } from './hsm-error';
import type { Library } from './library';
import { failureWithoutCanary, nameOf, returnValueOf, verdictOf } from './return-values';
import { secretKeyTemplate } from './templates';

const CKR_USER_ALREADY_LOGGED_IN = 0x100;
const CKS_RW_USER_FUNCTIONS = 3;

/**
 * The sessions of one token, opened in advance. Synchronous calls need two (asynchronous AES is 2.5 times slower, and scaling is one process per
 * core): objects belong to the session that made them, which is why cryptography, whose half-finished operations may force a session to be replaced,
 * has its own. Calls that leave the event loop have theirs (src/async-calls.ts).
 */
export interface Sessions {
  readonly slot: Buffer;
  readonly family: TokenFamily;
  /** Makes, finds and owns objects; asks the canary. */
  readonly objects: Buffer;
  /** Encrypts, decrypts, signs. */
  operations: Buffer;
  readonly asynchronous: AsyncSessions;
  /** Session key and a ciphertext under it: deciphering it proves that the token still calculates. */
  readonly canary: { readonly key: Buffer; readonly ciphertext: Buffer };
}

const text = (padded: string): string => padded.replace(/[\0 ]+$/, '');
const canaryIv = Buffer.alloc(12);
const canaryPlaintext = Buffer.alloc(16, 0xca);
const noAad = Buffer.alloc(0);

/** The one slot whose token carries the label. @throws HsmError HSM_TOKEN_NOT_FOUND, HSM_UNAVAILABLE (a slot did not say what it holds) */
export function findSlot(p11: PKCS11, tokenLabel: string): Buffer {
  let silent: unknown;
  const found = p11.C_GetSlotList(true).filter((slot) => {
    try {
      return text(p11.C_GetTokenInfo(slot).label) === tokenLabel;
    } catch (error) {
      silent = error;
      return false;
    }
  });
  const [slot, another] = found;
  if (another) throw new HsmError('HSM_CONFIGURATION', `Several tokens carry the label ${tokenLabel}`);
  if (slot) return slot;
  if (silent) throw failureWithoutCanary(silent, `No answering token carries the label ${tokenLabel}, and a slot does not answer`);
  throw new HsmError('HSM_TOKEN_NOT_FOUND', `No token carries the label ${tokenLabel}`);
}

/** @throws HsmError: see findSlot and logIn; anything else that fails is HSM_UNAVAILABLE or what the return value says */
export function openSessions(library: Library, tokenLabel: string, pin: string, asyncSessions: number): Sessions {
  library.ensureInitialised();
  const { p11 } = library;
  const opened: Buffer[] = [];
  try {
    const slot = findSlot(p11, tokenLabel);
    const open = () => {
      const session = openSession(p11, slot);
      opened.push(session);
      return session;
    };
    const objects = open();
    logIn(library, slot, objects, tokenLabel, pin);
    const info = p11.C_GetInfo();
    const { manufacturerID, model } = p11.C_GetTokenInfo(slot);
    const family = familyOf(info.manufacturerID, info.libraryDescription, manufacturerID, model);
    const asynchronous = { idle: Array.from({ length: asyncSessions }, open), owners: new Set<Buffer>() };
    return { slot, family, objects, operations: open(), asynchronous, canary: makeCanary(p11, objects) };
  } catch (error) {
    for (const session of opened) closeSession(p11, session);
    throw failureWithoutCanary(error, `Token ${tokenLabel} cannot be opened`);
  }
}

export const openSession = (p11: PKCS11, slot: Buffer): Buffer =>
  p11.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);

export function closeSession(p11: PKCS11, session: Buffer): void {
  try {
    p11.C_CloseSession(session);
  } catch {
    // A session that is gone is closed.
  }
}

/** Whether the token still deciphers, on a session that is still logged in. */
export function calculates(p11: PKCS11, { objects, canary }: Sessions): boolean {
  try {
    if (p11.C_GetSessionInfo(objects).state !== CKS_RW_USER_FUNCTIONS) return false;
    p11.C_DecryptInit(objects, gcmMechanism(canaryIv, noAad), canary.key);
    return p11.C_Decrypt(objects, canary.ciphertext, Buffer.alloc(canary.ciphertext.length)).equals(canaryPlaintext);
  } catch {
    return false;
  }
}

/** Whether the session deciphers it, off the event loop. @throws what the token refuses it with */
export async function deciphersCanary(p11: PKCS11, session: Buffer, { key, ciphertext }: Sessions['canary']): Promise<boolean> {
  p11.C_DecryptInit(session, gcmMechanism(canaryIv, noAad), key);
  return (await p11.C_DecryptAsync(session, ciphertext, Buffer.alloc(ciphertext.length))).equals(canaryPlaintext);
}

function makeCanary(p11: PKCS11, session: Buffer): Sessions['canary'] {
  const mechanism = { mechanism: algorithms.AES_256.generate };
  const key = p11.C_GenerateKey(session, mechanism, secretKeyTemplate('AES_256', { usage: 'encrypt', extractable: false }));
  p11.C_EncryptInit(session, gcmMechanism(canaryIv, noAad), key);
  return { key, ciphertext: p11.C_Encrypt(session, canaryPlaintext, Buffer.alloc(canaryPlaintext.length + 16)) };
}

/** Logs the process in to the token; never out again, since C_Logout anywhere kills every private handle of the process. */
function logIn(library: Library, slot: Buffer, session: Buffer, tokenLabel: string, pin: string): void {
  const { flags } = library.p11.C_GetTokenInfo(slot);
  if (flags & (pkcs11.CKF_USER_PIN_LOCKED | pkcs11.CKF_USER_PIN_FINAL_TRY))
    throw new HsmError('HSM_PIN_LOCKED', `Token ${tokenLabel} takes no PIN`);
  const attempt = createHash('sha256').update(`${tokenLabel}\0${pin}`).digest('base64url');
  if (library.refusedPins.has(attempt)) throw new HsmError('HSM_PIN_INCORRECT', `Token ${tokenLabel} refused this PIN before`);
  try {
    library.p11.C_Login(session, pkcs11.CKU_USER, pin);
    library.acceptedPins.add(attempt);
  } catch (error) {
    const ckr = returnValueOf(error);
    if (ckr === CKR_USER_ALREADY_LOGGED_IN) return;
    const verdict = ckr === undefined ? undefined : verdictOf(ckr);
    if (verdict === 'HSM_PIN_INCORRECT') library.refusedPins.add(attempt);
    if (ckr !== undefined && verdict === 'ask-canary' && !library.acceptedPins.has(attempt))
      throw new HsmError('HSM_PIN_UNCERTAIN', `Token ${tokenLabel} fails the login: ${nameOf(ckr)}`, { ckr, cause: error });
    throw failureWithoutCanary(error, `Token ${tokenLabel} refuses the login`);
  }
}
