import { createHash, timingSafeEqual } from 'node:crypto';
import { limits, ProblemError, type WrappedKey, type WrappingAlgorithm, type WrappingKeySpec } from '@claviger/contracts';

/** What one import needs: the pair whose public half wraps, its private half wrapped under a KEK, and who may use it. Times are RFC 3339, UTC. */
export interface ImportParameters {
  keyId: string;
  /** 128 random bits, base64url: the first half of the token. */
  importId: string;
  wrappingAlgorithm: WrappingAlgorithm;
  spec: WrappingKeySpec;
  receiver: WrappedKey;
  /** SHA-256 of the second half of the token, base64url: who reads the store cannot import. */
  tokenHash: string;
  expiresAt: string;
  /** How often material was sent with them. */
  tries: number;
}

/** A new token: `importId`.`secret`, of 128 and 256 random bits, and what is kept of it. */
export function newToken(random: (bytes: number) => Buffer): { token: string; importId: string; tokenHash: string } {
  const [importId, secret] = [random(16).toString('base64url'), random(32).toString('base64url')];
  return { token: `${importId}.${secret}`, importId, tokenHash: hashOf(secret) };
}

export const expiryOf = (nowMs: number): string => new Date(nowMs + limits.importParametersHours * 3_600_000).toISOString();

/** Throws ERR_IMPORT_PARAMETERS for a token that is not theirs, or that they are no longer good for. Whether it fits is compared in constant time. */
export function assertGood(parameters: ImportParameters | undefined, token: string, nowMs: number): ImportParameters {
  const [importId = '', secret = ''] = token.split('.');
  if (parameters?.importId !== importId || !timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(parameters.tokenHash)))
    throw refusal('The import token is not that of the newest parameters of this key.');
  if (Date.parse(parameters.expiresAt) <= nowMs) throw refusal(`The import parameters expired at ${parameters.expiresAt}.`);
  if (parameters.tries >= limits.importTries) throw refusal(`Material was sent ${parameters.tries} times with these import parameters.`);
  return parameters;
}

/** Counted before it is unwrapped, so that a crash gives nobody a try more. */
export const tried = (parameters: ImportParameters): ImportParameters => ({ ...parameters, tries: parameters.tries + 1 });

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64url');
const refusal = (what: string) => new ProblemError('ERR_IMPORT_PARAMETERS', `${what} Ask for new ones.`);
