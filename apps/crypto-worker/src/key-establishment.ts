import { algorithms, type cryptoOperations, type Item, type KeyView, type KeyWrapAlgorithm, ProblemError } from '@claviger/contracts';
import { HsmError, type KeyWrapScheme, type Token } from '@claviger/hsm';
import { type Done, dry } from './done';
import type { KeyHolder } from './key-holder';
import { versionsNamed, versionToProcess, versionToProtect } from './key-use';

type Ops = typeof cryptoOperations;

/** How callers move and agree on keys of their own (SP 800-57 Part 1 rev. 5 §5.1.1: key transport and key agreement). Synchronous, as Operations. */
export class KeyEstablishment {
  constructor(
    private readonly token: Token,
    private readonly keys: KeyHolder,
  ) {}

  wrapKey(request: Item<Ops['wrapKey']>, key: KeyView): Done<Ops['wrapKey']> {
    const version = versionToProtect(key, 'wrap');
    const algorithm = wrapAlgorithmFor(key, request.algorithm);
    const handle = dry(request, version, this.keys.handle(key, version));
    const value = Buffer.from(request.plaintextKey, 'base64url');
    try {
      const wrappedKey = asked(() => this.token.wrapValue(handle, schemeOf(algorithm), value)).toString('base64url');
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
      const handle = dry(request, version, this.keys.handle(key, version));
      const value = intact(() => this.token.unwrapValue(handle, schemeOf(algorithm), wrapped));
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
    const handle = dry(request, version, this.keys.handle(key, version));
    const secret = asked(() => this.token.deriveSharedSecret(handle, Buffer.from(request.publicKeySpki, 'base64url')));
    try {
      return {
        result: { keyId: key.keyId, version: version.version, sharedSecret: secret.toString('base64url') },
        record: { version: version.version, bytes: secret.length },
      };
    } finally {
      secret.fill(0);
    }
  }
}

function wrapAlgorithmFor(key: KeyView, asked: KeyWrapAlgorithm | undefined): KeyWrapAlgorithm {
  const names = (algorithms[key.algorithm].usages.wrap ?? []) as readonly KeyWrapAlgorithm[];
  if (asked !== undefined && !names.includes(asked))
    throw new ProblemError('ERR_KEY_USAGE', `An ${key.algorithm} key wraps with ${names.join(', ')}.`);
  return asked ?? (names[0] as KeyWrapAlgorithm);
}

const schemeOf = (algorithm: KeyWrapAlgorithm): KeyWrapScheme => (algorithm.endsWith('KWP') ? 'KWP' : 'KW');

/** What the token calls a wrong argument is one that the caller gave. */
function asked<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_ARGUMENT_INVALID')
      throw new ProblemError('ERR_MALFORMED_REQUEST', error.what, { cause: error });
    throw error;
  }
}

/** What the token found in it, or undefined when it is not intact under this key. */
function intact<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_AUTHENTICATION_FAILED') return undefined;
    throw error;
  }
}
