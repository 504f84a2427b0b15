import { type cryptoOperations, type Item, type KeyView, ProblemError } from '@claviger/contracts';
import { type Done, dry, wouldUse } from './done';
import type { KeyHolder } from './key-holder';
import { versionsToProcess, versionToProtect } from './key-use';
import { type Now, spending } from './now';
import { asked, notIntact } from './token-verdict';

type Ops = typeof cryptoOperations;

/**
 * RSA-OAEP with SHA-256 (RFC 8017 §7.1), in the token. The ciphertext is the bare one, as anybody makes it who has the public half, so it names no
 * version and binds no context.
 */
export class RsaEncryption {
  constructor(private readonly keys: KeyHolder) {}

  encrypt(request: Item<Ops['encrypt']>, key: KeyView): Now<Done<Ops['encrypt']>> {
    assertNoContext(request.context);
    const version = versionToProtect(key, 'encrypt');
    dry(request, version, () => this.keys.publicKey(key, version));
    const handle = this.keys.publicKey(key, version);
    const plaintext = Buffer.from(request.plaintext, 'base64url');
    return spending(plaintext, () => ({
      result: {
        ...{ keyId: key.keyId, version: version.version },
        ciphertext: asked(() => this.keys.tokenOf(version).encryptOaep(handle, plaintext)).toString('base64url'),
      },
      record: { version: version.version, bytes: plaintext.length },
    }));
  }

  /** Off the event loop: a private operation takes a millisecond and more. Every version that may process is tried. */
  async decrypt(request: Item<Ops['decrypt']>, key: KeyView): Promise<Done<Ops['decrypt']>> {
    assertNoContext(request.context);
    const versions = versionsToProcess(key, 'encrypt');
    if (request.dryRun) throw wouldUse(key.primaryVersion);
    // A JWE decodes to something too, which only means another key than the one that it was made for.
    const ciphertext = request.ciphertext.includes('.') ? Buffer.alloc(0) : Buffer.from(request.ciphertext, 'base64url');
    for (const version of versions) {
      const opening = this.keys.tokenOf(version).decryptOaepAsync(() => this.keys.handle(key, version), ciphertext);
      const plaintext = await opening.catch(notIntact);
      if (!plaintext) continue;
      const text = plaintext.toString('base64url');
      plaintext.fill(0);
      return {
        result: { keyId: key.keyId, version: version.version, plaintext: text },
        record: { version: version.version, bytes: plaintext.length },
      };
    }
    throw new ProblemError('ERR_DECRYPTION_FAILED');
  }
}

function assertNoContext(context: Record<string, string> | undefined): void {
  if (context !== undefined && Object.keys(context).length > 0)
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'RSA-OAEP binds no context: leave it out, or take an AES key.');
}
