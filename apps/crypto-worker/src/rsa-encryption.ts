import { type KeyUse, type KeyView, ProblemError } from '@claviger/contracts';
import { type Dry, dry, wouldUse } from './done';
import type { KeyHolder } from './key-holder';
import { versionsToProcess, versionToProtect } from './key-use';
import { asked, notIntact } from './token-verdict';

type Context = Record<string, string> | undefined;

/**
 * RSA-OAEP with SHA-256 (RFC 8017 §7.1), in the token. The ciphertext is the bare one, as anybody makes it who has the public half, so it names no
 * version and binds no context.
 */
export class RsaEncryption {
  constructor(private readonly keys: KeyHolder) {}

  seal(key: KeyView, plaintext: Buffer, context: Context, request: Dry): { ciphertext: string; version: number } {
    assertNoContext(context);
    const version = versionToProtect(key, 'encrypt');
    dry(request, version, () => this.keys.publicKey(key, version));
    const handle = this.keys.publicKey(key, version);
    const sealed = asked(() => this.keys.tokenOf(version).encryptOaep(handle, plaintext));
    return { ciphertext: sealed.toString('base64url'), version: version.version };
  }

  /** Off the event loop: a private operation takes a millisecond and more. Every version that may process is tried. */
  async open(
    key: KeyView,
    ciphertext: string,
    context: Context,
    request: Dry,
    use: KeyUse,
  ): Promise<{ plaintext: Buffer; version: number }> {
    assertNoContext(context);
    const versions = versionsToProcess(key, 'encrypt', use);
    if (request.dryRun) throw wouldUse(key.primaryVersion);
    // A JWE decodes to something too, which only means another key than the one that it was made for.
    const sealed = ciphertext.includes('.') ? Buffer.alloc(0) : Buffer.from(ciphertext, 'base64url');
    for (const version of versions) {
      const opening = this.keys.tokenOf(version).decryptOaepAsync(() => this.keys.handle(key, version), sealed);
      const plaintext = await opening.catch(notIntact);
      if (plaintext) return { plaintext, version: version.version };
    }
    throw new ProblemError('ERR_DECRYPTION_FAILED');
  }
}

function assertNoContext(context: Context): void {
  if (context !== undefined && Object.keys(context).length > 0)
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'RSA-OAEP binds no context: leave it out, or take an AES key.');
}
