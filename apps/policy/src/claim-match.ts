import type { OidcIdentity } from '@claviger/contracts';
import type { Claims } from './proof';

/** Whether every claim that an identity asks for is there with exactly that value, of that type. */
export const claimsMatch = (asked: OidcIdentity['claims'], claims: Claims): boolean =>
  Object.entries(asked ?? {}).every(([name, value]) => claimAt(claims, name) === value);

/** By its name, or by a JSON Pointer (RFC 6901) when that begins with `/`. Only what the token itself has: nothing inherited. */
export function claimAt(claims: Claims, name: string): unknown {
  if (!name.startsWith('/')) return Object.hasOwn(claims, name) ? claims[name] : undefined;
  const tokens = name
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  return tokens.reduce<unknown>((at, token) => (isObject(at) && Object.hasOwn(at, token) ? at[token] : undefined), claims);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;
