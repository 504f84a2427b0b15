import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type { ApprovalJwk, ApprovalKey, ApprovalProof } from '@claviger/contracts';

/** A P-256 or Ed25519 pair, as an approver keeps it. */
export function ownKey(curve: 'P-256' | 'Ed25519' = 'Ed25519'): { key: ApprovalKey; jwk: ApprovalJwk; privateKey: KeyObject } {
  const pair = curve === 'P-256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const { kty, crv, x, y } = pair.publicKey.export({ format: 'jwk' });
  const jwk = { kty, crv, x, ...(y === undefined ? {} : { y }) } as ApprovalJwk;
  return { key: { kind: 'signature', jwk }, jwk, privateKey: pair.privateKey };
}

export interface AssertionFaults {
  /** Without a PIN or a fingerprint. */
  unverified?: boolean;
  origin?: string;
  rpId?: string;
  crossOrigin?: boolean;
  type?: string;
}

const [userPresent, userVerified] = [0x01, 0x04];

/** An authenticator in software: the bytes are those that a browser hands over (Web Authentication Level 3, §6.1 and §5.8.1). */
export class SoftwareAuthenticator {
  private readonly pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  private readonly credentialId = randomBytes(32).toString('base64url');

  constructor(
    private readonly rpId = 'localhost',
    private readonly origin = 'http://localhost:7437',
  ) {}

  /** Its credential, as it is registered. */
  get key(): ApprovalKey {
    const { rpId, origin, credentialId } = this;
    return { kind: 'webauthn', credentialId, publicKey: this.cose().toString('base64url'), rpId, origin };
  }

  assert(challenge: string, faults: AssertionFaults = {}): Extract<ApprovalProof, { kind: 'webauthn' }> {
    const { unverified = false, origin = this.origin, rpId = this.rpId, crossOrigin = false, type = 'webauthn.get' } = faults;
    const client = Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin }));
    const data = this.authenticatorData(rpId, unverified ? userPresent : userPresent | userVerified);
    const signed = Buffer.concat([data, createHash('sha256').update(client).digest()]);
    return {
      kind: 'webauthn',
      credentialId: this.credentialId,
      authenticatorData: data.toString('base64url'),
      clientDataJSON: client.toString('base64url'),
      signature: sign('sha256', signed, this.pair.privateKey).toString('base64url'),
    };
  }

  /** What a registration gives, with attestation `none` (§8.7). */
  register(challenge: string): { id: string; clientDataJSON: string; attestationObject: string } {
    const client = JSON.stringify({ type: 'webauthn.create', challenge, origin: this.origin, crossOrigin: false });
    const id = Buffer.from(this.credentialId, 'base64url');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(id.length);
    const attested = 0x40;
    const data = Buffer.concat([
      this.authenticatorData(this.rpId, userPresent | userVerified | attested),
      ...[Buffer.alloc(16), length, id, this.cose()],
    ]);
    const head = Buffer.alloc(2);
    head.writeUInt16BE(data.length);
    // {"fmt": "none", "attStmt": {}, "authData": bytes} (RFC 8949)
    const text = (value: string) => Buffer.concat([Buffer.from([0x60 | value.length]), Buffer.from(value)]);
    const object = Buffer.concat([
      ...[Buffer.from([0xa3]), text('fmt'), text('none'), text('attStmt'), Buffer.from([0xa0])],
      ...[text('authData'), Buffer.from([0x59]), head, data],
    ]);
    return {
      id: this.credentialId,
      clientDataJSON: Buffer.from(client).toString('base64url'),
      attestationObject: object.toString('base64url'),
    };
  }

  private authenticatorData(rpId: string, flags: number): Buffer {
    return Buffer.concat([createHash('sha256').update(rpId).digest(), Buffer.from([flags]), Buffer.alloc(4)]);
  }

  /** COSE_Key of ES256 (RFC 9053 §7.1.1): {1: 2, 3: -7, -1: 1, -2: x, -3: y}. */
  private cose(): Buffer {
    const { x, y } = this.pair.publicKey.export({ format: 'jwk' });
    const bytes = (value: string | undefined) => Buffer.from(value as string, 'base64url');
    return Buffer.concat([
      ...[Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]), bytes(x)],
      ...[Buffer.from([0x22, 0x58, 0x20]), bytes(y)],
    ]);
  }
}
