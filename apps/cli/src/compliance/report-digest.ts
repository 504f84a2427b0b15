import { createHash } from 'node:crypto';
import type { ComplianceReport } from '@claviger/contracts';
import canonicalize from 'canonicalize';

/** What is sealed: SHA-256, in base64url, of the report without its seal as canonical JSON (RFC 8785), whatever its spaces and order are in a file. */
export function reportDigest({ seal: _, ...report }: ComplianceReport): string {
  // What is undefined is no part of JSON.
  return createHash('sha256')
    .update(canonicalize(JSON.parse(JSON.stringify(report)))!)
    .digest('base64url');
}
