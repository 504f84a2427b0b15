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
