import { algorithms, type cryptoOperations, type Item, type KeyView, type KeyWrapAlgorithm, ProblemError } from '@claviger/contracts';
import type { KeyWrapScheme } from '@claviger/hsm';
import { type Done, dry } from './done';
import type { KeyHolder } from './key-holder';
import { type KeyVersion, versionsNamed, versionToProcess, versionToProtect } from './key-use';
import { asked, intact } from './token-verdict';

type Ops = typeof cryptoOperations;

/** How callers move and agree on keys of their own (SP 800-57 Part 1 rev. 5 §5.1.1: key transport and key agreement). Synchronous, as Operations. */
export class KeyEstablishment {
  constructor(private readonly keys: KeyHolder) {}

  wrapKey(request: Item<Ops['wrapKey']>, key: KeyView): Done<Ops['wrapKey']> {
    const version = versionToProtect(key, 'wrap');
    const algorithm = wrapAlgorithmFor(key, request.algorithm);
    dry(request, version, () => this.keys.handle(key, version));
    const handle = this.keys.handle(key, version);
    const value = Buffer.from(request.plaintextKey, 'base64url');
    try {
      const wrappedKey = asked(() => this.keys.tokenOf(version).wrapValue(handle, schemeOf(algorithm), value)).toString('base64url');
      return {
        result: { keyId: key.keyId, version: version.version, algorithm, wrappedKey },
        record: { version: version.version, bytes: value.length },
      };
    } finally {
      value.fill(0);
    }
  }

  unwrapKey(request: Item<Ops['unwrapKey']>, key: KeyView): Done<Ops['unwrapKey']> {
    const versions = versionsNamed(key, 'wrap', request.version);
    const algorithm = wrapAlgorithmFor(key, request.algorithm);
    const wrapped = Buffer.from(request.wrappedKey, 'base64url');
    for (const version of versions) {
      dry(request, version, () => this.keys.handle(key, version));
      const handle = this.keys.handle(key, version);
      const value = intact(() => this.keys.tokenOf(version).unwrapValue(handle, schemeOf(algorithm), wrapped));
      if (!value) continue;
      try {
        return {
          result: { keyId: key.keyId, version: version.version, algorithm, plaintextKey: value.toString('base64url') },
          record: { version: version.version, bytes: value.length },
        };
      } finally {
        value.fill(0);
      }
    }
    throw new ProblemError('ERR_DECRYPTION_FAILED');
  }

  deriveSharedSecret(request: Item<Ops['deriveSharedSecret']>, key: KeyView): Done<Ops['deriveSharedSecret']> {
    const version = request.version === undefined ? versionToProtect(key, 'agree') : versionToProcess(key, 'agree', request.version);
    dry(request, version, () => this.keys.handle(key, version));
    const handle = this.keys.handle(key, version);
    return told(
      key,
      version,
      asked(() => this.keys.tokenOf(version).deriveSharedSecret(handle, Buffer.from(request.publicKeySpki, 'base64url'))),
    );
  }

  encapsulate(request: Item<Ops['encapsulate']>, key: KeyView): Done<Ops['encapsulate']> {
    const version = versionToProtect(key, 'encapsulate');
    dry(request, version, () => this.keys.publicKey(key, version));
    const handle = this.keys.publicKey(key, version);
    const { ciphertext, sharedSecret } = this.keys.tokenOf(version).encapsulate(handle);
    const { result, record } = told(key, version, sharedSecret);
    return { result: { ...result, kemCiphertext: ciphertext.toString('base64url') }, record };
  }

  decapsulate(request: Item<Ops['decapsulate']>, key: KeyView): Done<Ops['decapsulate']> {
    const version = versionToProcess(key, 'encapsulate', request.version);
    dry(request, version, () => this.keys.handle(key, version));
    const handle = this.keys.handle(key, version);
    return told(
      key,
      version,
      asked(() => this.keys.tokenOf(version).decapsulate(handle, Buffer.from(request.kemCiphertext, 'base64url'))),
    );
  }
}

/** A shared secret as the caller gets it, and its record; its bytes are overwritten. */
function told({ keyId }: KeyView, { version }: KeyVersion, secret: Buffer) {
  const sharedSecret = secret.toString('base64url');
  secret.fill(0);
  return { result: { keyId, version, sharedSecret }, record: { version, bytes: secret.length } };
}

function wrapAlgorithmFor(key: KeyView, asked: KeyWrapAlgorithm | undefined): KeyWrapAlgorithm {
  const names = (algorithms[key.algorithm].usages.wrap ?? []) as readonly KeyWrapAlgorithm[];
  if (asked !== undefined && !names.includes(asked))
    throw new ProblemError('ERR_KEY_USAGE', `An ${key.algorithm} key wraps with ${names.join(', ')}.`);
  return asked ?? (names[0] as KeyWrapAlgorithm);
}

const schemeOf = (algorithm: KeyWrapAlgorithm): KeyWrapScheme => (algorithm.endsWith('KWP') ? 'KWP' : 'KW');
