import { verify } from 'node:crypto';
import { fromBase64 } from './encoding';
import { LedgerError } from './errors';
import { sha256 } from './hashing';
import { ed25519PublicKey } from './public-key';

/** Signature type of plain Ed25519 (C2SP signed-note, signature types). */
const ED25519_TYPE = 0x01;
const PUBLIC_KEY_BYTES = 32;

/** A key that notes may be signed with, known by `name` and `keyHash` together. `publicKey`: 32 bytes. */
export type VerifierKey = { readonly name: string; readonly keyHash: number; readonly publicKey: Buffer };
/** What `verifyNote` needs: the identity and the check. */
export type NoteVerifier = {
  readonly name: string;
  readonly keyHash: number;
  verify(text: Uint8Array, signature: Uint8Array): boolean;
};

/** First 4 bytes, big-endian, of `SHA-256(name || "\n" || 0x01 || publicKey)`: an identifier, no security rests on it. */
export const ed25519KeyHash = (name: string, publicKey: Uint8Array): number =>
  sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519_TYPE), publicKey])).readUInt32BE();

/** `name+hash+base64(0x01 || publicKey)`, the verifier key string of Go's `sumdb/note`. */
export function encodeVerifierKey(name: string, publicKey: Uint8Array): string {
  if (!isKeyName(name)) throw new LedgerError('ERR_VKEY', 'Not a key name');
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new LedgerError('ERR_VKEY', `A key of ${publicKey.length} bytes`);
  const key = Buffer.concat([Buffer.of(ED25519_TYPE), publicKey]).toString('base64');
  return `${name}+${keyHashHex(ed25519KeyHash(name, publicKey))}+${key}`;
}

/** The inverse of `encodeVerifierKey`; the hash must fit name and key. Throws `ERR_VKEY`. */
export function parseVerifierKey(vkey: string): VerifierKey {
  const match = vkey.length <= 1_024 ? /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(vkey) : null;
  const key = match === null ? undefined : fromBase64(match[3]!);
  const name = match?.[1] ?? '';
  if (key === undefined || !isKeyName(name)) throw new LedgerError('ERR_VKEY', 'Not a verifier key');
  if (key[0] !== ED25519_TYPE || key.length !== 1 + PUBLIC_KEY_BYTES) throw new LedgerError('ERR_VKEY', 'Not an Ed25519 verifier key');
  const publicKey = key.subarray(1);
  const keyHash = ed25519KeyHash(name, publicKey);
  if (keyHashHex(keyHash) !== match![2]) throw new LedgerError('ERR_VKEY', 'The hash does not fit name and key');
  return { name, keyHash, publicKey };
}

/** A verifier for the key of a verifier key string. */
export function ed25519Verifier(vkey: string): NoteVerifier {
  const { name, keyHash, publicKey } = parseVerifierKey(vkey);
  const key = ed25519PublicKey(publicKey);
  return { name, keyHash, verify: (text, signature) => signature.length === 64 && verify(null, text, key, signature) };
}

/** Non-empty, no Unicode space, no plus (C2SP signed-note), and nothing that is not a character. */
export const isKeyName = (name: string): boolean => name.isWellFormed() && /^[^\s\p{White_Space}\p{Cc}+]+$/u.test(name);

const keyHashHex = (keyHash: number): string => keyHash.toString(16).padStart(8, '0');
