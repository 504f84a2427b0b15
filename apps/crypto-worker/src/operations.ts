import { createPublicKey, hash } from 'node:crypto';
import {
  algorithms,
  type cryptoOperations,
  derOfSignature,
  type Item,
  isAlias,
  type KeyUse,
  type KeyView,
  type MacAlgorithm,
  ProblemError,
  type SignatureEncoding,
  type SignatureScheme,
  schemesOf,
  signatureOfDer,
  signatureSchemes,
} from '@claviger/contracts';
import type { DigestScheme, Token } from '@claviger/hsm';
import { type Done, type Dry, dry, wouldUse } from './done';
import type { InvocationLeases } from './invocation-leases';
import { nextIv } from './iv';
import { contextDigest, keyIdIn, protectedHeader, readJwe, writeJwe } from './jwe';
import type { KeyHolder } from './key-holder';
import { encryptsToPublicHalf, type KeyVersion, versionsNamed, versionToDecrypt, versionToProcess, versionToProtect } from './key-use';
import { after, firstThat, type Now, spending } from './now';
import type { RsaEncryption } from './rsa-encryption';

type Ops = typeof cryptoOperations;
type Context = Record<string, string> | undefined;

const isOverMessage = (scheme: SignatureScheme): boolean => signatureSchemes[scheme].hash === undefined;

/**
 * The cryptographic operations themselves. Synchronous where the token is near, so that nothing can change between the check of a key's state and its
 * use. What leaves the event loop (RSA and SLH-DSA signatures, new pairs, everything of a token that is far) gives a promise, and whoever asked for it
 * checks again when it is there.
 */
export class Operations {
  constructor(
    private readonly token: Token,
    private readonly keys: KeyHolder,
    private readonly leases: Pick<InvocationLeases, 'take'>,
    private readonly rsa: RsaEncryption,
  ) {}

  encrypt(request: Item<Ops['encrypt']>, key: KeyView): Now<Done<Ops['encrypt']>> {
    const plaintext = Buffer.from(request.plaintext, 'base64url');
    return after(this.seal(key, plaintext, request.context, request), ({ ciphertext, version }) => ({
      result: { keyId: key.keyId, version, ciphertext },
      record: { version, bytes: plaintext.length },
    }));
  }

  decrypt(request: Item<Ops['decrypt']>, key: KeyView): Now<Done<Ops['decrypt']>> {
    return after(this.open(key, request, request), ({ plaintext, version }) =>
      spending(plaintext, () => ({
        result: { keyId: key.keyId, version, plaintext: plaintext.toString('base64url') },
        record: { version, bytes: plaintext.length },
      })),
    );
  }

  reEncrypt(request: Item<Ops['reEncrypt']>, from: KeyView, to: KeyView): Now<Done<Ops['reEncrypt']>> {
    return after(this.open(from, request, {}, 'rescue'), ({ plaintext, version }) =>
      spending(plaintext, () =>
        after(this.seal(to, plaintext, contextAfter(request), request), (sealed) => ({
          result: { keyId: to.keyId, version: sealed.version, fromKeyId: from.keyId, fromVersion: version, ciphertext: sealed.ciphertext },
          record: { version, toVersion: sealed.version, bytes: plaintext.length },
        })),
      ),
    );
  }

  sign(request: Item<Ops['sign']>, key: KeyView): Now<Done<Ops['sign']>> {
    assertOneInput(request);
    const version = versionToProtect(key, 'sign');
    const algorithm = schemeFor(key, request.algorithm);
    const input = signedInput(request, algorithm);
    assertEncoding(request, algorithm);
    const handle = () => this.keys.handle(key, version);
    dry(request, version, handle);
    const { use } = this.keys.tokenOf(version);
    const signing = isOverMessage(algorithm)
      ? use.signMessage(handle, input.data)
      : use.signDigest(handle, algorithm as DigestScheme, input.data);
    return after(signing, (raw) => {
      const signature = (request.encoding === 'der' ? derOfSignature(raw) : raw).toString('base64url');
      return {
        result: { keyId: key.keyId, version: version.version, algorithm, signature },
        record: { version: version.version, bytes: input.bytes },
      };
    });
  }

  verify(request: Item<Ops['verify']>, key: KeyView): Now<Done<Ops['verify']>> {
    assertOneInput(request);
    const versions = versionsNamed(key, 'sign', request.version);
    const algorithm = schemeFor(key, request.algorithm);
    const { data, bytes } = signedInput(request, algorithm);
    assertEncoding(request, algorithm);
    const given = Buffer.from(request.signature, 'base64url');
    return this.firstThat(request, key, versions, bytes, (version) => {
      const handle = () => this.keys.publicKey(key, version);
      dry(request, version, handle);
      const signature = request.encoding === 'der' ? signatureOfDer(given, signatureSchemes[algorithm].signatureBytes as number) : given;
      if (!signature) return false;
      const { use } = this.keys.tokenOf(version);
      return isOverMessage(algorithm)
        ? use.verifyMessage(handle, data, signature)
        : use.verifyDigest(handle, algorithm as DigestScheme, data, signature);
    });
  }

  generateMac(request: Item<Ops['generateMac']>, key: KeyView): Now<Done<Ops['generateMac']>> {
    const version = versionToProtect(key, 'mac');
    const message = Buffer.from(request.message, 'base64url');
    const handle = () => this.keys.handle(key, version);
    dry(request, version, handle);
    const [algorithm] = algorithms[key.algorithm].usages.mac as readonly [MacAlgorithm];
    return after(this.keys.tokenOf(version).use.mac(handle, message), (mac) => ({
      result: { keyId: key.keyId, version: version.version, algorithm, mac: mac.toString('base64url') },
      record: { version: version.version, bytes: message.length },
    }));
  }

  verifyMac(request: Item<Ops['verifyMac']>, key: KeyView): Now<Done<Ops['verifyMac']>> {
    const versions = versionsNamed(key, 'mac', request.version);
    const message = Buffer.from(request.message, 'base64url');
    const mac = Buffer.from(request.mac, 'base64url');
    return this.firstThat(request, key, versions, message.length, (version) => {
      const handle = () => this.keys.handle(key, version);
      dry(request, version, handle);
      return this.keys.tokenOf(version).use.verifyMac(handle, message, mac);
    });
  }

  /** It needs no token: the public half is in the key's signed record. */
  getPublicKey(request: Item<Ops['getPublicKey']>, key: KeyView): Done<Ops['getPublicKey']> {
    const { version, publicKeySpki } = versionToProcess(key, undefined, request.version ?? key.primaryVersion);
    if (publicKeySpki === undefined) throw new ProblemError('ERR_KEY_USAGE', `An ${key.algorithm} key has no public half.`);
    if (request.dryRun) throw wouldUse(version);
    const object = createPublicKey({ key: Buffer.from(publicKeySpki, 'base64url'), format: 'der', type: 'spki' });
    const signatureAlgorithms = key.usage === 'sign' ? [...schemesOf(key.algorithm)] : [];
    const names = algorithms[key.algorithm].usages[key.usage] ?? [];
    const jwk: Record<string, string> = {
      ...(object.export({ format: 'jwk' }) as Record<string, string>),
      kid: `${key.keyId}#${version}`,
      // An RSA key has several; which one it is used with is its user's choice.
      ...(names.length === 1 ? { alg: names[0] as string } : {}),
      use: key.usage === 'sign' ? 'sig' : 'enc',
    };
    const pem = object.export({ format: 'pem', type: 'spki' }) as string;
    return {
      result: { keyId: key.keyId, version, algorithm: key.algorithm, signatureAlgorithms, publicKeySpki, pem, jwk },
      record: { version, bytes: 0 },
    };
  }

  generateDataKey(request: Item<Ops['generateDataKey']>, key: KeyView): Now<Done<Ops['generateDataKey']>> {
    assertSealsAnyLength(key);
    return spending(this.token.random(request.bytes), (dataKey) =>
      after(this.seal(key, dataKey, request.context, request), ({ ciphertext, version }) => {
        const plaintext = request.withPlaintext ? { plaintext: dataKey.toString('base64url') } : {};
        return { result: { keyId: key.keyId, version, ciphertext, ...plaintext }, record: { version, bytes: dataKey.length } };
      }),
    );
  }

  async generateDataKeyPair(request: Item<Ops['generateDataKeyPair']>, key: KeyView): Promise<Done<Ops['generateDataKeyPair']>> {
    assertSealsAnyLength(key);
    const version = versionToProtect(key, 'encrypt');
    dry(request, version, () => this.keys.handle(key, version));
    const { publicKeySpki, privateKeyPkcs8 } = await this.token.generateExportedPairAsync(request.algorithm);
    try {
      const sealed = await this.seal(key, privateKeyPkcs8, request.context, {});
      return {
        result: {
          keyId: key.keyId,
          version: sealed.version,
          publicKeySpki: publicKeySpki.toString('base64url'),
          ciphertext: sealed.ciphertext,
          ...(request.withPlaintext ? { plaintext: privateKeyPkcs8.toString('base64url') } : {}),
        },
        record: { version: sealed.version, bytes: privateKeyPkcs8.length },
      };
    } finally {
      privateKeyPkcs8.fill(0);
    }
  }

  generateRandom(request: Item<Ops['generateRandom']>): Done<Ops['generateRandom']> {
    if (request.dryRun) throw new ProblemError('ERR_DRY_RUN');
    return { result: { random: this.token.random(request.bytes).toString('base64url') }, record: { bytes: request.bytes } };
  }

  private seal(key: KeyView, plaintext: Buffer, context: Context, request: Dry): Now<{ ciphertext: string; version: number }> {
    if (encryptsToPublicHalf(key)) return this.rsa.seal(key, plaintext, context, request);
    const version = versionToProtect(key, 'encrypt');
    const header = protectedHeader(key.keyId, version.version, contentEncryption(key), contextDigest(context));
    const handle = () => this.keys.handle(key, version);
    dry(request, version, handle);
    // SP 800-38D §8.2.2: a random 96-bit IV; the number of uses per key version is what bounds a repetition.
    this.leases.take(key.keyId, version.version);
    const iv = nextIv();
    const sealing = this.keys.tokenOf(version).use.encryptGcm(handle, iv, Buffer.from(header, 'latin1'), plaintext);
    return after(sealing, (sealed) => ({ ciphertext: writeJwe(header, iv, sealed), version: version.version }));
  }

  private open(
    key: KeyView,
    { keyId: ref, ciphertext, context }: { keyId: string; ciphertext: string; context?: Context },
    request: Dry,
    use: KeyUse = 'process',
  ): Now<{ plaintext: Buffer; version: number }> {
    if (encryptsToPublicHalf(key)) return this.rsa.open(key, ciphertext, context, request, use);
    const parts = readJwe(ciphertext, key.keyId, contentEncryption(key), contextDigest(context));
    if (!parts) throw new ProblemError('ERR_DECRYPTION_FAILED', underAnother(ref, ciphertext, key));
    const version = versionToDecrypt(key, parts.version, use);
    const handle = () => this.keys.handle(key, version);
    dry(request, version, handle);
    const opening = this.keys.tokenOf(version).use.decryptGcm(handle, parts.iv, Buffer.from(parts.header, 'latin1'), parts.sealed);
    return after(opening, (plaintext) => ({ plaintext, version: version.version }));
  }

  private firstThat(
    request: Dry,
    key: KeyView,
    versions: readonly KeyVersion[],
    bytes: number,
    fits: (version: KeyVersion) => Now<boolean>,
  ): Now<{ result: { keyId: string; valid: boolean; version?: number }; record: { bytes: number; version?: number } }> {
    return after(firstThat(versions, fits), (made) => {
      if (request.dryRun) throw wouldUse(key.primaryVersion);
      const found = made === undefined ? {} : { version: made.version };
      return { result: { keyId: key.keyId, valid: made !== undefined, ...found }, record: { bytes, ...found } };
    });
  }
}

/** The context that a re-encrypted ciphertext is bound to: the new one, or the old one when none is named. */
export const contextAfter = ({ context, toContext }: { context?: Context; toContext?: Context }): Context => toContext ?? context;

/** Of an alias that has moved on. It says what is in the ciphertext in clear, to whom policy lets decrypt with the alias's key; nothing was opened yet. */
function underAnother(ref: string, ciphertext: string, { keyId }: KeyView): string | undefined {
  const named = isAlias(ref) ? keyIdIn(ciphertext) : undefined;
  return named === undefined || named === keyId ? undefined : `The alias points to another key now: name ${named}, as the ciphertext does.`;
}

const contentEncryption = (key: KeyView): string => algorithms[key.algorithm].usages.encrypt?.[0] ?? 'none';

/** Under a public half goes little, and its ciphertext binds no context: no key to keep others under. @throws ProblemError ERR_KEY_USAGE */
function assertSealsAnyLength(key: KeyView): void {
  if (encryptsToPublicHalf(key))
    throw new ProblemError('ERR_KEY_USAGE', `An ${key.algorithm} key only encrypts and decrypts; take an AES key for this.`);
}

function schemeFor(key: KeyView, asked: SignatureScheme | undefined): SignatureScheme {
  const schemes = schemesOf(key.algorithm);
  if (asked !== undefined && !schemes.includes(asked))
    throw new ProblemError('ERR_KEY_USAGE', `An ${key.algorithm} key signs with ${schemes.join(', ')}.`);
  return asked ?? (schemes[0] as SignatureScheme);
}

function assertEncoding({ encoding }: { encoding?: SignatureEncoding | undefined }, scheme: SignatureScheme): void {
  if (encoding === 'der' && signatureSchemes[scheme].signatureBytes === undefined)
    throw new ProblemError('ERR_MALFORMED_REQUEST', `${scheme} signatures have one encoding; leave it out.`);
}

/** Wrong whatever the key is. */
function assertOneInput({ message, digest }: { message?: string | undefined; digest?: string | undefined }): void {
  if ((message === undefined) === (digest === undefined))
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'Give exactly one of message and digest.');
}

/** What the token signs: the digest, or the message itself. `bytes`: of what the caller gave. */
function signedInput({ message, digest }: { message?: string | undefined; digest?: string | undefined }, scheme: SignatureScheme) {
  const { hash: name, digestBytes } = signatureSchemes[scheme];
  const data = Buffer.from((message ?? digest) as string, 'base64url');
  if (message !== undefined) return { data: name === undefined ? data : hash(name, data, 'buffer'), bytes: data.length };
  if (!digestBytes.includes(data.length)) {
    // docs/adr/0020-external-mu.md
    const noMu = scheme.startsWith('ML-DSA') ? ', nor a precomputed mu (EXTERNAL_MU): PKCS#11 v3.2 has no mechanism for one' : '';
    const takes = digestBytes.length === 0 ? `a message, not a digest${noMu}` : `a digest of ${digestBytes.join(' or ')} bytes`;
    throw new ProblemError('ERR_MALFORMED_REQUEST', `${scheme} takes ${takes}.`);
  }
  return { data, bytes: data.length };
}
