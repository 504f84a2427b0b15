import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';

/**
 * JWE compact serialization (RFC 7516 §7.1) with `alg: dir` and the `enc` of the key's algorithm: header..iv.ciphertext.tag. `kid` is `<key id>#<version>`, `ctx` the
 * digest of the encryption context: a digest, never its values, so that a ciphertext tells nothing about them.
 */
export interface JweParts {
  header: string;
  version: number;
  iv: Buffer;
  /** ciphertext ‖ tag, as the HSM takes it. */
  sealed: Buffer;
}

/** SHA-256 of the canonical context (RFC 8785), base64url; undefined when there is none. */
export const contextDigest = (context: Record<string, string> | undefined): string | undefined =>
  context === undefined ? undefined : hash('sha256', canonicalize(context) as string, 'base64url');

export function protectedHeader(keyId: string, version: number, enc: string, digest: string | undefined): string {
  const ctx = digest === undefined ? '' : `,"ctx":"${digest}"`;
  return Buffer.from(`{"alg":"dir","enc":"${enc}","kid":"${keyId}#${version}"${ctx}}`).toString('base64url');
}

const headerCharsMost = 512;
/** Which key a ciphertext says that it is under. Nothing proves it. */
export const keyIdIn = (jwe: string): string | undefined =>
  /"kid":"(k_[A-Za-z0-9]{22})#/.exec(
    Buffer.from(jwe.slice(0, headerCharsMost).split('.', 1)[0] as string, 'base64url').toString('latin1'),
  )?.[1];

const tagBytes = 16;

export function writeJwe(header: string, iv: Buffer, sealed: Buffer): string {
  const tagAt = sealed.length - tagBytes;
  return `${header}..${iv.toString('base64url')}.${sealed.toString('base64url', 0, tagAt)}.${sealed.toString('base64url', tagAt)}`;
}

/**
 * Parts of a JWE made for this key and context, or undefined: the header must be byte for byte the one that `protectedHeader` writes, which
 * checks `alg`, `enc`, key id and context at once and leaves no second spelling.
 */
export function readJwe(jwe: string, keyId: string, enc: string, digest: string | undefined): JweParts | undefined {
  const [header, empty, iv, ciphertext, tag, ...more] = jwe.split('.');
  if (header === undefined || empty !== '' || iv === undefined || ciphertext === undefined || tag === undefined || more.length > 0)
    return undefined;
  const version = /"kid":"[^"#]*#([1-9][0-9]{0,5})"/.exec(Buffer.from(header, 'base64url').toString('latin1'))?.[1];
  if (version === undefined || header !== protectedHeader(keyId, Number(version), enc, digest)) return undefined;
  return {
    header,
    version: Number(version),
    iv: Buffer.from(iv, 'base64url'),
    sealed: Buffer.concat([Buffer.from(ciphertext, 'base64url'), Buffer.from(tag, 'base64url')]),
  };
}
