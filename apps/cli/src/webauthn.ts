import { randomBytes } from 'node:crypto';
import { ApprovalKey, type ApprovalProof, ApprovalProof as ProofShape } from '@claviger/contracts';
import { CommandError } from './exit-codes';
import type { Ceremony } from './webauthn-page';

/** `askBrowser`, or what stands for a browser. */
export type AskBrowser = (ceremony: Ceremony) => Promise<Record<string, string>>;

const rpId = 'localhost';
const timeoutMs = 5 * 60_000;

/** A credential that can be found by itself, with user verification: its public half for the policy bundle. @throws CommandError */
export async function registerCredential(
  about: { principal: string; label: string | undefined; port: number },
  ask: AskBrowser,
): Promise<ApprovalKey> {
  const { principal, label, port } = about;
  const challenge = randomBytes(32).toString('base64url');
  const origin = `http://localhost:${port}`;
  const said = await ask({
    title: 'Claviger: register an authenticator',
    lines: [`For the approvals of ${principal}.`, 'It will ask for your PIN or fingerprint at each of them.'],
    kind: 'create',
    options: {
      challenge,
      rp: { id: rpId, name: 'Claviger approvals' },
      user: { id: randomBytes(32).toString('base64url'), name: principal, displayName: principal },
      // ES256, EdDSA, RS256 (RFC 8812, RFC 9053)
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      ...{ attestation: 'none', timeout: timeoutMs },
    },
  });
  const { id = '', clientDataJSON = '', attestationObject = '' } = said;
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
  const verified = await verifyRegistrationResponse({
    response: { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response: { clientDataJSON, attestationObject } },
    ...{ expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: rpId, requireUserVerification: true },
  }).catch((error: Error) => {
    throw new CommandError('badInput', `The authenticator's answer is refused: ${error.message}`);
  });
  if (!verified.verified) throw new CommandError('badInput', "The authenticator's answer does not verify");
  const { credential } = verified.registrationInfo;
  return ApprovalKey.parse({
    ...{ kind: 'webauthn', ...(label === undefined ? {} : { label }), credentialId: credential.id },
    ...{ publicKey: Buffer.from(credential.publicKey).toString('base64url'), rpId, origin },
  });
}

/** The assertion of a change, whose challenge is the hash of exactly what is shown. @throws CommandError */
export async function assertChange(about: { challenge: string; lines: readonly string[] }, ask: AskBrowser): Promise<ApprovalProof> {
  const { id, clientDataJSON, authenticatorData, signature } = await ask({
    title: 'Claviger: approve a change',
    lines: about.lines,
    kind: 'get',
    options: { challenge: about.challenge, rpId, userVerification: 'required', timeout: timeoutMs },
  });
  const proof = ProofShape.safeParse({ kind: 'webauthn', credentialId: id, clientDataJSON, authenticatorData, signature });
  if (!proof.success) throw new CommandError('badInput', 'The page gave no assertion');
  return proof.data;
}
