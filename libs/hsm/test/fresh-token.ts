import { randomBytes } from 'node:crypto';
import { initToken, Token, type TokenOptions } from '../src/index';

export const libraryPath = process.env.CLAVIGER_TEST_PKCS11!;

/** A new, empty token, so that spec files that run at the same time share none. */
export function freshToken(): { libraryPath: string; tokenLabel: string; pin: string } {
  const tokenLabel = `t-${randomBytes(8).toString('hex')}`;
  const pin = randomBytes(8).toString('hex');
  initToken(libraryPath, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin });
  return { libraryPath, tokenLabel, pin };
}

/** Library of kryoptic, where it was built (`npm run setup:kryoptic`). */
export const kryopticLibrary = process.env.CLAVIGER_TEST_KRYOPTIC;

/** kryoptic's slots are those of its configuration: each worker of Jest has some of its own. */
export function kryopticSlots(): number[] {
  const count = Number(process.env.CLAVIGER_TEST_KRYOPTIC_SLOTS);
  const first = (Number(process.env.JEST_WORKER_ID ?? 1) - 1) * count;
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The same on kryoptic. */
export function freshKryopticToken(): { libraryPath: string; tokenLabel: string; pin: string } {
  const tokenLabel = `t-${randomBytes(8).toString('hex')}`;
  const pin = randomBytes(8).toString('hex');
  initToken(kryopticLibrary!, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin, slots: kryopticSlots() });
  return { libraryPath: kryopticLibrary!, tokenLabel, pin };
}

/** The tokens that a test can be run on. */
export const families = ['softhsm', ...(kryopticLibrary ? ['kryoptic'] : [])] as const as readonly ('softhsm' | 'kryoptic')[];

export function openFreshOf(family: 'softhsm' | 'kryoptic', options: Partial<TokenOptions> = {}): Token {
  const token = Token.open({ ...(family === 'softhsm' ? freshToken() : freshKryopticToken()), ...options });
  token.createCanary();
  return token;
}

/** A new token, opened, with its canary. */
export function openFresh(options: Partial<TokenOptions> = {}): Token {
  const token = Token.open({ ...freshToken(), ...options });
  token.createCanary();
  return token;
}

/** The error that `act` throws. */
export function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
