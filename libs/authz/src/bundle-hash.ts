import { createHash } from 'node:crypto';
import type { PolicyBundle } from '@claviger/contracts';
import canonicalize from 'canonicalize';
import { atOnce, each, type Work } from './steps';

/** SHA-256 (base64url) of the bundle's canonical JSON (RFC 8785): the name of exactly this content. */
export const bundleHash = (bundle: PolicyBundle): string => atOnce(hashing(bundle));

const hashedTogether = 50;

/** The same in steps: members in the order of RFC 8785 §3.2.3, lists item by item. */
export function* hashing(bundle: PolicyBundle): Work<string> {
  const hash = createHash('sha256').update('{');
  const members = Object.entries(bundle)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [index, [name, value]] of members.entries()) {
    hash.update(`${index === 0 ? '' : ','}${JSON.stringify(name)}:`);
    if (Array.isArray(value)) {
      hash.update('[');
      yield* each(
        value as readonly unknown[],
        hashedTogether,
        (item, at) => void hash.update(`${at === 0 ? '' : ','}${canonicalize(item)}`),
      );
      hash.update(']');
    } else hash.update(canonicalize(value)!);
    yield undefined;
  }
  return hash.update('}').digest('base64url');
}
