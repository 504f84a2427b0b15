import { createHash } from 'node:crypto';
import type { EncryptionContext } from '@claviger/contracts';

/**
 * SHA-256 (base64url) of the canonical encryption context, as the services write it into a JWE's `ctx`; undefined when there is none. For a flat
 * object of strings, RFC 8785 is JSON with the names sorted by UTF-16 units, which is how JavaScript sorts.
 */
export function contextDigest(context: EncryptionContext | undefined): string | undefined {
  if (context === undefined) return undefined;
  const members = Object.keys(context)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${JSON.stringify(context[name])}`);
  return createHash('sha256')
    .update(`{${members.join(',')}}`)
    .digest('base64url');
}
