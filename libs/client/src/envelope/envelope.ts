import { type EncryptionContext, isAlias } from '@claviger/contracts';
import { ClavigerError } from '../claviger-error';
import { splitFirstLine } from './chunks';
import { contextDigest } from './context-digest';
import { type DataKey, type DataKeys, type Purpose } from './data-keys';
import { openBuffer, readSealedBuffer, sealBuffer } from './sealed-buffer';
import { maxHeaderBytes, newStream, openChunks, readStreamHeader, reopenStream, sealChunks } from './sealed-stream';

export interface EnvelopeOptions {
  /** The encryption context: authenticated, shown to policy, recorded; opening needs the same. */
  context?: EncryptionContext;
}

/** Envelope encryption: data of any size is sealed here under a data key that only Claviger can give back. */
export class Envelope {
  constructor(private readonly dataKeys: DataKeys) {}

  /** A JWE compact serialization. For data that fits in memory; else `sealStream`. @throws ClavigerError */
  seal(keyId: string, data: Uint8Array, { context }: EnvelopeOptions = {}): Promise<string> {
    const digest = contextDigest(context);
    return this.dataKeys.toSeal({ keyId, context, purpose: 'buffer' }, data.byteLength, (key) => sealBuffer(key, digest, data));
  }

  /** @throws ClavigerError ERR_DECRYPTION_FAILED whatever is wrong with key id, context or text */
  async open(keyId: string, sealed: string, { context }: EnvelopeOptions = {}): Promise<Uint8Array> {
    const parts = readSealedBuffer(sealed);
    const request = { keyId, context, purpose: 'buffer' as Purpose };
    if (!parts || !isFor(parts.header, keyId, context)) throw decryptionFailed();
    return this.dataKeys.toOpen(request, parts.header.dek, (key) =>
      orDecryptionFailed(() => openBuffer(underIts(key, parts.header), parts)),
    );
  }

  /** Sealed bytes, made as they are read: a header line, then chunks of 64 KiB. Any (web or Node) readable stream is a source. */
  async *sealStream(keyId: string, source: AsyncIterable<Uint8Array>, { context }: EnvelopeOptions = {}): AsyncGenerator<Uint8Array> {
    const digest = contextDigest(context);
    yield* sealChunks(await this.dataKeys.toSeal({ keyId, context, purpose: 'stream' }, 0, (key) => newStream(key, digest)), source);
  }

  /**
   * Gives only bytes that are proved, as they come. Whether the stream is whole is known at its end, so take nothing as final before that.
   * @throws ClavigerError ERR_DECRYPTION_FAILED for a wrong key id or context, and where a chunk is changed, missing, moved or added
   */
  async *openStream(keyId: string, source: AsyncIterable<Uint8Array>, { context }: EnvelopeOptions = {}): AsyncGenerator<Uint8Array> {
    const split = await splitFirstLine(source, maxHeaderBytes);
    const header = split && readStreamHeader(split.line);
    if (!header || !isFor(header, keyId, context)) throw decryptionFailed();
    const request = { keyId, context, purpose: 'stream' as Purpose };
    const key = await this.dataKeys.toOpen(request, header.dek, (dataKey) =>
      orDecryptionFailed(() => reopenStream(underIts(dataKey, header), header, split.line)),
    );
    const { rest, failed } = remembering(split.rest);
    try {
      yield* openChunks(key, rest);
    } catch (error) {
      throw failed() ? error : decryptionFailed(error);
    }
  }

  close(): void {
    this.dataKeys.clear();
  }
}

const decryptionFailed = (cause?: unknown) => new ClavigerError('ERR_DECRYPTION_FAILED', cause === undefined ? {} : { cause });

function orDecryptionFailed<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw decryptionFailed(error);
  }
}

/** The caller says which key and context it expects; what the ciphertext says of itself is only compared with that. */
const isFor = (header: { kid: string; ctx?: string }, keyId: string, context: EncryptionContext | undefined): boolean =>
  (isAlias(keyId) || header.kid.startsWith(`${keyId}#`)) && header.ctx === contextDigest(context);

/** Where an alias was named, only Claviger knows which key that is. @throws Error when it is not the one that the header names */
function underIts(key: DataKey, { kid }: { kid: string }): DataKey {
  if (!kid.startsWith(`${key.keyId}#`)) throw new Error('the header names another key than the data key is under');
  return key;
}

/** The same bytes, and whether their source failed: a read error is not a failed decryption. */
function remembering(source: AsyncIterable<Uint8Array>): { rest: AsyncIterable<Uint8Array>; failed: () => boolean } {
  let failed = false;
  async function* rest() {
    try {
      yield* source;
    } catch (error) {
      failed = true;
      throw error;
    }
  }
  return { rest: rest(), failed: () => failed };
}
