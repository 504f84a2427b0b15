import { createHash } from 'node:crypto';
import { decodeBech32m, encodeBech32m } from './bech32m';
import { HsmError } from './hsm-error';
import { leastThreshold, type Point, sharesMost } from './secret-sharing';

/** What one custodian holds. Whoever gets it overwrites `value`. */
export interface RecoveryShare extends Point {
  /** 22 letters and digits: of 128 random bits. */
  readonly groupId: string;
  readonly threshold: number;
}

export const groupIdBytes = 16;
const groupIdChars = 22;
export const recoverySecretBytes = 32;
const prefix = 'clav';
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const charactersOfGroup = 5;

/** One spelling for each 128 bits: the number in base 62, with leading zeros. */
export function groupIdOf(bytes: Buffer): string {
  let number = BigInt(`0x${bytes.toString('hex')}`);
  const text: string[] = [];
  for (let i = 0; i < groupIdChars; i++, number /= 62n) text.unshift(digits[Number(number % 62n)]!);
  return text.join('');
}

/** @throws HsmError HSM_ARGUMENT_INVALID */
export function groupIdBytesOf(groupId: string): Buffer {
  const number = [...groupId].reduce((sum, digit) => sum * 62n + BigInt(digits.indexOf(digit)), 0n);
  const bytes = Buffer.from((number < 0n ? 0n : number).toString(16).padStart(2 * groupIdBytes, '0'), 'hex');
  if (bytes.length !== groupIdBytes || groupIdOf(bytes) !== groupId)
    throw new HsmError('HSM_ARGUMENT_INVALID', 'This is no id of a recovery group');
  return bytes;
}

/** The 49 bytes of a share: threshold and index (four bits each, less one), the group's id, the value. */
function bytesOf({ groupId, index, threshold, value }: RecoveryShare): Buffer {
  return Buffer.concat([Buffer.from([((threshold - 1) << 4) | (index - 1)]), groupIdBytesOf(groupId), value]);
}

/** For people: 90 characters of Bech32m (BIP 350), as many as its checksum is made for, in groups of five; it starts with `clav1`. */
export function textOfShare(share: RecoveryShare): string {
  const bytes = bytesOf(share);
  const text = encodeBech32m(prefix, bytes);
  bytes.fill(0);
  return text.match(new RegExp(`.{1,${charactersOfGroup}}`, 'g'))!.join(' ');
}

/**
 * The share in such a text; spaces, line breaks, hyphens, and large or small letters do not matter.
 * @throws HsmError HSM_ARGUMENT_INVALID: a character is wrong, missing or too many, or it is something else; no part of the text is in the message
 */
export function shareOfText(text: string): RecoveryShare {
  const bytes = decodeBech32m(prefix, text.replaceAll(/[\s-]/g, '').toLowerCase());
  const threshold = ((bytes?.[0] ?? 0) >> 4) + 1;
  const index = ((bytes?.[0] ?? 0) & 15) + 1;
  if (bytes?.length !== 1 + groupIdBytes + recoverySecretBytes || threshold < leastThreshold || index > sharesMost)
    throw new HsmError('HSM_ARGUMENT_INVALID', 'This is no share of a recovery group as it was written down: a character of it is another');
  const value = Buffer.from(bytes.subarray(1 + groupIdBytes));
  const groupId = groupIdOf(bytes.subarray(1, 1 + groupIdBytes));
  bytes.fill(0);
  return { groupId, index, threshold, value };
}

/** Tells a share without showing it: SHA-256 (base64url) of its bytes, 256 of whose bits are random. */
export function shareDigest(share: RecoveryShare): string {
  const bytes = bytesOf(share);
  const digest = createHash('sha256').update('claviger.recovery-group/1 share\0').update(bytes).digest('base64url');
  bytes.fill(0);
  return digest;
}

/** Tells the secret of a group without showing it, by which shares that combine to something else are found out. */
export const secretCheck = (groupId: string, secret: Buffer): string =>
  createHash('sha256').update('claviger.recovery-group/1 secret\0').update(groupIdBytesOf(groupId)).update(secret).digest('base64url');
