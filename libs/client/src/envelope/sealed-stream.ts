import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { exactChunks } from './chunks';
import type { DataKey } from './data-keys';

/**
 * A sealed stream: one line of JSON (the header), then chunks of 64 KiB, each AES-256-GCM with its 16-byte tag. This is the STREAM construction
 * (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015), as age and Tink use
 * it: the nonce is an 11-byte counter and a byte that is 1 for the last chunk only, so a chunk that is missing, moved, repeated or added does not
 * open. Each stream has a key of its own, HKDF-SHA-256 of the data key with a random salt and the digest of the header line, which binds the header.
 */
const format = 'claviger.stream/1';
const chunkBytes = 65_536;
const tagBytes = 16;
const saltBytes = 32;
export const maxHeaderBytes = 4_096;

export interface StreamHeader {
  readonly kid: string;
  readonly dek: string;
  readonly ctx?: string;
  /** base64url, 32 bytes. */
  readonly salt: string;
}

/** The key of one stream; lives as long as the stream does. */
export interface StreamKey {
  readonly line: Buffer;
  readonly key: Buffer;
}

export function newStream(dataKey: DataKey, digest: string | undefined): StreamKey {
  const ctx = digest === undefined ? {} : { ctx: digest };
  const header = {
    format,
    kid: `${dataKey.keyId}#${dataKey.version}`,
    dek: dataKey.wrapped,
    ...ctx,
    salt: randomBytes(saltBytes).toString('base64url'),
  };
  const line = Buffer.from(JSON.stringify(header));
  return { line, key: streamKey(dataKey, header.salt, line) };
}

export const reopenStream = (dataKey: DataKey, header: StreamHeader, line: Buffer): StreamKey => ({
  line,
  key: streamKey(dataKey, header.salt, line),
});

/** Undefined when the line is not the header of a sealed stream. What it claims is proved by the first chunk that opens. */
export function readStreamHeader(line: Buffer): StreamHeader | undefined {
  try {
    const header = JSON.parse(line.toString('utf8')) as Record<string, unknown>;
    const { kid, dek, ctx, salt } = header;
    if (header.format !== format || typeof kid !== 'string' || typeof dek !== 'string' || typeof salt !== 'string') return undefined;
    if (ctx === undefined) return { kid, dek, salt };
    return typeof ctx === 'string' ? { kid, dek, ctx, salt } : undefined;
  } catch {
    return undefined;
  }
}

export async function* sealChunks({ line, key }: StreamKey, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield Buffer.concat([line, Buffer.from('\n')]);
    let counter = 0;
    for await (const { bytes, last } of exactChunks(source, chunkBytes)) {
      const cipher = createCipheriv('aes-256-gcm', key, nonce(counter++, last));
      yield Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    }
  } finally {
    key.fill(0);
  }
}

/**
 * Each chunk is given only when it is proved. A stream that was cut throws at its end: what came before is authentic but not the whole.
 * @throws Error when a chunk is not the one that was sealed at this place
 */
export async function* openChunks({ key }: StreamKey, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    let counter = 0;
    for await (const { bytes, last } of exactChunks(source, chunkBytes + tagBytes)) {
      // Only an empty stream ends with an empty chunk; otherwise there would be two spellings of the same data.
      const tagAt = bytes.length - tagBytes;
      if (tagAt < 0 || (tagAt === 0 && counter > 0)) throw new Error('truncated');
      const decipher = createDecipheriv('aes-256-gcm', key, nonce(counter++, last), { authTagLength: tagBytes });
      decipher.setAuthTag(bytes.subarray(tagAt));
      const plaintext = decipher.update(bytes.subarray(0, tagAt));
      decipher.final();
      yield plaintext;
    }
  } finally {
    key.fill(0);
  }
}

function streamKey({ plaintext }: DataKey, salt: string, line: Buffer): Buffer {
  const info = Buffer.concat([Buffer.from(`${format} `), createHash('sha256').update(line).digest()]);
  return Buffer.from(hkdfSync('sha256', plaintext, Buffer.from(salt, 'base64url'), info, 32));
}

/** 11 bytes of counter, big-endian (a stream has fewer than 2^48 chunks), and the mark of the last chunk. */
function nonce(counter: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntBE(counter, 5, 6);
  bytes[11] = last ? 1 : 0;
  return bytes;
}
