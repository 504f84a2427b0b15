import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

/** Signs a SHA-256-hashed input with ECDSA P-256 and gives raw r||s (64 bytes); the key stays in the HSM. */
export interface RecordSigner {
  readonly kid: string;
  sign(input: Buffer): Buffer;
}

/** Public keys by kid, as `trust.json` holds them (SubjectPublicKeyInfo DER, base64url). */
export function importTrustedKeys(keys: Record<string, string>): ReadonlyMap<string, KeyObject> {
  return new Map(
    Object.entries(keys).map(([kid, spki]) => [kid, createPublicKey({ key: Buffer.from(spki, 'base64url'), format: 'der', type: 'spki' })]),
  );
}

/** Compact JWS (RFC 7515 §3.1) with ES256. `typ` separates uses: a signed key record is never taken for a session or a token. */
export function signRecord(typ: string, payload: unknown, signer: RecordSigner): string {
  const input = `${encode({ alg: 'ES256', kid: signer.kid, typ })}.${encode(payload)}`;
  return `${input}.${signer.sign(Buffer.from(input)).toString('base64url')}`;
}

export class RecordSignatureError extends Error {
  constructor(reason: string) {
    super(`signed record refused: ${reason}`);
    this.name = 'RecordSignatureError';
  }
}

/** The payload of a compact JWS whose signature, algorithm, type and key are as expected; else RecordSignatureError. */
export function verifyRecord(typ: string, jws: string, trusted: ReadonlyMap<string, KeyObject>): unknown {
  const parts = jws.split('.');
  if (parts.length !== 3) throw new RecordSignatureError('not a compact JWS');
  const [head, body, signature] = parts as [string, string, string];
  let header: { alg?: unknown; kid?: unknown; typ?: unknown; crit?: unknown };
  try {
    // A header of `null` is JSON too.
    header = JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) ?? {};
  } catch {
    throw new RecordSignatureError('header is not JSON');
  }
  if (header.alg !== 'ES256' || header.typ !== typ || header.crit !== undefined)
    throw new RecordSignatureError('unexpected alg, typ or crit');
  const key = typeof header.kid === 'string' ? trusted.get(header.kid) : undefined;
  if (!key) throw new RecordSignatureError('unknown kid');
  const known = knownTo(trusted);
  const digest = digestOf(jws);
  if (!known.has(digest)) {
    const valid = verify('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    if (!valid) throw new RecordSignatureError('bad signature');
    remember(known, digest);
  }
  return JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
}

/** About 20 MB. */
const knownMax = 200_000;
/**
 * Digests of records whose signature is valid, for each set of keys. Whether it is depends on nothing else than these bytes, signature and header included,
 * and the keys: the same bytes need no second look. Everything that depends on where they were found is checked every time.
 */
const known = new WeakMap<ReadonlyMap<string, KeyObject>, Set<string>>();
const digestOf = (jws: string) => createHash('sha256').update(jws).digest('base64url');

function knownTo(trusted: ReadonlyMap<string, KeyObject>): Set<string> {
  let set = known.get(trusted);
  if (!set) {
    set = new Set();
    known.set(trusted, set);
  }
  return set;
}

/** The oldest are forgotten. */
function remember(set: Set<string>, digest: string): void {
  set.add(digest);
  for (const oldest of set) {
    if (set.size <= knownMax) return;
    set.delete(oldest);
  }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
