import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ApprovalJwk } from '@claviger/contracts';
import { openTerminal } from './desk';
import { CommandError } from './exit-codes';

/** Of PBKDF2 with HMAC-SHA-512: that many guesses are what a stolen file costs (OWASP asks for 210,000). */
const iterations = 600_000;
const alg = 'PBES2-HS512+A256KW';
const passphraseCharsMin = 12;

export interface OwnKey {
  readonly jwk: ApprovalJwk;
  readonly privateKey: KeyObject;
}

/** The public half of a key as the policy bundle has it. */
export const publicHalf = ({ kty, crv, x, y }: JsonWebKey): ApprovalJwk =>
  ApprovalJwk.parse({ kty, crv, x, ...(y === undefined ? {} : { y }) });

/** An Ed25519 pair: the private half as JWK, encrypted as JWE with a passphrase (RFC 7517 §7, RFC 7518 §4.8), so that any JOSE tool opens it. */
export async function newKeyFile(passphrase: string): Promise<{ jwk: ApprovalJwk; text: string }> {
  if (passphrase.length < passphraseCharsMin)
    throw new CommandError('badInput', `The passphrase has fewer than ${passphraseCharsMin} characters`);
  const { privateKey } = generateKeyPairSync('ed25519');
  const secret = privateKey.export({ format: 'jwk' });
  const plaintext = Buffer.from(JSON.stringify(secret));
  try {
    const { CompactEncrypt } = await import('jose');
    const text = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg, enc: 'A256GCM', cty: 'jwk+json' })
      .setKeyManagementParameters({ p2c: iterations })
      .encrypt(Buffer.from(passphrase));
    return { jwk: publicHalf(secret as JsonWebKey), text };
  } finally {
    plaintext.fill(0);
  }
}

/** @throws CommandError: no such file, or not this passphrase */
export async function openKeyFile(file: string, passphrase: string): Promise<OwnKey> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  let plaintext: Uint8Array | undefined;
  try {
    const { compactDecrypt } = await import('jose');
    ({ plaintext } = await compactDecrypt(text, Buffer.from(passphrase), {
      keyManagementAlgorithms: [alg],
      contentEncryptionAlgorithms: ['A256GCM'],
      maxPBES2Count: iterations * 4,
    }));
    const secret = JSON.parse(Buffer.from(plaintext).toString('utf8')) as JsonWebKey;
    return { jwk: publicHalf(secret), privateKey: createPrivateKey({ key: { ...secret }, format: 'jwk' }) };
  } catch {
    throw new CommandError('badInput', `${file} does not open with this passphrase, or holds no approval key`);
  } finally {
    plaintext?.fill(0);
  }
}

/** From a file that only its owner reads, or typed. */
export async function passphraseFrom(file: string | undefined, question: string): Promise<string> {
  if (file !== undefined) {
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  const desk = openTerminal('Give --passphrase-file FILE.');
  try {
    return await desk.ask(`${question}: `);
  } finally {
    desk.close();
  }
}
