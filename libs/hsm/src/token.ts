import { deriveSharedSecret } from './agreement';
import {
  type Algorithm,
  type KeyUsage,
  type PairAlgorithm,
  type RsaAlgorithm,
  rowOf,
  type SecretAlgorithm,
  type TokenFamily,
} from './algorithms';
import { Connection, type KeyHandle, type KeySource } from './connection';
import { decapsulate, type Encapsulated, encapsulate } from './encapsulation';
import { type ExportedPair, generateExportedPairAsync } from './exported-pairs';
import { decryptGcm, encryptGcm } from './gcm';
import { HsmError } from './hsm-error';
import { farOperations, type KeyOperations, nearOperations } from './key-operations';
import { destroyObject } from './key-pairs';
import { type KeyWrapScheme, unwrapValue, wrapValue } from './key-wrap';
import { importKnownPrivate, importKnownSecret } from './known-keys';
import { mac, matches } from './macs';
import { decryptOaep, decryptOaepAsync, encryptOaep } from './oaep';
import { assertConsistentAsync } from './pairwise';
import { importPublicKey } from './public-keys';
import { generateReceiverAsync, type Receiver, type ReceiverRequest, unwrapReceiver } from './receivers';
import { type RewrapRequest, rewrap } from './rewrapping';
import { type ReceivedMaterial, type ReceiveRequest, type SendRequest, unwrapFromSender, wrapToRecipient } from './sent-keys';
import type { DigestScheme } from './signature-schemes';
import { planDigest, planMessage, sign, signAsync, signMessageAsync, verify, verifyAsync } from './signatures';
import type { SigningContext } from './signing-context';
import type { ObjectClass, PublicUsage } from './templates';
import {
  assertAbsent,
  createCanary,
  destroyTokenKey,
  findTokenKey,
  generateRootKey,
  generateSessionKeyPair,
  generateSessionKeyPairAsync,
  generateTokenKeyPair,
  generateTokenKeyPairAsync,
  publicKeySpki,
  type SessionKeyPair,
} from './token-keys';
import type { TransportScheme } from './transport-schemes';
import { type UnwrapRequest, unwrap } from './unwrapping';
import { generateWrapped, generateWrappedAsync, type WrappedKeyMaterial } from './wrapped-keys';

/** Near: a call takes microseconds. Far: it crosses a network. */
export type Distance = 'near' | 'far';

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
  /**
   * Sessions for asynchronous calls, and how many of those run at once; 4 when left out. libuv has 4 threads unless UV_THREADPOOL_SIZE says
   * otherwise, and file and name look-ups want some of them too.
   */
  asyncSessions?: number;
  /** Where it is, which says how `use` does what is done at every request; near when left out. */
  distance?: Distance;
  /** After so long a call that a far token has not answered is given up, and one for which no session was free; 2 s when left out. Generation of keys is waited for. */
  answerMs?: number;
  /** `lookAfresh` has seen it: a library that does not is restarted, which costs its other tokens their sessions. */
  seenAfresh?: boolean;
  /** Milliseconds; spaces the attempts to reach a token that is away. */
  now?: () => number;
}

/** Label of the canary of a token that has no key of its own to be known by. */
export const canaryLabel = 'claviger-canary';
const defaultAsyncSessions = 4;
/** Clients wait 2.5 s for an answer before they ask again: the record of the refusal must be stored within it. */
const farAnswerMs = 2_000;
const p256DigestBytes = 32;

/**
 * A logged-in token. Calls throw, or reject with, only HsmError. They are synchronous, but for those named …Async: these are for RSA, which would
 * hold up everything else, and for generating any pair; they take their key from a function that is asked when the call begins.
 *
 * Handles and generations: when sessions are lost the token rebuilds them and raises `generation`; every older handle is then refused with the
 * retryable HSM_SESSION_LOST before it reaches the token. Ask `findTokenKey` (cached) or an UnwrappedKeys cache for a handle at each use.
 */
export class Token {
  readonly #connection: Connection;

  /** What is done with keys at every request. */
  readonly use: KeyOperations;
  readonly distance: Distance;

  private constructor(connection: Connection, distance: Distance) {
    this.#connection = connection;
    this.distance = distance;
    this.use = distance === 'near' ? nearOperations(connection) : farOperations(connection);
  }

  /**
   * Loads the library (once per process), finds the token by label, logs in once and opens the sessions.
   * @throws HsmError HSM_CONFIGURATION, HSM_TOKEN_NOT_FOUND, HSM_PIN_INCORRECT (never tried twice), HSM_PIN_LOCKED, HSM_PIN_UNCERTAIN, HSM_UNAVAILABLE
   */
  static open({
    canary,
    now = () => performance.now(),
    asyncSessions = defaultAsyncSessions,
    distance = 'near',
    seenAfresh = false,
    answerMs = farAnswerMs,
    ...options
  }: TokenOptions): Token {
    const named = { canary: canary ?? canaryLabel, canaryRequired: canary !== undefined };
    const asyncTimeoutMs = distance === 'far' ? answerMs : undefined;
    return new Token(new Connection({ ...options, ...named, now, asyncSessions, asyncTimeoutMs, seenAfresh }), distance);
  }

  /** For the files of this lib that stand on a token from outside (the self test, recovery groups); not handed out by the lib's door. */
  static connectionOf(token: Token): Connection {
    return token.#connection;
  }

  get label(): string {
    return this.#connection.tokenLabel;
  }
  get family(): TokenFamily {
    return this.#connection.family;
  }
  /** Whether it can make keys of the algorithm and use them for that, in whatever custody. */
  supports(algorithm: Algorithm, usage?: KeyUsage): boolean {
    return this.#connection.hasMechanism(rowOf(algorithm).generate) && this.#connection.hasAlgorithm(algorithm, usage);
  }
  /** Raised whenever handles died. */
  get generation(): number {
    return this.#connection.generation;
  }

  /** Calls that were given up and have not ended: each holds a thread, and the exit of the process waits for those. */
  get hanging(): number {
    return this.#connection.async.hanging;
  }

  /**
   * To be called before a synchronous call that can wait: while a token leaves calls unanswered, that one would hold the event loop for as long.
   * @throws HsmError HSM_UNAVAILABLE
   */
  assertAnswers(): void {
    if (this.hanging === 0) return;
    const token = this.label;
    throw new HsmError('HSM_UNAVAILABLE', `Token ${token} has not answered ${this.hanging} calls yet`, { token });
  }

  /**
   * Closes the sessions; the library is finalised with its last token. Asynchronous calls in flight end first and then reject with HSM_SESSION_LOST.
   * Never C_Logout, which would log other users of this process out.
   */
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

  /**
   * Key pair as token objects, private half sensitive, non-extractable and only for `usage` (the algorithm's first, when left out); gives the SPKI.
   * @throws HsmError HSM_KEY_EXISTS
   */
  generateTokenKeyPair(label: string, algorithm: PairAlgorithm, usage?: KeyUsage): Buffer {
    return generateTokenKeyPair(this.#connection, label, algorithm, usage);
  }

  /** The same off the event loop. After a retryable failure, look for the label before another try: the pair may be there. */
  generateTokenKeyPairAsync(label: string, algorithm: PairAlgorithm, usage?: KeyUsage): Promise<Buffer> {
    return generateTokenKeyPairAsync(this.#connection, label, algorithm, usage);
  }

  /** Destroys a root; false when it was gone already. Repeat it when it fails. */
  destroyRootKey(label: string): boolean {
    return destroyTokenKey(this.#connection, label, ['secret']);
  }

  /** Destroys both halves of a token key pair; false when it was gone already. Repeat it when it fails. */
  destroyTokenKeyPair(label: string): boolean {
    return destroyTokenKey(this.#connection, label, ['private', 'public']);
  }

  /** DER SubjectPublicKeyInfo of the token key pair with this label. */
  publicKeySpki(label: string): Buffer {
    return publicKeySpki(this.#connection, label);
  }

  /**
   * A new key that leaves the token only wrapped under `wrappingKey`; a pair is tested for consistency in the form in which it will be unwrapped.
   * @throws HsmError HSM_MECHANISM_UNAVAILABLE (the token lacks the algorithm, or cannot wrap its keys), HSM_SELF_TEST_FAILED
   */
  generateWrapped({ algorithm, wrappingKey }: { algorithm: Algorithm; wrappingKey: KeyHandle }): WrappedKeyMaterial {
    return generateWrapped(this.#connection, algorithm, wrappingKey);
  }

  /** The same off the event loop. */
  generateWrappedAsync({ algorithm, wrappingKey }: { algorithm: Algorithm; wrappingKey: KeySource }): Promise<WrappedKeyMaterial> {
    return generateWrappedAsync(this.#connection, algorithm, wrappingKey);
  }

  /** A new key-encryption key, wrapped under the root; unwrap it with usage `wrap`. */
  generateKek(root: KeyHandle): WrappedKeyMaterial {
    return generateWrapped(this.#connection, 'AES_256', root);
  }

  /** The key as a non-extractable, sensitive session object that can do exactly `usage`. @throws HsmError HSM_WRAPPED_KEY_INVALID */
  unwrap(request: UnwrapRequest): KeyHandle {
    return unwrap(this.#connection, request);
  }

  /** A new RSA pair whose private half only receives keys, by that scheme; as a session object. Off the event loop. */
  generateReceiverAsync(algorithm: RsaAlgorithm, scheme: TransportScheme): Promise<Receiver> {
    return generateReceiverAsync(this.#connection, algorithm, scheme);
  }

  /** The private half of an RSA pair that `generateWrappedAsync` made, as one that only receives keys by that scheme. Errors: see unwrap. */
  unwrapReceiver(request: ReceiverRequest): KeyHandle {
    return unwrapReceiver(this.#connection, request);
  }

  /**
   * A key, wrapped to a recipient's RSA public key. It is in clear only inside the token. A private half is PKCS#8; SoftHSM appends up to 7 zero bytes to it.
   * @throws HsmError HSM_ARGUMENT_INVALID (the recipient's key; a private half under RSAES_OAEP), HSM_MECHANISM_UNAVAILABLE (SoftHSM: RSAES_OAEP_SHA_256),
   * and those of unwrap
   */
  wrapToRecipient(request: SendRequest): Buffer {
    return wrapToRecipient(this.#connection, request);
  }

  /**
   * The key that a sender wrapped to a receiver's public key, now wrapped under another one. It is in clear only inside the token, and has been used there
   * as what it was said to be. Synchronous: a few private RSA operations.
   * @throws HsmError HSM_WRAPPED_KEY_INVALID (the one answer to a blob that does not open), HSM_KEY_UNSUITABLE (it opens, and is another kind of key),
   * HSM_ARGUMENT_INVALID, HSM_KEY_USE_REFUSED (a receiver of another scheme), HSM_MECHANISM_UNAVAILABLE (SoftHSM: RSAES_OAEP_SHA_256)
   */
  unwrapFromSender(request: ReceiveRequest): ReceivedMaterial {
    return unwrapFromSender(this.#connection, request);
  }

  /**
   * A wrapped key, or a KEK, under another wrapping key, without leaving the token; store what it gives as that of `generateWrapped`.
   * @throws HsmError HSM_WRAPPED_KEY_INVALID, HSM_KEY_USE_REFUSED (a key that wraps no others), HSM_MECHANISM_UNAVAILABLE, HSM_SELF_TEST_FAILED
   */
  rewrap(request: RewrapRequest): WrappedKeyMaterial {
    return rewrap(this.#connection, request);
  }

  /** A new pair for use outside of the token, its private half in clear (PKCS#8); off the event loop. @throws HsmError HSM_MECHANISM_UNAVAILABLE */
  generateExportedPairAsync(algorithm: PairAlgorithm): Promise<ExportedPair> {
    return generateExportedPairAsync(this.#connection, algorithm);
  }

  /**
   * That a private half, unwrapped for `usage`, is that of a public one: what it does fits the SPKI outside of the token. Off the event loop where it is slow.
   * @throws HsmError HSM_SELF_TEST_FAILED
   */
  async assertPair(privateKey: KeySource, spki: Buffer, usage: KeyUsage): Promise<void> {
    await assertConsistentAsync(this.#connection, privateKey, spki, usage);
  }

  /** Signing pair that lives as long as this token's generation (the batch key of an epoch). */
  generateSessionKeyPair(algorithm: PairAlgorithm): SessionKeyPair {
    return generateSessionKeyPair(this.#connection, algorithm);
  }

  /** The same off the event loop. */
  generateSessionKeyPairAsync(algorithm: PairAlgorithm): Promise<SessionKeyPair> {
    return generateSessionKeyPairAsync(this.#connection, algorithm);
  }

  /**
   * A public key from elsewhere (SPKI, DER) as a session object that can only do the public half of `usage`: verify, encrypt (RSA), or encapsulate (ML-KEM).
   * @throws HsmError HSM_ARGUMENT_INVALID (not the one DER form of such a key, or a point off its curve)
   */
  importPublicKey(algorithm: PairAlgorithm, spki: Buffer, usage: PublicUsage = 'sign'): KeyHandle {
    return importPublicKey(this.#connection, algorithm, spki, usage);
  }

  /** importPublicKey for P-256. */
  importPublicKeyP256(spki: Buffer): KeyHandle {
    return importPublicKey(this.#connection, 'EC_P256', spki, 'sign');
  }

  /** A secret whose value others know, as a session object for `usage`: for known-answer tests and conformance. @throws HsmError, not retryable, where the token lets none in */
  importKnownSecret(algorithm: SecretAlgorithm, value: Buffer, usage: KeyUsage): KeyHandle {
    return importKnownSecret(this.#connection, algorithm, value, usage);
  }

  /** The same with a private half (DER PrivateKeyInfo, RFC 5958; a post-quantum one as its seed, its bytes, or both). */
  importKnownPrivate(algorithm: PairAlgorithm, pkcs8: Buffer, usage: KeyUsage): KeyHandle {
    return importKnownPrivate(this.#connection, algorithm, pkcs8, usage);
  }

  /** Destroys a session object; does nothing for a handle of an older generation. */
  destroyObject(key: KeyHandle): void {
    destroyObject(this.#connection, key);
  }

  /**
   * AES-GCM (SP 800-38D) with a 12-byte IV that the caller never repeats under this key.
   * @returns ciphertext ‖ 16-byte tag, in a buffer of its own
   */
  encryptGcm(key: KeyHandle, iv: Buffer, aad: Buffer, plaintext: Buffer): Buffer {
    return encryptGcm(this.#connection, key, iv, aad, plaintext);
  }

  /** The plaintext of ciphertext ‖ tag. @throws HsmError HSM_AUTHENTICATION_FAILED when the tag does not match and the token proves alive */
  decryptGcm(key: KeyHandle, iv: Buffer, aad: Buffer, ciphertext: Buffer): Buffer {
    return decryptGcm(this.#connection, key, iv, aad, ciphertext);
  }

  /** HMAC of an HMAC_SHA_… key, as long as its hash. */
  mac(key: KeyHandle, message: Buffer): Buffer {
    return mac(this.#connection, key, message);
  }

  /** Whether `given` is the whole HMAC of the message; compared in constant time. */
  verifyMac(key: KeyHandle, message: Buffer, given: Buffer): boolean {
    return matches(mac(this.#connection, key, message), given);
  }

  /**
   * Signature over a digest: ECDSA raw r ‖ s (RFC 7518 §3.4), RSASSA-PSS with a salt as long as the hash, or RSASSA-PKCS1-v1_5. An ECDSA digest
   * may be of a longer hash than the scheme's, of which the leftmost bits count (SEC 1 §4.1.3). RSA holds the event loop: see signDigestAsync.
   * @throws HsmError HSM_KEY_USE_REFUSED (the scheme is not this key's), HSM_ARGUMENT_INVALID (the digest's length is not the scheme's)
   */
  signDigest(key: KeyHandle, scheme: DigestScheme, digest: Buffer): Buffer {
    return sign(this.#connection, planDigest(key, scheme, digest, 'signs'));
  }

  /** The same off the event loop; `urgent`: before all that wait for a session. */
  signDigestAsync(key: KeySource, scheme: DigestScheme, digest: Buffer, { urgent = false } = {}): Promise<Buffer> {
    return signAsync(this.#connection, key, scheme, digest, urgent);
  }

  /** Whether it is the signature of this digest; a malformed one is not. ECDSA takes a digest of any SHA-2 or SHA-3 hash. Errors: see signDigest. */
  verifyDigest(key: KeyHandle, scheme: DigestScheme, digest: Buffer, signature: Buffer): boolean {
    return verify(this.#connection, planDigest(key, scheme, digest, 'verifies'), signature);
  }

  /** The same off the event loop. */
  verifyDigestAsync(key: KeySource, scheme: DigestScheme, digest: Buffer, signature: Buffer): Promise<boolean> {
    return verifyAsync(this.#connection, key, scheme, digest, signature);
  }

  /**
   * A signature over the message itself: Ed25519 (RFC 8032), ML-DSA (FIPS 204) or SLH-DSA (FIPS 205; see signMessageAsync), as the key is. The latter
   * two are hedged and with an empty context unless `context` says otherwise. @throws HsmError HSM_ARGUMENT_INVALID (no context that the scheme takes)
   */
  signMessage(key: KeyHandle, message: Buffer, context?: SigningContext): Buffer {
    return sign(this.#connection, planMessage(key, message, context));
  }

  /** The same off the event loop. */
  signMessageAsync(key: KeySource, message: Buffer): Promise<Buffer> {
    return signMessageAsync(this.#connection, key, message);
  }

  /** Errors: see signMessage. */
  verifyMessage(key: KeyHandle, message: Buffer, signature: Buffer, context?: SigningContext): boolean {
    return verify(this.#connection, planMessage(key, message, context), signature);
  }

  /** signDigest with ES256 of a SHA-256 digest. */
  signDigestP256(key: KeyHandle, digest32: Buffer): Buffer {
    assertBytes('digest', digest32, p256DigestBytes);
    return this.signDigest(key, 'ES256', digest32);
  }

  /** verifyDigest with ES256 of a SHA-256 digest. */
  verifyDigestP256(key: KeyHandle, digest32: Buffer, signature: Buffer): boolean {
    assertBytes('digest', digest32, p256DigestBytes);
    return this.verifyDigest(key, 'ES256', digest32, signature);
  }

  /** signMessage. */
  signEd25519(key: KeyHandle, message: Buffer): Buffer {
    return this.signMessage(key, message);
  }

  /** RSA-OAEP with SHA-256 (JOSE RSA-OAEP-256) under an imported public key of usage `encrypt`. @throws HsmError HSM_MECHANISM_UNAVAILABLE (SoftHSM) */
  encryptOaep(key: KeyHandle, plaintext: Buffer): Buffer {
    return encryptOaep(this.#connection, key, plaintext);
  }

  /** @throws HsmError HSM_MECHANISM_UNAVAILABLE (SoftHSM), HSM_AUTHENTICATION_FAILED: the one answer to whatever is wrong with the ciphertext */
  decryptOaep(key: KeyHandle, ciphertext: Buffer): Buffer {
    return decryptOaep(this.#connection, key, ciphertext);
  }

  /** The same off the event loop. */
  decryptOaepAsync(key: KeySource, ciphertext: Buffer): Promise<Buffer> {
    return decryptOaepAsync(this.#connection, key, ciphertext);
  }

  /** A caller's key, wrapped under a key of usage `wrap`. @throws HsmError HSM_ARGUMENT_INVALID (a length that the scheme does not take) */
  wrapValue(key: KeyHandle, scheme: KeyWrapScheme, value: Buffer): Buffer {
    return wrapValue(this.#connection, key, scheme, value);
  }

  /** The key in it, in a buffer that the caller overwrites. @throws HsmError HSM_AUTHENTICATION_FAILED whatever is wrong with the blob */
  unwrapValue(key: KeyHandle, scheme: KeyWrapScheme, wrapped: Buffer): Buffer {
    return unwrapValue(this.#connection, key, scheme, wrapped);
  }

  /** ECDH: the raw shared secret of a key of usage `agree` and the other side's SPKI. @throws HsmError HSM_ARGUMENT_INVALID (no point of the key's curve) */
  deriveSharedSecret(key: KeyHandle, publicKeySpki: Buffer): Buffer {
    return deriveSharedSecret(this.#connection, key, publicKeySpki);
  }

  /** A fresh shared secret of 32 bytes and the ciphertext that gives it to the owner of an imported public key of usage `encapsulate` (FIPS 203 §7.2). */
  encapsulate(key: KeyHandle): Encapsulated {
    return encapsulate(this.#connection, key);
  }

  /** The shared secret in it. One that was not made for this key gives another secret, and no error (FIPS 203 §7.3). @throws HsmError HSM_ARGUMENT_INVALID (its length) */
  decapsulate(key: KeyHandle, ciphertext: Buffer): Buffer {
    return decapsulate(this.#connection, key, ciphertext);
  }

  /** Random bytes of the token (SP 800-90A generator). */
  random(bytes: number): Buffer {
    return this.#connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(bytes)));
  }
}

function assertBytes(what: string, value: Buffer, bytes: number): void {
  if (value.length !== bytes) throw new HsmError('HSM_ARGUMENT_INVALID', `The ${what} has ${value.length} bytes, not ${bytes}`);
}
