import { createHash } from 'node:crypto';
import type { PolicyBundle } from '@claviger/contracts';
import canonicalize from 'canonicalize';

/** SHA-256 (base64url) of the bundle's canonical JSON (RFC 8785): the name of exactly this content. */
export function bundleHash(bundle: PolicyBundle): string {
  return createHash('sha256').update(canonicalize(bundle)!).digest('base64url');
}
