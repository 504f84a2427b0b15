import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { DiscoveredKey } from './discovered';
import { algorithmOfKey, spkiSha256 } from './key-algorithm';
import { opensshKey } from './openssh-key';

type Found = Omit<DiscoveredKey, 'place' | 'drift'>;

const [begin, end, dashes] = ['-----BEGIN ', '-----END ', '-----'];
const labelChars = 40;
const blockChars = 200_000;

/** Keys and certificates in the bytes of one file: PEM (any number), DER, JWK or a set of them, and key stores by their first bytes. Nothing secret is in what it gives. */
export function keysIn(bytes: Buffer): Found[] {
  const text = bytes.subarray(0, 64).includes(0) ? '' : bytes.toString('utf8');
  const blocks = pemBlocks(text).flatMap(({ label, pem }) => inPem(label, pem));
  if (blocks.length > 0) return blocks;
  return inJwk(text) ?? inKeystore(bytes) ?? inDer(bytes);
}

/** RFC 7468 §3. Each character is looked at a bounded number of times, whatever the text is. */
function pemBlocks(text: string): { label: string; pem: string }[] {
  const found: { label: string; pem: string }[] = [];
  let close = -1;
  for (let at = text.indexOf(begin); at !== -1; at = text.indexOf(begin, at)) {
    if (close < at) close = text.indexOf(end, at);
    if (close === -1) break;
    const labelAt = at + begin.length;
    const label = text.slice(labelAt, labelAt + labelChars).split(dashes, 1)[0] as string;
    const ending = `${end}${label}${dashes}`;
    const isWhole = close - at <= blockChars && text.startsWith(ending, close);
    if (isWhole) found.push({ label, pem: text.slice(at, close + ending.length) });
    at = isWhole ? close + ending.length : labelAt;
  }
  return found;
}

function inPem(label: string, pem: string): Found[] {
  if (label === 'CERTIFICATE' || label === 'TRUSTED CERTIFICATE') return tried(() => certificate(new X509Certificate(pem)));
  if (label.endsWith('PUBLIC KEY')) return tried(() => publicKey(createPublicKey(pem)));
  if (!label.endsWith('PRIVATE KEY')) return [];
  if (label.startsWith('ENCRYPTED') || /^Proc-Type: 4,ENCRYPTED/m.test(pem)) return [{ kind: 'private', protection: 'password' }];
  return atLeastPrivate(tried(() => (label === 'OPENSSH PRIVATE KEY' ? opensshKey(pem) : privateKey(createPrivateKey(pem)))));
}

/** What says that it is a private key is taken for one, whatever is in it. */
const atLeastPrivate = (read: Found[]): Found[] => (read.length > 0 ? read : [{ kind: 'private', protection: 'none', strengthBits: 0 }]);

function inDer(bytes: Buffer): Found[] {
  // A SEQUENCE of a definite length (X.690 §8.9): nothing else is tried.
  if (bytes[0] !== 0x30) return [];
  const attempts = [
    () => certificate(new X509Certificate(bytes)),
    ...(['pkcs8', 'pkcs1', 'sec1'] as const).map((type) => () => privateKey(createPrivateKey({ key: bytes, format: 'der', type }))),
    ...(['spki', 'pkcs1'] as const).map((type) => () => publicKey(createPublicKey({ key: bytes, format: 'der', type }))),
  ];
  for (const attempt of attempts) {
    const found = tried(attempt);
    if (found.length > 0) return found;
  }
  return isEncryptedPkcs8(bytes) ? [{ kind: 'private', protection: 'password' }] : [];
}

function isEncryptedPkcs8(key: Buffer): boolean {
  try {
    createPrivateKey({ key, format: 'der', type: 'pkcs8' });
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
  }
}

/** Java key stores, PKCS#12 (its version 3 comes first: RFC 7292 §4). */
function inKeystore(bytes: Buffer): Found[] | undefined {
  const jks = bytes.length > 4 && [0xfeedfeed, 0xcececece].includes(bytes.readUInt32BE(0));
  const pkcs12 = /^30(82....|81..|83......|84........|..)020103/.test(bytes.subarray(0, 16).toString('hex'));
  return jks || pkcs12 ? [{ kind: 'keystore', protection: 'password' }] : undefined;
}

interface Jwk {
  kty?: unknown;
  d?: unknown;
  k?: unknown;
  keys?: unknown;
}

function inJwk(text: string): Found[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const value = ((): Jwk | undefined => {
    try {
      return JSON.parse(text) as Jwk;
    } catch {
      return undefined;
    }
  })();
  if (!value || typeof value !== 'object') return undefined;
  const keys = Array.isArray(value.keys) ? (value.keys as Jwk[]).slice(0, 1_000) : [value];
  const found = keys.flatMap((jwk) => (typeof jwk?.kty === 'string' ? oneJwk(jwk) : []));
  return found.length > 0 ? found : undefined;
}

function oneJwk(jwk: Jwk): Found[] {
  if (jwk.kty === 'oct') {
    const bits = typeof jwk.k === 'string' ? Buffer.from(jwk.k, 'base64url').length * 8 : 0;
    return [{ kind: 'secret', protection: 'none', algorithm: `oct_${bits}`, strengthBits: Math.min(bits, 512) }];
  }
  const key = jwk as never;
  if (jwk.d === undefined) return tried(() => publicKey(createPublicKey({ key, format: 'jwk' })));
  const read = tried(() => privateKey(createPrivateKey({ key, format: 'jwk' })));
  return typeof jwk.d === 'string' ? atLeastPrivate(read) : read;
}

const certificate = (read: X509Certificate): Found => ({
  ...{ kind: 'certificate', protection: 'not needed', ...algorithmOfKey(read.publicKey), publicKeySha256: spkiSha256(read.publicKey) },
  notAfter: new Date(read.validTo).toISOString(),
});
const publicKey = (key: KeyObject): Found => ({
  ...{ kind: 'public', protection: 'not needed', ...algorithmOfKey(key), publicKeySha256: spkiSha256(key) },
});
const privateKey = (key: KeyObject): Found => ({
  ...{ kind: 'private', protection: 'none', ...algorithmOfKey(key), publicKeySha256: spkiSha256(createPublicKey(key as never)) },
});

function tried(read: () => Found): Found[] {
  try {
    return [read()];
  } catch {
    return [];
  }
}
