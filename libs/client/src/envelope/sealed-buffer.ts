import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { DataKey } from './data-keys';

/**
 * A sealed buffer is a JWE compact serialization (RFC 7516 §7.1) with `alg: dir`, `enc: A256GCM` under a data key. The protected header carries
 * `kid` (`<key id>#<version>` of the key above), `dek` (the data key, encrypted under that key, a JWE itself) and `ctx` (the digest of the encryption
 * context). Any JOSE library opens it once it has the data key, which `decrypt` of `dek` gives.
 */
const ivBytes = 12;
const tagBytes = 16;

export interface SealedHeader {
  readonly kid: string;
  readonly dek: string;
  readonly ctx?: string;
}

export interface SealedBuffer {
  readonly header: SealedHeader;
  readonly aad: Buffer;
  readonly iv: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** Random IVs: a data key seals far fewer than 2^32 buffers (SP 800-38D §8.3), which the cache's bounds see to. */
export function sealBuffer(key: DataKey, digest: string | undefined, data: Uint8Array): string {
  const header = {
    alg: 'dir',
    enc: 'A256GCM',
    kid: `${key.keyId}#${key.version}`,
    dek: key.wrapped,
    ...(digest === undefined ? {} : { ctx: digest }),
  };
  const encoded = Buffer.from(JSON.stringify(header)).toString('base64url');
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key.plaintext, iv).setAAD(Buffer.from(encoded));
  const ciphertext = Buffer.concat([cipher.update(data), cipher.final()]);
  return [encoded, '', iv.toString('base64url'), ciphertext.toString('base64url'), cipher.getAuthTag().toString('base64url')].join('.');
}

/** Splits it; undefined when it is not a sealed buffer. What the header claims is proved only by `openBuffer`. */
export function readSealedBuffer(text: string): SealedBuffer | undefined {
  const [encoded, empty, iv, ciphertext, tag, ...more] = text.split('.');
  if (encoded === undefined || empty !== '' || iv === undefined || ciphertext === undefined || tag === undefined || more.length > 0)
    return undefined;
  const header = readHeader(encoded);
  const parts = [iv, ciphertext, tag].map(decodeExactly);
  if (!header || parts[0]?.length !== ivBytes || !parts[1] || parts[2]?.length !== tagBytes) return undefined;
  return { header, aad: Buffer.from(encoded), iv: parts[0], ciphertext: parts[1], tag: parts[2] };
}

/** @throws Error when any bit of header, IV, ciphertext or tag is not as it was sealed */
export function openBuffer(key: DataKey, { aad, iv, ciphertext, tag }: SealedBuffer): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key.plaintext, iv, { authTagLength: tagBytes }).setAAD(aad).setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  decipher.final();
  return new Uint8Array(plaintext);
}

function readHeader(encoded: string): SealedHeader | undefined {
  const bytes = decodeExactly(encoded);
  if (!bytes) return undefined;
  try {
    const { alg, enc, kid, dek, ctx, crit } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    const isOurs = alg === 'dir' && enc === 'A256GCM' && crit === undefined;
    if (!isOurs || typeof kid !== 'string' || typeof dek !== 'string') return undefined;
    if (ctx === undefined) return { kid, dek };
    return typeof ctx === 'string' ? { kid, dek, ctx } : undefined;
  } catch {
    return undefined;
  }
}

/** base64url in its one canonical spelling: the unused bits of a last character are not authenticated, so they must be zero. */
function decodeExactly(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
