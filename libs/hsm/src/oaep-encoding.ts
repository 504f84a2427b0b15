import { createHash } from 'node:crypto';
import type { OaepHash } from './transport-schemes';

/**
 * EME-OAEP decoding with an empty label (RFC 8017 §7.1.2 step 3) of what raw RSA gave, as long as the modulus. It does the same work whatever is wrong,
 * and says no more than that: the position of an error is what Manger's attack (CRYPTO 2001) needs.
 * @returns the message in a buffer of its own, which whoever gets it overwrites; undefined for anything that is no encoding. Its length is no secret.
 */
export function decodeOaep(encoded: Buffer, hash: OaepHash): Buffer | undefined {
  const labelHash = createHash(hash).digest();
  const hashBytes = labelHash.length;
  const maskedSeed = encoded.subarray(1, 1 + hashBytes);
  const maskedBlock = encoded.subarray(1 + hashBytes);
  const seed = xor(maskedSeed, mgf1(maskedBlock, hashBytes, hash));
  const block = xor(maskedBlock, mgf1(seed, maskedBlock.length, hash));
  seed.fill(0);
  let wrong = encoded[0] as number;
  for (let i = 0; i < hashBytes; i++) wrong |= (block[i] as number) ^ (labelHash[i] as number);
  // The first 01 ends the padding: `inPadding` stays all ones until then, and what is there before it must be 00.
  let inPadding = 0xff;
  let padding = 0;
  for (let i = hashBytes; i < block.length; i++) {
    const byte = block[i] as number;
    const isOne = equals(byte, 1);
    wrong |= inPadding & ~isOne & byte;
    inPadding &= ~isOne;
    padding += inPadding & 1;
  }
  wrong |= inPadding;
  const message = Buffer.from(block.subarray(Math.min(hashBytes + padding + 1, block.length)));
  block.fill(0);
  if (wrong === 0) return message;
  message.fill(0);
  return undefined;
}

/** MGF1 (RFC 8017 appendix B.2.1). */
function mgf1(seed: Buffer, bytes: number, hash: OaepHash): Buffer {
  const parts: Buffer[] = [];
  const counter = Buffer.alloc(4);
  for (let n = 0, made = 0; made < bytes; n++) {
    counter.writeUInt32BE(n);
    const part = createHash(hash).update(seed).update(counter).digest();
    parts.push(part);
    made += part.length;
  }
  const all = Buffer.concat(parts);
  for (const part of parts) part.fill(0);
  return all.subarray(0, bytes);
}

/** Into `b`, which nobody needs any more. */
function xor(a: Buffer, b: Buffer): Buffer {
  for (let i = 0; i < b.length; i++) b[i] = (a[i] as number) ^ (b[i] as number);
  return b;
}

/** All ones where two bytes are the same, else 0; without a branch. */
const equals = (a: number, b: number): number => (((a ^ b) - 1) >> 8) & 0xff;
