import { verify } from 'node:crypto';
import {
  type Approval,
  type ApprovalKey,
  type ApprovalProof,
  ApprovalStatement,
  approvalStatementType,
  isCanonicalB64u,
} from '@claviger/contracts';
import { nameOfApprovalKey, publicKeyOf, thumbprintOf } from './approval-keys';

export const approvalType = 'claviger-approval+jws';

/** An approval whose proof was verified, and the name of the key that made it. */
export interface ProvenApproval {
  readonly approver: string;
  readonly key: string;
}

/** Why an approval proves nothing. Shown to callers. */
export class ApprovalRefused extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'ApprovalRefused';
  }
}

/**
 * Verifies the proof of an approval of the change with this id and challenge (change-hash.ts), by one of the approver's keys. Says nothing about whether that
 * person may approve: approvals.ts. Throws ApprovalRefused.
 */
export async function proveApproval(
  { approver, proof }: Pick<Approval, 'approver' | 'proof'>,
  { change, challenge }: { change: string; challenge: string },
  keys: readonly ApprovalKey[],
): Promise<ProvenApproval> {
  if (proof.kind === 'signature') return { approver, key: proveSignature(proof.jws, { change, challenge, approver }, keys) };
  return { approver, key: await proveAssertion(proof, challenge, keys) };
}

/** RFC 7515, compact. `alg` is that of the key; nothing else is taken. */
function proveSignature(
  jws: string,
  expected: { change: string; challenge: string; approver: string },
  keys: readonly ApprovalKey[],
): string {
  const parts = jws.split('.');
  const [head, body, signature] = parts as [string, string, string];
  if (parts.length !== 3 || !isCanonicalB64u(signature)) throw new ApprovalRefused('it is no compact JWS');
  const header = parsed(head) as { alg?: unknown; kid?: unknown; typ?: unknown };
  if (header.typ !== approvalType || Object.keys(header).sort().join() !== 'alg,kid,typ')
    throw new ApprovalRefused(`its header is not {alg, kid, typ: ${approvalType}}`);
  const key = keys.find((one) => one.kind === 'signature' && thumbprintOf(one.jwk) === header.kid);
  if (key?.kind !== 'signature') throw new ApprovalRefused('its key is none of the approver');
  const { jwk } = key;
  if (header.alg !== (jwk.kty === 'EC' ? 'ES256' : 'EdDSA')) throw new ApprovalRefused('its algorithm is not that of the key');
  const publicKey = publicKeyOf(key);
  if (!publicKey) throw new ApprovalRefused('its key is no point on its curve');
  const input = Buffer.from(`${head}.${body}`);
  const valid =
    jwk.kty === 'EC'
      ? verify('sha256', input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
      : verify(null, input, publicKey, Buffer.from(signature, 'base64url'));
  if (!valid) throw new ApprovalRefused('its signature is not valid');
  const statement = ApprovalStatement.safeParse(parsed(body));
  if (!statement.success) throw new ApprovalRefused(`what it signs is no ${approvalStatementType}`);
  const { change, challenge, approver } = statement.data;
  if (change !== expected.change) throw new ApprovalRefused('it is of another change');
  if (approver !== expected.approver) throw new ApprovalRefused('it names another approver');
  if (challenge !== expected.challenge)
    throw new ApprovalRefused('it is of another command, reason, quorum or expiry than this change has');
  return nameOfApprovalKey(key);
}

/** Web Authentication Level 3, §7.2, with user verification. */
async function proveAssertion(
  { credentialId, authenticatorData, clientDataJSON, signature }: Extract<ApprovalProof, { kind: 'webauthn' }>,
  challenge: string,
  keys: readonly ApprovalKey[],
): Promise<string> {
  const key = keys.find((one) => one.kind === 'webauthn' && one.credentialId === credentialId);
  if (key?.kind !== 'webauthn') throw new ApprovalRefused('its credential is none of the approver');
  if (!publicKeyOf(key)) throw new ApprovalRefused('the key of its credential is no public key');
  const client = parsed(clientDataJSON) as { challenge?: unknown; crossOrigin?: unknown };
  if (client.challenge !== challenge) throw new ApprovalRefused('its challenge is not that of this change');
  if (client.crossOrigin === true) throw new ApprovalRefused('it was made in a frame of another origin');
  // Loaded where it is needed: most processes verify none.
  const { verifyAuthenticationResponse } = await import('@simplewebauthn/server');
  let verified: boolean;
  try {
    ({ verified } = await verifyAuthenticationResponse({
      response: {
        ...{ id: credentialId, rawId: credentialId, type: 'public-key', clientExtensionResults: {} },
        response: { authenticatorData, clientDataJSON, signature },
      },
      expectedChallenge: challenge,
      expectedOrigin: key.origin,
      expectedRPID: key.rpId,
      // A counter is of no use here: an assertion is of one change, and is kept with it.
      credential: { id: credentialId, publicKey: new Uint8Array(Buffer.from(key.publicKey, 'base64url')), counter: 0 },
      requireUserVerification: true,
    }));
  } catch (cause) {
    throw new ApprovalRefused(`its assertion is refused: ${cause instanceof Error ? cause.message : 'unreadable'}`);
  }
  if (!verified) throw new ApprovalRefused('its signature is not valid');
  return nameOfApprovalKey(key);
}

function parsed(b64u: string): object {
  try {
    const value: unknown = JSON.parse(Buffer.from(b64u, 'base64url').toString('utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below.
  }
  throw new ApprovalRefused('a part of it is not JSON');
}
