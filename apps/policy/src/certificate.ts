import { X509Certificate } from 'node:crypto';
import { newLogin } from '@claviger/installation';
import type { Proof } from './proof';
import { Refused } from './refusal';

const spiffePattern = /^spiffe:\/\/[a-z0-9._-]+\/[A-Za-z0-9._/-]+$/;
/** One entry of Node's text of subjectAltName; a value with a special character is a quoted JSON string, which must not be split at its commas. */
const altName = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y;

/**
 * `leaf` is the PEM of a certificate whose chain the broker has verified in the TLS handshake. Each handshake is an authentication of its own:
 * a certificate is taken from its holder by its authority or the policy bundle, never by revoking a session (ADR 16). Throws Refused.
 */
export function proveCertificate(leaf: string, nowMs: number): Proof {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(leaf);
  } catch (cause) {
    throw new Refused('certificate-unreadable', undefined, { cause });
  }
  const spiffeId = spiffeIdOf(certificate.subjectAltName ?? '');
  const fingerprint256 = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    method: 'certificate',
    identity: { kind: 'certificate', fingerprint256, ...(spiffeId ? { spiffeId } : {}) },
    mfa: false,
    login: newLogin(nowMs),
    expiresAtMs: certificate.validToDate.getTime(),
  };
}

/** X509-SVID §2: a SPIFFE certificate holds exactly one URI. */
export function spiffeIdOf(subjectAltName: string): string | undefined {
  const uris = [...subjectAltName.matchAll(new RegExp(altName.source, 'gy'))]
    .filter(([, kind]) => kind === 'URI')
    .map(([, , value]) => value);
  const spiffe = uris.filter((uri) => uri?.startsWith('spiffe:') || uri?.startsWith('"spiffe:'));
  if (spiffe.length === 0) return undefined;
  const [id] = spiffe;
  if (uris.length > 1 || !id || !spiffePattern.test(id)) throw new Refused('certificate-unreadable');
  return id;
}
