import { type KeyObject, sign } from 'node:crypto';
import type { ApprovalJwk, ApprovalStatement } from '@claviger/contracts';
import { thumbprintOf } from './approval-keys';
import { approvalType } from './approval-proof';

/** Signs the input (ASCII of RFC 7515 §5.1): ES256 as raw r‖s, or EdDSA. */
export type ApprovalSigner = (input: Buffer) => Buffer;

/** The compact JWS of an approval, by the approver's own key. */
export function signApproval(statement: ApprovalStatement, jwk: ApprovalJwk, signer: ApprovalSigner): string {
  const header = { alg: jwk.kty === 'EC' ? 'ES256' : 'EdDSA', kid: thumbprintOf(jwk), typ: approvalType };
  const input = `${encoded(header)}.${encoded(statement)}`;
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`;
}

/** With a private key that this process holds: P-256 or Ed25519. */
export const signerWith =
  (key: KeyObject): ApprovalSigner =>
  (input) =>
    key.asymmetricKeyType === 'ed25519' ? sign(null, input, key) : sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
