import { hash } from 'node:crypto';
import { type cryptoOperations, type KeyView, ProblemError, type Request, type Result } from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { nextIv } from './iv';
import { contextDigest, protectedHeader, readJwe, writeJwe } from './jwe';
import type { KeyHolder } from './key-holder';
import { versionsToVerify, versionToDecrypt, versionToProtect, versionToVerify } from './key-use';

type Ops = typeof cryptoOperations;
/** What an operation did: the result for the caller, and what the record says of it. */
export interface Done<O extends Ops[keyof Ops]> {
  result: Result<O>;
  version?: number;
  bytes: number;
}

/** The cryptographic operations themselves: synchronous, so that nothing can change between the check of a key's state and its use. */
export class Operations {
  constructor(
    private readonly token: Token,
    private readonly keys: KeyHolder,
  ) {}

  encrypt(request: Request<Ops['encrypt']>, key: KeyView): Done<Ops['encrypt']> {
    const plaintext = Buffer.from(request.plaintext, 'base64url');
    const { ciphertext, version } = this.seal(key, plaintext, request.context);
    return { result: { keyId: key.keyId, version, ciphertext }, version, bytes: plaintext.length };
  }

  decrypt(request: Request<Ops['decrypt']>, key: KeyView): Done<Ops['decrypt']> {
    const parts = readJwe(request.ciphertext, key.keyId, contextDigest(request.context));
    if (!parts) throw new ProblemError('ERR_DECRYPTION_FAILED');
    const version = versionToDecrypt(key, parts.version);
    const plaintext = this.token.decryptGcm(this.keys.handle(key, version), parts.iv, Buffer.from(parts.header, 'latin1'), parts.sealed);
    return {
      result: { keyId: key.keyId, version: version.version, plaintext: plaintext.toString('base64url') },
      version: version.version,
      bytes: plaintext.length,
    };
  }

  sign(request: Request<Ops['sign']>, key: KeyView): Done<Ops['sign']> {
    const { digest, bytes } = digestOf(request);
    const version = versionToProtect(key, 'EC_P256');
    const signature = this.token.signDigestP256(this.keys.handle(key, version), digest);
    return {
      result: { keyId: key.keyId, version: version.version, algorithm: 'ES256', signature: signature.toString('base64url') },
      version: version.version,
      bytes,
    };
  }

  verify(request: Request<Ops['verify']>, key: KeyView): Done<Ops['verify']> {
    const { digest, bytes } = digestOf(request);
    const signature = Buffer.from(request.signature, 'base64url');
    const versions = request.version === undefined ? versionsToVerify(key) : [versionToVerify(key, request.version)];
    const made = versions.find((v) => this.token.verifyDigestP256(this.keys.publicKey(key, v), digest, signature));
    return {
      result: { keyId: key.keyId, valid: made !== undefined, ...(made ? { version: made.version } : {}) },
      bytes,
      ...(made ? { version: made.version } : {}),
    };
  }

  generateDataKey(request: Request<Ops['generateDataKey']>, key: KeyView): Done<Ops['generateDataKey']> {
    const dataKey = this.token.random(32);
    try {
      const { ciphertext, version } = this.seal(key, dataKey, request.context);
      const plaintext = request.withPlaintext ? { plaintext: dataKey.toString('base64url') } : {};
      return { result: { keyId: key.keyId, version, ciphertext, ...plaintext }, version, bytes: dataKey.length };
    } finally {
      dataKey.fill(0);
    }
  }

  generateRandom(request: Request<Ops['generateRandom']>): Done<Ops['generateRandom']> {
    return { result: { random: this.token.random(request.bytes).toString('base64url') }, bytes: request.bytes };
  }

  private seal(key: KeyView, plaintext: Buffer, context: Record<string, string> | undefined): { ciphertext: string; version: number } {
    const version = versionToProtect(key, 'AES_256');
    const header = protectedHeader(key.keyId, version.version, contextDigest(context));
    // SP 800-38D §8.2.2: a random 96-bit IV; the number of uses per key version is what bounds a repetition.
    const iv = nextIv();
    const sealed = this.token.encryptGcm(this.keys.handle(key, version), iv, Buffer.from(header, 'latin1'), plaintext);
    return { ciphertext: writeJwe(header, iv, sealed), version: version.version };
  }
}

function digestOf({ message, digest }: { message?: string | undefined; digest?: string | undefined }): { digest: Buffer; bytes: number } {
  if ((message === undefined) === (digest === undefined))
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'Give exactly one of message and digest.');
  if (digest !== undefined) return { digest: Buffer.from(digest, 'base64url'), bytes: 32 };
  const bytes = Buffer.from(message as string, 'base64url');
  return { digest: hash('sha256', bytes, 'buffer'), bytes: bytes.length };
}
