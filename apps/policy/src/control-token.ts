import { createHash } from 'node:crypto';
import type { Trust } from '@claviger/contracts';
import { HsmError, type KeyHandle, Token, type TokenOptions, tokenKeyLabels } from '@claviger/hsm';
import type { RecordSigner, TrailKeys } from '@claviger/messaging';
import { ConfigurationError } from '@claviger/operability';

const { signing, certifier } = tokenKeyLabels.control;

/** The keys of the control token, each under the name that `trust.json` has for it. Nothing is made here: that is the ceremony's. */
export class ControlToken {
  readonly signer: RecordSigner;
  private readonly certifierKid: string;

  constructor(
    private readonly token: Token,
    trust: Pick<Trust, 'control' | 'certifiers'>,
  ) {
    this.certifierKid = kidOf(token, certifier, trust.certifiers, 'certifiers');
    this.signer = { kid: kidOf(token, signing, trust.control, 'control'), sign: (input) => this.sign(signing, sha256(input)) };
  }

  static open(options: Omit<TokenOptions, 'canary'>, trust: Pick<Trust, 'control' | 'certifiers'>): ControlToken {
    return new ControlToken(Token.open({ ...options, canary: certifier }), trust);
  }

  /** The batch key of a new epoch of the audit trail. */
  openEpoch(): TrailKeys {
    const { privateKey, publicKeySpki } = onceMore(() => this.token.generateSessionKeyPair('EC_P256'));
    return {
      batchPublicKey: publicKeySpki,
      signBatch: (digest) => this.token.signDigestP256(privateKey, digest),
      certifier: this.certifierKid,
      certify: (digest) => this.sign(certifier, digest),
    };
  }

  /** Throws HsmError when the token does not sign. */
  check(): void {
    this.sign(signing, sha256(Buffer.from('claviger health')));
  }

  close(): void {
    this.token.close();
  }

  private sign(label: string, digest: Buffer): Buffer {
    return onceMore(() => this.token.signDigestP256(this.key(label), digest));
  }

  private key(label: string): KeyHandle {
    return this.token.findTokenKey(label, 'private');
  }
}

/** By the public key itself, never by its name: a token that holds another key than the trusted one must not start. */
function kidOf(token: Token, label: string, trusted: Record<string, string>, what: string): string {
  const spki = token.publicKeySpki(label).toString('base64url');
  const kid = Object.keys(trusted).find((name) => trusted[name] === spki);
  if (!kid) throw new ConfigurationError([`TRUST_FILE: its ${what} do not hold the public key of ${label} in token ${token.label}`]);
  return kid;
}

/** When the token lost its sessions the handles are new now: the same signature is asked for once more. */
function onceMore<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return use();
    throw error;
  }
}

const sha256 = (input: Buffer) => createHash('sha256').update(input).digest();
