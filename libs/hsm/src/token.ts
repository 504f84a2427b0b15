import { algorithms, type PairAlgorithm, type TokenFamily, type WrappableAlgorithm } from './algorithms';
import { Connection, type KeyHandle } from './connection';
import { gcmIvBytes, gcmMechanism, gcmTagBytes } from './gcm';
import { HsmError } from './hsm-error';
import type { ObjectClass } from './templates';
import { assertAbsent, createCanary, findTokenKey, generateRootKey, generateTokenKeyPair, publicKeySpki } from './token-keys';
import { importPublicKey, verifySignature } from './verification';
import {
  destroyObject,
  generateSessionKeyPair,
  generateWrapped,
  type UnwrapRequest,
  unwrap,
  type WrappedKeyMaterial,
} from './wrapped-keys';

export interface TokenOptions {
  /** Path of the PKCS#11 module, for example `/usr/lib/softhsm/libsofthsm2.so`. */
  libraryPath: string;
  tokenLabel: string;
  pin: string;
  /**
   * Label of a private token object that is there for certain, for example `certifier`; opening fails when it is not seen. Services give one.
   * Left out (a ceremony), `claviger-canary` is used, and nothing can be called absent before `createCanary`.
   */
  canary?: string;
  /** Milliseconds; spaces the attempts to reach a token that is away. */
  now?: () => number;
}

const defaultCanary = 'claviger-canary';
/** A zero-length Buffer of its own has a null pointer, which tokens refuse; a slice of one byte does not. */
const empty = Buffer.alloc(1).subarray(0, 0);
const digestBytes = 32;

/**
 * A logged-in token. All calls are synchronous and throw only HsmError.
 *
 * Handles and generations: when sessions are lost the token rebuilds them and raises `generation`; every older handle is then refused with the
 * retryable HSM_SESSION_LOST before it reaches the token. Ask `findTokenKey` (cached) or an UnwrappedKeys cache for a handle at each use.
 */
export class Token {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Loads the library (once per process), finds the token by label, logs in once and opens the sessions.
   * @throws HsmError HSM_CONFIGURATION, HSM_TOKEN_NOT_FOUND, HSM_PIN_INCORRECT (never tried twice), HSM_PIN_LOCKED, HSM_UNAVAILABLE
   */
  static open({ canary, now = () => performance.now(), ...options }: TokenOptions): Token {
    return new Token(new Connection({ ...options, now, canary: canary ?? defaultCanary, canaryRequired: canary !== undefined }));
  }

  /** For this lib's self test, which alone imports a key; not handed out by the lib's door. */
  static connectionOf(token: Token): Connection {
    return token.#connection;
  }

  get label(): string {
    return this.#connection.tokenLabel;
  }
  get family(): TokenFamily {
    return this.#connection.family;
  }
  /** Raised whenever handles died. */
  get generation(): number {
    return this.#connection.generation;
  }

  /** Closes the sessions; the library is finalised with its last token. Never C_Logout, which would log other users of this process out. */
  close(): void {
    this.#connection.close();
  }

  /** Creates the object whose sight proves that the token shows what it holds. Does nothing when it is there. */
  createCanary(): void {
    createCanary(this.#connection);
  }

  /** A token object by label, cached. @throws HsmError HSM_KEY_NOT_FOUND only when the canary is seen; else HSM_UNAVAILABLE */
  findTokenKey(label: string, objectClass: ObjectClass): KeyHandle {
    return findTokenKey(this.#connection, label, objectClass);
  }

  /** @throws HsmError HSM_KEY_EXISTS; HSM_UNAVAILABLE unless the canary is seen, since what a token does not show may still be there */
  assertAbsent(label: string): void {
    assertAbsent(this.#connection, label);
  }

  /** AES-256 token object that can only wrap and unwrap. `clonable`: extractable, so that it can be wrapped to a second HSM. @throws HsmError HSM_KEY_EXISTS */
  generateRootKey(label: string, { clonable = false }: { clonable?: boolean } = {}): void {
    generateRootKey(this.#connection, label, clonable);
  }

  /** Signing key pair as token objects, private half sensitive and non-extractable; gives the SPKI. @throws HsmError HSM_KEY_EXISTS */
  generateTokenKeyPair(label: string, algorithm: PairAlgorithm): Buffer {
    return generateTokenKeyPair(this.#connection, label, algorithm);
  }

  /** DER SubjectPublicKeyInfo of the token key pair with this label. */
  publicKeySpki(label: string): Buffer {
    return publicKeySpki(this.#connection, label);
  }

  /** A new key that leaves the token only wrapped under `wrappingKey`. */
  generateWrapped({ algorithm, wrappingKey }: { algorithm: WrappableAlgorithm; wrappingKey: KeyHandle }): WrappedKeyMaterial {
    return generateWrapped(this.#connection, algorithm, wrappingKey);
  }

  /** A new key-encryption key, wrapped under the root; unwrap it with usage `wrap`. */
  generateKek(root: KeyHandle): WrappedKeyMaterial {
    return generateWrapped(this.#connection, 'AES_256', root);
  }

  /** The key as a non-extractable, sensitive session object that can do exactly `usage`. @throws HsmError HSM_WRAPPED_KEY_INVALID */
  unwrap(request: UnwrapRequest): KeyHandle {
    return unwrap(this.#connection, request);
  }

  /** Signing pair that lives as long as this token's generation (the batch key of an epoch). */
  generateSessionKeyPair(algorithm: PairAlgorithm): { privateKey: KeyHandle; publicKeySpki: Buffer } {
    return generateSessionKeyPair(this.#connection, algorithm);
  }

  /** A P-256 public key from elsewhere (SPKI, DER) as a session object that can only verify. @throws HsmError HSM_ARGUMENT_INVALID */
  importPublicKeyP256(spki: Buffer): KeyHandle {
    return importPublicKey(this.#connection, 'EC_P256', spki);
  }

  /** Whether r ‖ s (64 bytes) is the signature of this SHA-256 digest; a malformed one is not. */
  verifyDigestP256(key: KeyHandle, digest32: Buffer, signature: Buffer): boolean {
    assertBytes('digest', digest32, digestBytes);
    return verifySignature(this.#connection, key, digest32, signature);
  }

  /** Destroys a session object; does nothing for a handle of an older generation. */
  destroyObject(key: KeyHandle): void {
    destroyObject(this.#connection, key);
  }

  /**
   * AES-256-GCM (SP 800-38D) with a 12-byte IV that the caller never repeats under this key.
   * @returns ciphertext ‖ 16-byte tag, in a buffer of its own
   */
  encryptGcm(key: KeyHandle, iv: Buffer, aad: Buffer, plaintext: Buffer): Buffer {
    const connection = this.#connection;
    connection.assertCurrent(key);
    assertBytes('IV', iv, gcmIvBytes);
    const { operations } = connection.ready();
    try {
      connection.p11.C_EncryptInit(operations, gcmMechanism(iv, aad), key.object);
      return connection.p11.C_Encrypt(
        operations,
        plaintext.length === 0 ? empty : plaintext,
        Buffer.allocUnsafe(plaintext.length + gcmTagBytes),
      );
    } catch (error) {
      throw connection.failure(error, 'encrypt');
    }
  }

  /** @param ciphertext ciphertext ‖ 16-byte tag. @throws HsmError HSM_AUTHENTICATION_FAILED, said only of a token that proved alive */
  decryptGcm(key: KeyHandle, iv: Buffer, aad: Buffer, ciphertext: Buffer): Buffer {
    const connection = this.#connection;
    connection.assertCurrent(key);
    assertBytes('IV', iv, gcmIvBytes);
    if (ciphertext.length < gcmTagBytes) throw new HsmError('HSM_AUTHENTICATION_FAILED', 'The ciphertext is shorter than its tag');
    const { operations } = connection.ready();
    try {
      connection.p11.C_DecryptInit(operations, gcmMechanism(iv, aad), key.object);
      // SoftHSM asks for room for the tag too; the result is a view without it.
      return connection.p11.C_Decrypt(operations, ciphertext, Buffer.allocUnsafe(ciphertext.length));
    } catch (error) {
      throw connection.failure(error, 'decrypt');
    }
  }

  /** ECDSA P-256 over a SHA-256 digest. @returns r ‖ s, 64 bytes (RFC 7518 §3.4) */
  signDigestP256(key: KeyHandle, digest32: Buffer): Buffer {
    assertBytes('digest', digest32, digestBytes);
    return this.#sign(key, 'EC_P256', digest32);
  }

  /** Ed25519 (RFC 8032) over the message itself. @returns 64 bytes */
  signEd25519(key: KeyHandle, message: Buffer): Buffer {
    return this.#sign(key, 'ED25519', message.length === 0 ? empty : message);
  }

  /** Random bytes of the token (SP 800-90A generator). */
  random(bytes: number): Buffer {
    return this.#connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(bytes)));
  }

  #sign(key: KeyHandle, algorithm: PairAlgorithm, bytes: Buffer): Buffer {
    const connection = this.#connection;
    connection.assertCurrent(key);
    if (key.algorithm !== algorithm) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key makes no ${algorithm} signature`);
    const { operate, signatureBytes } = algorithms[algorithm];
    const { operations } = connection.ready();
    try {
      connection.p11.C_SignInit(operations, { mechanism: operate }, key.object);
      return connection.p11.C_Sign(operations, bytes, Buffer.allocUnsafe(signatureBytes));
    } catch (error) {
      throw connection.failure(error, 'sign');
    }
  }
}

function assertBytes(what: string, value: Buffer, bytes: number): void {
  if (value.length !== bytes) throw new HsmError('HSM_ARGUMENT_INVALID', `The ${what} has ${value.length} bytes, not ${bytes}`);
}
