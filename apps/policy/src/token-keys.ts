import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { limits, type SigningJwk, type TokenKeyView } from '@claviger/contracts';

/** The record of a key whose pair is there. */
export type MadeTokenKey = TokenKeyView & { state: 'made'; publicKeySpki: string; kid: string; activeFrom: string };

/** A key is published so long before it signs that whoever caches the JWKS for `jwksMaxAgeSeconds` knows it by then. */
export const publishAheadMs = 300_000;
export const jwksMaxAgeSeconds = 120;
/** The longest token, and two clocks that differ. */
const lastTokenMs = (limits.tokenLifetimeSecondsMax + limits.clockSkewSeconds) * 1_000;
/** Somebody who has begun a pair makes it in less, or has ended. */
const makingMs = 120_000;

const isMade = (key: TokenKeyView): key is MadeTokenKey =>
  key.state === 'made' && key.publicKeySpki !== undefined && key.kid !== undefined && key.activeFrom !== undefined;
const fromMs = (key: MadeTokenKey) => Date.parse(key.activeFrom);

/** In the order in which they sign. */
export const madeKeys = (keys: readonly TokenKeyView[]): MadeTokenKey[] =>
  keys.filter(isMade).sort((a, b) => fromMs(a) - fromMs(b) || a.number - b.number);

/** The one that signs now; undefined before the first. */
export const signingKey = (keys: readonly TokenKeyView[], nowMs: number): MadeTokenKey | undefined =>
  madeKeys(keys).findLast((key) => fromMs(key) <= nowMs);

/** Those that a token may be of: not over before the last token of each has ended, and one that signs soon is known before. */
export const verifyingKeys = (keys: readonly TokenKeyView[], nowMs: number): MadeTokenKey[] => {
  const made = madeKeys(keys);
  return made.filter((_, at) => {
    const next = made[at + 1];
    return !next || fromMs(next) + lastTokenMs > nowMs;
  });
};

/** Whose pairs nothing needs any more: what it signed has ended, was withdrawn, or was never finished. */
export const spentKeys = (keys: readonly TokenKeyView[], nowMs: number): TokenKeyView[] => {
  const needed = new Set(verifyingKeys(keys, nowMs).map(({ id }) => id));
  return keys.filter(
    (key) =>
      (key.state === 'made' && !needed.has(key.id)) ||
      key.state === 'withdrawn' ||
      (key.state === 'begun' && Date.parse(key.begunAt) + makingMs < nowMs),
  );
};

/** Whether another one is to be made: there is none that signs or will, or the newest is `everyMs` old. Not while somebody is at it. */
export const rotationDue = (keys: readonly TokenKeyView[], everyMs: number, nowMs: number): boolean => {
  if (making(keys, nowMs)) return false;
  const newest = madeKeys(keys).at(-1);
  return !newest || fromMs(newest) + everyMs <= nowMs;
};

/** The first whose pair is not in the token, of those that sign now or later: nothing can be signed with it. */
export const lackingKey = (keys: readonly TokenKeyView[], missing: ReadonlySet<string>, nowMs: number): MadeTokenKey | undefined =>
  [signingKey(keys, nowMs), madeKeys(keys).at(-1)].find((key) => key !== undefined && missing.has(key.id));

export const making = (keys: readonly TokenKeyView[], nowMs: number): boolean =>
  keys.some((key) => key.state === 'begun' && Date.parse(key.begunAt) + makingMs >= nowMs);

export const nextNumber = (keys: readonly TokenKeyView[]): number => Math.max(0, ...keys.map(({ number }) => number)) + 1;

export const publicKeyOf = (spki: string): KeyObject =>
  createPublicKey({ key: Buffer.from(spki, 'base64url'), format: 'der', type: 'spki' });

/** RFC 7638 §3: SHA-256 of the required members in lexicographic order. */
export function thumbprint(publicKeySpki: string): string {
  const { crv, kty, x, y } = publicKeyOf(publicKeySpki).export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

export function jwkOf({ publicKeySpki, kid }: MadeTokenKey): SigningJwk {
  const { x, y } = publicKeyOf(publicKeySpki).export({ format: 'jwk' }) as { x: string; y: string };
  return { kty: 'EC', crv: 'P-256', x, y, use: 'sig', alg: 'ES256', kid };
}
