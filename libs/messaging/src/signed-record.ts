import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { HASH_BYTES, leafHash, verifyInclusion, wholeTree } from '@claviger/ledger';

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

/** Not a JWS algorithm: a record that is signed with others is `head.body.proof.rootBody.rootSignature`, and none of it is the signature of its own input. */
const sharedAlg = 'claviger-ES256-tree';
/** Of what is signed for all of them: a record by itself, with the root of their tree. */
const rootType = 'claviger-record-tree+jws';
/** Nine hashes of proof in each. */
export const recordsTogetherMax = 512;

/**
 * Records with one signature for all: that of the root of a Merkle tree (RFC 9162 §2.1) whose leaves are their heads and bodies. Each stands alone, since it
 * has the proof that it is in the tree; a verifier of several verifies one signature. One alone is signed as `signRecord` does it.
 */
export function signRecords(records: readonly { typ: string; payload: unknown }[], signer: RecordSigner): string[] {
  const [first] = records;
  if (records.length === 1 && first) return [signRecord(first.typ, first.payload, signer)];
  const inputs = records.map(({ typ, payload }) => `${encode({ alg: sharedAlg, kid: signer.kid, typ })}.${encode(payload)}`);
  const { root, proofs } = wholeTree(inputs.map((input) => leafHash(Buffer.from(input))));
  const signed = signRecord(rootType, { root: root.toString('base64url'), size: records.length }, signer);
  const rootPart = signed.slice(signed.indexOf('.') + 1);
  return inputs.map((input, index) => {
    const at = Buffer.alloc(2);
    at.writeUInt16BE(index);
    return `${input}.${Buffer.concat([at, ...(proofs[index] as Buffer[])]).toString('base64url')}.${rootPart}`;
  });
}

export class RecordSignatureError extends Error {
  constructor(reason: string) {
    super(`signed record refused: ${reason}`);
    this.name = 'RecordSignatureError';
  }
}

/** The payload of a record whose signature, algorithm, type and key are as expected, signed alone or with others; else RecordSignatureError. */
export function verifyRecord(typ: string, record: string, trusted: ReadonlyMap<string, KeyObject>): unknown {
  const parts = record.split('.');
  const [head, body, signature] = parts as [string, string, string];
  if (parts.length === 3) verifyAlone(typ, { head, body, signature }, record, trusted);
  else if (parts.length === 5) verifyShared(typ, parts as Shared, trusted);
  else throw new RecordSignatureError('not a compact JWS, nor signed with others');
  return JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
}

function verifyAlone(
  typ: string,
  { head, body, signature }: { head: string; body: string; signature: string },
  record: string,
  trusted: ReadonlyMap<string, KeyObject>,
): void {
  const { key } = expected(head, 'ES256', typ, trusted);
  const known = of(knownTo, trusted);
  const digest = hash('sha256', record, 'base64url');
  if (known.has(digest)) return;
  const valid = verify('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
  if (!valid) throw new RecordSignatureError('bad signature');
  remember(known, digest, true, knownMax);
}

type Shared = [head: string, body: string, proof: string, rootBody: string, rootSignature: string];

function verifyShared(typ: string, [head, body, proof, rootBody, rootSignature]: Shared, trusted: ReadonlyMap<string, KeyObject>): void {
  const { kid } = expected(head, sharedAlg, typ, trusted);
  const { root, size } = rootOf(kid, rootBody, rootSignature, trusted);
  const bytes = Buffer.from(proof, 'base64url');
  if (bytes.length % HASH_BYTES !== 2) throw new RecordSignatureError('bad proof');
  const hashes: Buffer[] = [];
  for (let at = 2; at < bytes.length; at += HASH_BYTES) hashes.push(bytes.subarray(at, at + HASH_BYTES));
  const claim = { index: bytes.readUInt16BE(), size, leafHash: leafHash(Buffer.from(`${head}.${body}`)), proof: hashes };
  if (!verifyInclusion({ ...claim, root })) throw new RecordSignatureError('bad signature');
}

interface Root {
  root: Buffer;
  size: number;
}

/** The root of a tree that the key `kid` signed. @throws RecordSignatureError */
function rootOf(kid: string, body: string, signature: string, trusted: ReadonlyMap<string, KeyObject>): Root {
  const roots = of(rootsOf, trusted);
  const id = `${kid}.${body}.${signature}`;
  const verified = roots.get(id);
  if (verified) return verified;
  const head = encode({ alg: 'ES256', kid, typ: rootType });
  const { root, size } = (verifyRecord(rootType, `${head}.${body}.${signature}`, trusted) ?? {}) as { root?: unknown; size?: unknown };
  if (typeof root !== 'string' || typeof size !== 'number') throw new RecordSignatureError('bad root');
  const found = { root: Buffer.from(root, 'base64url'), size };
  remember(roots, id, found, rootsMax);
  return found;
}

/** The key that a head names. @throws RecordSignatureError */
function expected(head: string, alg: string, typ: string, trusted: ReadonlyMap<string, KeyObject>): { kid: string; key: KeyObject } {
  const header = headerOf(head);
  const { kid } = header;
  if (header.alg !== alg || header.typ !== typ || header.crit !== undefined) throw new RecordSignatureError('unexpected alg, typ or crit');
  const key = typeof kid === 'string' ? trusted.get(kid) : undefined;
  if (!key) throw new RecordSignatureError('unknown kid');
  return { kid: kid as string, key };
}

interface Header {
  alg?: unknown;
  kid?: unknown;
  typ?: unknown;
  crit?: unknown;
}

/** @throws RecordSignatureError */
function headerOf(head: string): Header {
  let header = headers.get(head);
  if (header) return header;
  try {
    // A header of `null` is JSON too.
    header = (JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) ?? {}) as Header;
  } catch {
    throw new RecordSignatureError('header is not JSON');
  }
  if (head.length <= headBytesMax) remember(headers, head, header, headersMax);
  return header;
}

/** There is one for each use of each key. */
const headers = new Map<string, Header>();
const headersMax = 100;
const headBytesMax = 500;

/** About 20 MB. */
const knownMax = 200_000;
/** About 2 MB: those of the last changes, and of a list. */
const rootsMax = 4_000;
/**
 * Digests of records whose signature is valid, for each set of keys. Whether it is depends on nothing else than these bytes, signature and header included,
 * and the keys: the same bytes need no second look. Everything that depends on where they were found is checked every time.
 */
const knownTo = new WeakMap<Trusted, Map<string, true>>();
/** Roots of trees whose signature is valid, by the key that signed, what it signed, and the signature. */
const rootsOf = new WeakMap<Trusted, Map<string, Root>>();

type Trusted = ReadonlyMap<string, KeyObject>;

function of<V>(all: WeakMap<Trusted, Map<string, V>>, trusted: Trusted): Map<string, V> {
  const found = all.get(trusted);
  if (found) return found;
  const made = new Map<string, V>();
  all.set(trusted, made);
  return made;
}

/** The oldest are forgotten. */
function remember<V>(map: Map<string, V>, id: string, value: V, most: number): void {
  map.set(id, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) return;
    map.delete(oldest);
  }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
