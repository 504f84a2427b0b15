import { X509Certificate } from 'node:crypto';
import { newLogin } from '@claviger/installation';
import { keyUsageOf } from './key-usage';
import type { Proof } from './proof';
import { Refused } from './refusal';
import { type SpiffeId, spiffeIdIn } from './spiffe-id';
import type { TrustDomains } from './trust-domains';

/** One entry of Node's text of subjectAltName; a value with a special character is a quoted JSON string, which must not be split at its commas. */
const altName = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y;

/**
 * `chains` are those that the broker has verified in the TLS handshake, PEM, leaf first and root last. Each handshake is an authentication of its own:
 * a certificate is taken from its holder by its authority or the policy bundle, never by revoking a session (ADR 16). With `trustDomains` a SPIFFE id counts
 * only below an authority of its own trust domain: one that the broker trusts for something else cannot speak for it. Throws Refused.
 */
export function proveCertificate(
  chains: readonly (readonly string[])[],
  trustDomains: Pick<TrustDomains, 'anchors'> | undefined,
  nowMs: number,
): Proof {
  const read = readChains(chains);
  const [leaf] = read[0] as [X509Certificate];
  const spiffe = spiffeIdOf(leaf.subjectAltName ?? '');
  if (spiffe) assertSvid(leaf);
  const counting = spiffe && trustDomains ? read.filter((chain) => anchored(chain, trustDomains.anchors(spiffe.trustDomain))) : read;
  if (counting.length === 0) throw new Refused('trust-domain');
  // The chain that lasts longest, until the first of it ends.
  const expiresAtMs = Math.max(...counting.map((chain) => Math.min(...chain.map(({ validToDate }) => validToDate.getTime()))));
  if (!(expiresAtMs > nowMs)) throw new Refused('certificate-expired');
  const fingerprint256 = leaf.fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    method: 'certificate',
    identity: { kind: 'certificate', fingerprint256, ...(spiffe ? { spiffeId: spiffe.id } : {}) },
    mfa: false,
    login: newLogin(nowMs),
    expiresAtMs,
  };
}

function readChains(chains: readonly (readonly string[])[]): X509Certificate[][] {
  try {
    return chains.map((chain) => chain.map((pem) => new X509Certificate(pem)));
  } catch (cause) {
    throw new Refused('certificate-unreadable', undefined, { cause });
  }
}

/** Any certificate above the leaf is one of the authorities. The broker has verified that each signed the one before it. */
const anchored = (chain: readonly X509Certificate[], anchors: ReadonlySet<string> | undefined): boolean =>
  anchors !== undefined && chain.slice(1).some(({ fingerprint256 }) => anchors.has(fingerprint256));

/** X509-SVID §4.1 and §5.2: a leaf signs no others, and where it says what its key is for, that is digital signatures. */
function assertSvid(leaf: X509Certificate): void {
  let usage: ReturnType<typeof keyUsageOf>;
  try {
    usage = keyUsageOf(leaf.raw);
  } catch (cause) {
    throw new Refused('certificate-unreadable', undefined, { cause });
  }
  if (leaf.ca || usage?.signsCertificates || usage?.signsCrls || usage?.digitalSignature === false)
    throw new Refused('certificate-unreadable');
}

/** X509-SVID §2: a SPIFFE certificate holds exactly one URI. */
export function spiffeIdOf(subjectAltName: string): SpiffeId | undefined {
  const uris = [...subjectAltName.matchAll(new RegExp(altName.source, 'gy'))]
    .filter(([, kind]) => kind === 'URI')
    .map(([, , value]) => value);
  const named = uris.filter((uri) => uri?.startsWith('spiffe:') || uri?.startsWith('"spiffe:'));
  if (named.length === 0) return undefined;
  const spiffe = spiffeIdIn(named[0] ?? '');
  if (uris.length > 1 || !spiffe) throw new Refused('certificate-unreadable');
  return spiffe;
}
