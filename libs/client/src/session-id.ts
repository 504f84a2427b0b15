import { randomBytes } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const length = 22;
/** The largest multiple of the alphabet's size in a byte: what lies above is thrown away, so that every character is equally likely. */
const unbiased = 256 - (256 % alphabet.length);

/** A fresh session id: 22 letters and digits, 131 random bits. Proposed as the name of one connection, never used again. */
export function newSessionId(): string {
  let id = '';
  while (id.length < length) {
    for (const byte of randomBytes(length * 2)) {
      if (byte < unbiased && id.length < length) id += alphabet[byte % alphabet.length];
    }
  }
  return id;
}
