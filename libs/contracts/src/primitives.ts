import { z } from 'zod';
import { limits } from './limits';

/** Last characters whose unused bits are zero, by the length of the text modulo 4. */
const lastCharacters = [undefined, '', 'AQgw', 'AEIMQUYcgkosw048'] as const;
/** RFC 4648 §3.5: one spelling for each byte string, so that no changed ciphertext or signature passes for the same one. */
export function isCanonicalB64u(text: string): boolean {
  const last = lastCharacters[text.length % 4];
  return last === undefined || last.includes(text.at(-1) as string);
}

/** base64url without padding (RFC 4648 §5), bounded by the number of bytes that it encodes. */
export const b64u = (maxBytes: number, exactBytes?: number) => {
  const text = z
    .string()
    .regex(/^[A-Za-z0-9_-]*$/, 'not base64url without padding')
    .refine(isCanonicalB64u, 'not canonical base64url: unused bits are set');
  return exactBytes === undefined
    ? text.max(Math.ceil((maxBytes * 4) / 3), `more than ${maxBytes} bytes`)
    : text.length(Math.ceil((exactBytes * 4) / 3), `not ${exactBytes} bytes`);
};

/** A principal id is a slug: it is a token of NATS subjects. */
export const principalPattern = /^[a-z0-9][a-z0-9-]{0,63}$/;
export const PrincipalId = z.string().regex(principalPattern, 'a principal id is 1 to 64 of a-z, 0-9 and -');
export const RoleId = z.string().regex(principalPattern, 'a role id is 1 to 64 of a-z, 0-9 and -');
/** 128 random bits as 22 characters; proposed by the client as its connection name. */
export const sessionPattern = /^[A-Za-z0-9]{22}$/;
export const SessionId = z.string().regex(sessionPattern, 'a session id is 22 letters and digits');
/** 256 bits as base64url: everything that came from one authentication. */
export const ChainId = b64u(32, 32);
export const keyPattern = /^k_[A-Za-z0-9]{22}$/;
export const KeyId = z.string().regex(keyPattern, 'a key id is k_ and 22 letters and digits');
/** A name that points to a key, and can be pointed to another one. Lower case only: two names that look alike are the same, or differ to the eye. */
export const aliasPattern = /^alias\/[a-z0-9][a-z0-9/_-]{0,127}$/;
export const Alias = z.string().regex(aliasPattern, 'an alias is alias/ and 1 to 128 of a-z, 0-9, /, _ and -');
/** What a caller names a key by: its id, or an alias. One pattern, since every request is checked against it. */
export const KeyRef = z
  .string()
  .regex(
    /^(?:k_[A-Za-z0-9]{22}|alias\/[a-z0-9][a-z0-9/_-]{0,127})$/,
    'neither a key id (k_ and 22 letters and digits) nor an alias (alias/…)',
  );
export const isAlias = (ref: string): boolean => ref.startsWith('alias/');
/** Where a list goes on: sealed by the service, of no meaning to anybody else. */
export const ListCursor = z.string().regex(/^[A-Za-z0-9_-]{40,250}$/, 'a cursor is what `next` of a page said');
export const KekId = z
  .string()
  .max(64)
  .regex(/^kek_[a-z]+_[a-z]+_[0-9]+$/, 'a KEK id is kek_, environment, classification and number');

/** Label of a root key in the customer token: that of the ceremony, and those that took its place. */
export const RootLabel = z.string().regex(/^root(-[1-9][0-9]{0,5})?$/, 'a root label is root, or root- and a number');
/**
 * Of a key-encryption key or a root. `active`: the newest one wraps what is new. `retiring`: it opens what is not rewrapped yet, and wraps nothing new.
 * `destroyed`: only the record is left.
 */
export const WrappingKeyState = z.enum(['active', 'retiring', 'destroyed']);
export type WrappingKeyState = z.infer<typeof WrappingKeyState>;

export const Environment = z.enum(['development', 'staging', 'production']);
export type Environment = z.infer<typeof Environment>;
export const Classification = z.enum(['public', 'internal', 'confidential', 'restricted']);
export type Classification = z.infer<typeof Classification>;

/**
 * Encryption context: authenticated with the ciphertext, shown to policy and recorded in the ledger in clear, so it must hold no secret.
 * Key names start with a letter or digit, which keeps `__proto__` out.
 */
export const EncryptionContext = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/)
      .max(limits.contextKeyChars),
    z.string().max(limits.contextValueChars),
  )
  .refine((context) => Object.keys(context).length <= limits.contextEntries, `more than ${limits.contextEntries} entries`);
export type EncryptionContext = z.infer<typeof EncryptionContext>;

/** Text that people read: no control characters, which could move a terminal's cursor. */
export const printable = (maxChars: number) =>
  z
    .string()
    .min(1)
    .max(maxChars)
    .regex(/^[^\p{Cc}]*$/u, 'holds control characters');

/** RFC 3339 with milliseconds, UTC. */
export const Timestamp = z.iso.datetime({ precision: 3 });

/** Where an operation's record lies: proves a dropped tail (`batchHash` names the batch, `index` the line in it). */
export const Receipt = z.strictObject({
  worker: z.string(),
  epoch: z.string(),
  seq: z.int().min(0),
  batchHash: b64u(32, 32),
  index: z.int().min(0),
});
export type Receipt = z.infer<typeof Receipt>;
