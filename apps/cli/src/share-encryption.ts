import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CommandError } from './exit-codes';

/** A custodian's own key: its fingerprint goes into the transcript. */
export interface CustodianKey {
  readonly key: KeyObject;
  readonly alg: 'RSA-OAEP-256' | 'ECDH-ES+A256KW';
  /** SHA-256 of the SPKI, hexadecimal. */
  readonly fingerprint: string;
}

const curves = ['prime256v1', 'secp384r1', 'secp521r1'];
const rsaBitsLeast = 3_072;
/** What each key management algorithm of JOSE that is used here is called (RFC 7518 §4). */
const algorithms = { rsa: 'RSA-OAEP-256', ec: 'ECDH-ES+A256KW', x25519: 'ECDH-ES+A256KW' } as const;

/** PEM of a public key or a certificate: RSA of 3072 bits or more, P-256, P-384, P-521 or X25519. @throws CommandError */
export function readCustodianKey(file: string): CustodianKey {
  const refusal = (what: string) =>
    new CommandError('badInput', `${file} ${what}`, 'Give an RSA (3072 bits or more), EC or X25519 key as PEM.');
  const pem = readKeyFile(file);
  let key: KeyObject;
  // Of a private key node:crypto would take the public half; but that one belongs to the custodian alone.
  if (pem.includes('PRIVATE KEY')) throw refusal('holds a private key, which stays with the custodian');
  try {
    key = createPublicKey(pem);
  } catch {
    throw refusal('holds no public key');
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType as keyof typeof algorithms;
  const alg = algorithms[type];
  if (alg === undefined || (type === 'rsa' && modulusLength < rsaBitsLeast) || (type === 'ec' && !curves.includes(namedCurve)))
    throw refusal('holds a key that shares are not encrypted to');
  return {
    key,
    alg,
    fingerprint: createHash('sha256')
      .update(key.export({ format: 'der', type: 'spki' }))
      .digest('hex'),
  };
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandError('badInput', `${file} cannot be read (${code})`, 'Check its name, and that you may read it.');
  }
}

/** The share as JWE (RFC 7516, A256GCM): any JOSE tool of the custodian's opens it. */
export async function encryptShare(text: string, { key, alg, fingerprint }: CustodianKey): Promise<string> {
  const { CompactEncrypt } = await import('jose');
  return new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg, enc: 'A256GCM', kid: fingerprint, cty: 'text/plain' })
    .encrypt(key);
}

/** @throws CommandError: not for this key, or not intact; the text is in no message */
export async function decryptShare(jwe: string, privateKeyFile: string): Promise<string> {
  const pem = readKeyFile(privateKeyFile);
  const { compactDecrypt } = await import('jose');
  try {
    const { plaintext } = await compactDecrypt(jwe, createPrivateKey(pem), {
      keyManagementAlgorithms: [...new Set(Object.values(algorithms))],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return Buffer.from(plaintext).toString();
  } catch {
    throw new CommandError('badInput', `The share does not open with the key in ${privateKeyFile}`);
  }
}
