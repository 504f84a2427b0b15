/** Canonical base64url (RFC 7515 §2): no padding, no other character, no unused bits. */
export function base64url(segment: string): Buffer | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(segment)) return undefined;
  const bytes = Buffer.from(segment, 'base64url');
  return bytes.toString('base64url') === segment ? bytes : undefined;
}

/** The parts of a compact serialization, or undefined when it is none. */
export function parts(compact: unknown, count: number): Buffer[] | undefined {
  if (typeof compact !== 'string') return undefined;
  const decoded = compact.split('.').map(base64url);
  return decoded.length === count && decoded.every((part) => part !== undefined) ? (decoded as Buffer[]) : undefined;
}

export function header(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const read: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    // An extension that must be understood is not (RFC 7515 §4.1.11).
    return typeof read === 'object' && read !== null && !Array.isArray(read) && !('crit' in read)
      ? (read as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

export interface Jwk {
  kty?: string;
  alg?: string;
  use?: string;
  key_ops?: string[];
  kid?: string;
  crv?: string;
  k?: string;
  [field: string]: unknown;
}

/** The keys of a JWK or a JWK Set. */
export const keysIn = (jwk: Record<string, unknown>): Jwk[] => (Array.isArray(jwk.keys) ? (jwk.keys as Jwk[]) : [jwk as Jwk]);

/** The one key that a header means: by `kid`, and never one of several. A set of secrets and public keys together means none. */
export function keyFor(keys: readonly Jwk[], { kid }: Record<string, unknown>): Jwk | undefined {
  if (new Set(keys.map(({ kty }) => kty === 'oct')).size > 1) return undefined;
  const meant = kid === undefined ? keys : keys.filter((key) => key.kid === kid);
  return meant.length === 1 ? meant[0] : undefined;
}
