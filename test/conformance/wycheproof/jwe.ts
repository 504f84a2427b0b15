import { createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, timingSafeEqual } from 'node:crypto';
import type { PairAlgorithm } from '@claviger/hsm';
import { Skip } from '../outcome';
import { base64url, header, type Jwk, keyFor, keysIn, parts } from './jose-compact';
import { oaepKey } from './rsa-oaep';
import { compared, given, givenLater, type Suite, withKey } from './suite';
import { hex, object } from './vectors';

type Token = Parameters<Suite>[0];
/** Bytes of the content key, and for CBC the hash of its MAC (RFC 7518 §5.1). */
const contents: Record<string, readonly [keyBytes: number, mac?: string]> = {
  A128GCM: [16],
  A192GCM: [24],
  A256GCM: [32],
  'A128CBC-HS256': [32, 'sha256'],
  'A192CBC-HS384': [48, 'sha384'],
  'A256CBC-HS512': [64, 'sha512'],
};
const curves: Record<string, PairAlgorithm> = { 'P-256': 'EC_P256', 'P-384': 'EC_P384', 'P-521': 'EC_P521' };
const notOurs = /^(?:RSA1_5|RSA-OAEP|A192KW|ECDH-ES\+A192KW|A\d{3}GCMKW|PBES2-.*)$/;

/** JsonWebEncryption and the JWE of JsonWebCrypto: the worker unwraps, decrypts or agrees on the content key, and its caller opens the content with it. */
export const jwe: Suite = (token, group) => {
  const keys = keysIn(object(group, 'private'));
  const [only] = keys;
  if (keys.length === 1 && only?.alg !== undefined && notOurs.test(only.alg)) throw new Skip(`${only.alg} is not an algorithm of Claviger`);
  return async (vector) => {
    const compact = vector.jwe;
    const [head, encryptedKey, iv, ciphertext, tag] = parts(compact, 5) ?? [];
    const said = head && header(head);
    const key = said && keyFor(keys, said);
    if (!said || !encryptedKey || !iv || !ciphertext || !tag || !key || (key.use !== undefined && key.use !== 'enc')) return 'rejected';
    if (said.zip !== undefined) throw new Skip('nothing is compressed');
    const { alg, enc } = said;
    if (typeof alg !== 'string' || typeof enc !== 'string' || !Object.hasOwn(contents, enc)) return 'rejected';
    // RFC 7520 §5.6: a key for the content itself.
    if (alg !== key.alg && !(alg === 'dir' && key.alg === enc)) return 'rejected';
    const [keyBytes] = contents[enc] as [number];
    const contentKey = await contentKeyOf(token, key, { ...said, alg, enc }, encryptedKey, keyBytes);
    if (contentKey?.length !== keyBytes) return 'rejected';
    const aad = Buffer.from((compact as string).slice(0, (compact as string).indexOf('.')));
    const opened = open(token, enc, contentKey, { iv, aad, ciphertext, tag });
    // Where the vector does not say what is inside, its tag says that it is right.
    return opened && vector.pt !== undefined ? compared(opened, hex(vector, 'pt')) : opened ? 'accepted' : 'rejected';
  };
};

interface Said {
  alg: string;
  enc: string;
  epk?: unknown;
  apu?: unknown;
  apv?: unknown;
}

async function contentKeyOf(token: Token, key: Jwk, said: Said, encryptedKey: Buffer, keyBytes: number): Promise<Buffer | undefined> {
  const { alg } = said;
  const secret = typeof key.k === 'string' ? base64url(key.k) : undefined;
  if (alg === 'dir') return encryptedKey.length === 0 ? secret : undefined;
  if (alg === 'A128KW' || alg === 'A256KW') return secret && unwrapped(token, alg, secret, encryptedKey);
  if (alg === 'RSA-OAEP-256') return oaep(token, key, encryptedKey);
  const wrapping = alg === 'ECDH-ES' ? undefined : alg.slice('ECDH-ES+'.length);
  if (alg !== 'ECDH-ES' && wrapping !== 'A128KW' && wrapping !== 'A256KW') return undefined;
  const agreed = agree(token, key, said.epk);
  if (!agreed) return undefined;
  const derived = concatKdf(agreed, wrapping ? alg : said.enc, wrapping ? (wrapping === 'A128KW' ? 16 : 32) : keyBytes, said);
  if (!wrapping) return encryptedKey.length === 0 ? derived : undefined;
  return unwrapped(token, wrapping as 'A128KW' | 'A256KW', derived, encryptedKey);
}

function unwrapped(token: Token, alg: 'A128KW' | 'A256KW', secret: Buffer, blob: Buffer): Buffer | undefined {
  if (secret.length !== (alg === 'A128KW' ? 16 : 32)) return undefined;
  return withKey(token, token.importKnownSecret(alg === 'A128KW' ? 'AES_128' : 'AES_256', secret, 'wrap'), (kek) =>
    given(() => token.unwrapValue(kek, 'KW', blob)),
  );
}

async function oaep(token: Token, jwk: Jwk, blob: Buffer): Promise<Buffer | undefined> {
  const pkcs8 = createPrivateKey({ key: jwk as never, format: 'jwk' }).export({ format: 'der', type: 'pkcs8' });
  const bits = 8 * Buffer.from(String(jwk.n), 'base64url').length;
  const key = oaepKey(token, `RSA_${bits}` as PairAlgorithm, pkcs8);
  try {
    return await givenLater(token.decryptOaepAsync(() => key, blob));
  } finally {
    token.destroyObject(key);
  }
}

function agree(token: Token, jwk: Jwk, epk: unknown): Buffer | undefined {
  const algorithm = curves[String(jwk.crv)];
  if (!algorithm || typeof epk !== 'object' || epk === null) return undefined;
  let spki: Buffer;
  try {
    spki = createPublicKey({ key: epk as never, format: 'jwk' }).export({ format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
  const pkcs8 = createPrivateKey({ key: jwk as never, format: 'jwk' }).export({ format: 'der', type: 'pkcs8' });
  return withKey(token, token.importKnownPrivate(algorithm, pkcs8, 'agree'), (key) => given(() => token.deriveSharedSecret(key, spki)));
}

/** The caller's part: Concat KDF with SHA-256 (RFC 7518 §4.6.2). */
function concatKdf(agreed: Buffer, id: string, bytes: number, { apu, apv }: Said): Buffer {
  const counted = (data: Buffer) => Buffer.concat([uint32(data.length), data]);
  const party = (value: unknown) => counted(Buffer.from(typeof value === 'string' ? value : '', 'base64url'));
  const info = Buffer.concat([counted(Buffer.from(id, 'ascii')), party(apu), party(apv), uint32(8 * bytes)]);
  const rounds = Array.from({ length: Math.ceil(bytes / 32) }, (_, i) =>
    createHash('sha256')
      .update(uint32(i + 1))
      .update(agreed)
      .update(info)
      .digest(),
  );
  return Buffer.concat(rounds).subarray(0, bytes);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

interface Sealed {
  iv: Buffer;
  aad: Buffer;
  ciphertext: Buffer;
  tag: Buffer;
}

/** AES-GCM in the token, where it has the key size; AES-CBC with HMAC is the caller's. */
function open(token: Token, enc: string, key: Buffer, { iv, aad, ciphertext, tag }: Sealed): Buffer | undefined {
  const mac = contents[enc]?.[1];
  if (mac) return openCbc(mac, key, { iv, aad, ciphertext, tag });
  if (iv.length !== 12 || tag.length !== 16) return undefined;
  if (enc === 'A192GCM') throw new Skip('AES-192 is not an algorithm of Claviger');
  return withKey(token, token.importKnownSecret(enc === 'A128GCM' ? 'AES_128' : 'AES_256', key, 'encrypt'), (handle) =>
    given(() => token.decryptGcm(handle, iv, aad, Buffer.concat([ciphertext, tag]))),
  );
}

function openCbc(mac: string, key: Buffer, { iv, aad, ciphertext, tag }: Sealed): Buffer | undefined {
  const half = key.length / 2;
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(8 * aad.length));
  const right = createHmac(mac, key.subarray(0, half)).update(aad).update(iv).update(ciphertext).update(bits).digest().subarray(0, half);
  if (tag.length !== half || iv.length !== 16 || !timingSafeEqual(tag, right)) return undefined;
  try {
    const decipher = createDecipheriv(`aes-${8 * half}-cbc`, key.subarray(half), iv);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch {
    return undefined;
  }
}
