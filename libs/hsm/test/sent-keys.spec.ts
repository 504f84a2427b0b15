import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rowOf, type SecretAlgorithm } from '../src/algorithms';
import { type Algorithm, type KeyHandle, type PairAlgorithm, type Receiver, Token, type TransportScheme } from '../src/index';
import { caught, families, openFreshOf } from './fresh-token';

const alternativeIv = Buffer.from('a65959a6', 'hex');
const hashOf = (scheme: TransportScheme) => (scheme.endsWith('SHA_1') ? 'sha1' : 'sha256');
const carried = ['RSA_AES_KEY_WRAP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_1'] as const;

/** What a sender does who has node:crypto and nothing else. */
function send(publicKeySpki: Buffer, scheme: TransportScheme, material: Buffer, carrier = randomBytes(32)): Buffer {
  const key = createPublicKey({ key: publicKeySpki, format: 'der', type: 'spki' });
  const oaep = (bytes: Buffer) => publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(scheme) }, bytes);
  if (scheme.startsWith('RSAES')) return oaep(material);
  const cipher = createCipheriv('id-aes256-wrap-pad', carrier, alternativeIv);
  return Buffer.concat([oaep(carrier), cipher.update(material), cipher.final()]);
}

/** … and a recipient. */
function open(key: KeyObject, scheme: TransportScheme, blob: Buffer): Buffer {
  const oaep = (bytes: Buffer) => privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(scheme) }, bytes);
  if (scheme.startsWith('RSAES')) return oaep(blob);
  const decipher = createDecipheriv('id-aes256-wrap-pad', oaep(blob.subarray(0, 256)), alternativeIv);
  return Buffer.concat([decipher.update(blob.subarray(256)), decipher.final()]);
}

const recipient = generateKeyPairSync('rsa', { modulusLength: 2048 });
const recipientSpki = recipient.publicKey.export({ format: 'der', type: 'spki' });
const pairs: Partial<Record<PairAlgorithm, { privateKey: KeyObject; publicKey: KeyObject }>> = {
  EC_P256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  EC_P384: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  EC_P521: generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
  EC_SECP256K1: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  RSA_2048: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ED25519: generateKeyPairSync('ed25519'),
};
const pkcs8 = (algorithm: PairAlgorithm) => pairs[algorithm]!.privateKey.export({ format: 'der', type: 'pkcs8' });
const curves = { EC_P256: 'prime256v1', EC_P384: 'secp384r1', EC_P521: 'secp521r1', EC_SECP256K1: 'secp256k1' } as const;
const anotherOf = (algorithm: keyof typeof curves | 'ED25519' | 'RSA_2048'): Buffer => {
  const { publicKey } =
    algorithm === 'ED25519'
      ? generateKeyPairSync('ed25519')
      : algorithm === 'RSA_2048'
        ? recipient
        : generateKeyPairSync('ec', { namedCurve: curves[algorithm] });
  return publicKey.export({ format: 'der', type: 'spki' });
};
const spki = (algorithm: PairAlgorithm) => pairs[algorithm]!.publicKey.export({ format: 'der', type: 'spki' });

describe.each(families)('%s', (family) => {
  let token: Token;
  let kek: KeyHandle;
  const receivers = new Map<TransportScheme, Receiver>();
  beforeAll(async () => {
    token = openFreshOf(family);
    token.generateRootKey('root');
    kek = token.findTokenKey('root', 'secret');
    for (const scheme of [...carried, 'RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const)
      receivers.set(scheme, await token.generateReceiverAsync('RSA_2048', scheme));
  });
  afterAll(() => token.close());
  const receive = (scheme: TransportScheme, algorithm: Algorithm, blob: Buffer, publicKeySpki?: Buffer) =>
    token.unwrapFromSender({
      ...{ blob, scheme, algorithm, receiver: receivers.get(scheme)!.privateKey, wrappingKey: kek },
      ...(publicKeySpki ? { publicKeySpki } : {}),
    });
  const sent = (scheme: TransportScheme, material: Buffer) => send(receivers.get(scheme)!.publicKeySpki, scheme, material);
  const objects = () =>
    Token.connectionOf(token).call('find', (p11, { objects: session }) => {
      p11.C_FindObjectsInit(session, []);
      const found = p11.C_FindObjects(session, 1000).length;
      p11.C_FindObjectsFinal(session);
      return found;
    });
  const schemesOfToken = [...carried, 'RSAES_OAEP_SHA_1', ...(family === 'softhsm' ? [] : ['RSAES_OAEP_SHA_256' as const])] as const;

  test.each(schemesOfToken)('%s: a secret that node:crypto wrapped is taken in, and what leaves opens with node:crypto', (scheme) => {
    for (const algorithm of ['AES_128', 'AES_256', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'] as const) {
      const material = randomBytes((rowOf(algorithm) as { keyBytes: number }).keyBytes);
      const before = objects();
      const { checkValue, ...received } = receive(scheme, algorithm, sent(scheme, material));
      const left = token.wrapToRecipient({ ...received, algorithm, wrappingKey: kek, scheme, recipient: recipientSpki });
      expect(objects()).toBe(before);
      expect(open(recipient.privateKey, scheme, left)).toEqual(material);
      expect(receive(scheme, algorithm, sent(scheme, material)).checkValue).toEqual(checkValue);
      expect(receive(scheme, algorithm, sent(scheme, randomBytes(material.length))).checkValue).not.toEqual(checkValue);
    }
  });

  const ofToken = (['EC_P256', 'EC_P384', 'EC_P521', 'EC_SECP256K1', 'RSA_2048', 'ED25519'] as const).filter(
    (name) => name !== (family === 'softhsm' ? 'ED25519' : 'EC_SECP256K1'),
  );
  test.each(ofToken)('%s: a private half is taken in with the public half that belongs to it, and leaves again', (algorithm) => {
    const scheme = 'RSA_AES_KEY_WRAP_SHA_256';
    const said = algorithm === 'ED25519' ? spki(algorithm) : undefined;
    const before = objects();
    const { publicKeySpki, ...received } = receive(scheme, algorithm, sent(scheme, pkcs8(algorithm)), said);
    expect(publicKeySpki).toEqual(spki(algorithm));
    const left = token.wrapToRecipient({ ...received, algorithm, wrappingKey: kek, scheme, recipient: recipientSpki });
    expect(objects()).toBe(before);
    const opened = createPrivateKey({ key: open(recipient.privateKey, scheme, left), format: 'der', type: 'pkcs8' });
    expect(createPublicKey(opened as never).export({ format: 'der', type: 'spki' })).toEqual(publicKeySpki);
    // One that is said and is another's is no key of this pair.
    expect(caught(() => receive(scheme, algorithm, sent(scheme, pkcs8(algorithm)), anotherOf(algorithm)))).toMatchObject({
      code: 'HSM_KEY_UNSUITABLE',
    });
  });

  test('what opens and is another kind of key, length or curve is said to be that, and leaves nothing behind', () => {
    const before = objects();
    const wrong: [TransportScheme, Algorithm, Buffer][] = [
      ...[15, 16, 24, 31, 33, 40].map((n): [TransportScheme, Algorithm, Buffer] => [carried[0], 'AES_256', randomBytes(n)]),
      ...[24, 31, 40, 64].map((n): [TransportScheme, Algorithm, Buffer] => [carried[1], 'HMAC_SHA_256', randomBytes(n)]),
      ['RSAES_OAEP_SHA_1', 'AES_256', randomBytes(16)],
      ['RSAES_OAEP_SHA_1', 'AES_128', randomBytes(33)],
      [carried[0], 'AES_256', pkcs8('EC_P256')],
      [carried[0], 'HMAC_SHA_512', pkcs8('EC_P384')],
      [carried[0], 'EC_P256', randomBytes(67)],
      [carried[0], 'EC_P256', pkcs8('EC_P384')],
      [carried[0], 'EC_P384', pkcs8('EC_P256')],
      [carried[0], 'RSA_3072', pkcs8('RSA_2048')],
      [carried[0], 'RSA_2048', pkcs8('EC_P256')],
    ];
    for (const [scheme, algorithm, material] of wrong)
      expect([algorithm, material.length, caught(() => receive(scheme, algorithm, sent(scheme, material)))]).toMatchObject([
        ...[algorithm, material.length, { code: 'HSM_KEY_UNSUITABLE', retryable: false }],
      ]);
    expect(objects()).toBe(before);
  });

  test.each(schemesOfToken)('%s: whatever else is wrong with a blob has one answer, and the token goes on', (scheme) => {
    const good = sent(scheme, randomBytes(32));
    const { generation } = token;
    const before = objects();
    const { message } = caught(() => receive(scheme, 'AES_256', Buffer.alloc(0))) as Error;
    const refused = (blob: Buffer) =>
      expect(caught(() => receive(scheme, 'AES_256', blob))).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID', message, retryable: false });
    for (const bytes of [1, 16, 255, 256, 257, 264, 280, 272, good.length - 8, good.length + 8]) {
      if (bytes !== good.length) refused(randomBytes(bytes));
      refused(Buffer.alloc(bytes, 0xff));
    }
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, bits, cut) => {
        const changed = Buffer.from(good);
        changed[at]! ^= bits;
        refused(changed);
        if (cut) refused(good.subarray(0, at));
      }),
      { numRuns: 25 },
    );
    // Another's carrier, another's second half, a carrier of another length.
    const other = sent(scheme, randomBytes(32));
    if (scheme.startsWith('RSA_AES')) {
      refused(Buffer.concat([other.subarray(0, 256), good.subarray(256)]));
      const { publicKeySpki } = receivers.get(scheme)!;
      const key = createPublicKey({ key: publicKeySpki, format: 'der', type: 'spki' });
      for (const bytes of [0, 1, 31, 33, 64]) {
        const odd = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(scheme) }, randomBytes(bytes));
        refused(Buffer.concat([odd, good.subarray(256)]));
      }
    }
    expect(token.generation).toBe(generation);
    expect(objects()).toBe(before);
    expect(receive(scheme, 'AES_256', good).checkValue).toHaveLength(16);
  });

  test('a blob of the other hash does not open', () => {
    const blob = send(receivers.get(carried[0])!.publicKeySpki, carried[1], randomBytes(32));
    expect(caught(() => receive(carried[0], 'AES_256', blob))).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  });

  test('a private half is sent under a carrier only; a recipient’s key is RSA of 2048 bits or more, and no weak one', () => {
    const material = receive(carried[0], 'EC_P256', sent(carried[0], pkcs8('EC_P256')));
    const about = { ...material, algorithm: 'EC_P256' as const, wrappingKey: kek };
    const wrong = { code: 'HSM_ARGUMENT_INVALID' };
    expect(caught(() => token.wrapToRecipient({ ...about, scheme: 'RSAES_OAEP_SHA_1', recipient: recipientSpki }))).toMatchObject(wrong);
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const three = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey;
    for (const bad of [small, three, pairs.EC_P256!.publicKey].map((key) => key.export({ format: 'der', type: 'spki' })))
      for (const scheme of carried) expect(caught(() => token.wrapToRecipient({ ...about, scheme, recipient: bad }))).toMatchObject(wrong);
    const ciphertext = recipientSpki.subarray(1);
    expect(caught(() => token.wrapToRecipient({ ...about, scheme: carried[0], recipient: ciphertext }))).toMatchObject(wrong);
  });

  test('a receiver does nothing but receive, by the one scheme that it was made for', () => {
    const { privateKey } = receivers.get(carried[1])!;
    const refused = { code: 'HSM_KEY_USE_REFUSED' };
    expect(caught(() => token.signDigest(privateKey, 'PS256', Buffer.alloc(32)))).toMatchObject(refused);
    // SHA-1 is what every token does in OAEP: that receiver unwraps, and decrypts nothing.
    const { operations } = Token.connectionOf(token).ready();
    const decrypts = () => Token.connectionOf(token).p11.C_DecryptInit(operations, { mechanism: 3 }, privateKey.object);
    expect(caught(decrypts)).toMatchObject({ code: 104 });
    const blob = sent(carried[1], randomBytes(32));
    const wrongReceiver = receivers.get(carried[0])!.privateKey;
    if (family === 'softhsm')
      expect(
        caught(() => token.unwrapFromSender({ blob, scheme: carried[1], receiver: wrongReceiver, algorithm: 'AES_256', wrappingKey: kek })),
      ).toMatchObject(refused);
  });

  test('a key leaves under another key of usage wrap as RFC 5649 says', () => {
    const value = randomBytes(32);
    const material = receive(carried[0], 'AES_256', sent(carried[0], value));
    const under = token.importKnownSecret('AES_256', Buffer.alloc(32, 7), 'wrap');
    const { wrapped: left } = token.rewrap({ ...material, algorithm: 'AES_256', from: kek, to: under });
    const decipher = createDecipheriv('id-aes256-wrap-pad', Buffer.alloc(32, 7), alternativeIv);
    expect(Buffer.concat([decipher.update(left), decipher.final()])).toEqual(value);
  });

  test('a receiver that was kept wrapped takes in after it was unwrapped again', async () => {
    const scheme: TransportScheme = 'RSA_AES_KEY_WRAP_SHA_256';
    const { publicKeySpki, ...kept } = await token.generateWrappedAsync({ algorithm: 'RSA_2048', wrappingKey: () => kek });
    const receiver = token.unwrapReceiver({ ...kept, algorithm: 'RSA_2048', wrappingKey: kek, scheme });
    const blob = send(publicKeySpki!, scheme, randomBytes(16));
    const received = token.unwrapFromSender({ blob, scheme, receiver, algorithm: 'AES_128', wrappingKey: kek });
    token.destroyObject(token.unwrap({ ...received, algorithm: 'AES_128' as SecretAlgorithm, wrappingKey: kek, usage: 'encrypt' }));
  });
});

test('SoftHSM does no OAEP with SHA-256 itself: a key that would then pass through this process is not sent or taken', async () => {
  const token = openFreshOf('softhsm');
  token.generateRootKey('root');
  const wrappingKey = token.findTokenKey('root', 'secret');
  const scheme: TransportScheme = 'RSAES_OAEP_SHA_256';
  const receiver = (await token.generateReceiverAsync('RSA_2048', scheme)).privateKey;
  const lacking = { code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringContaining('RSA_AES_KEY_WRAP_SHA_256') };
  const receive = () => token.unwrapFromSender({ blob: Buffer.alloc(256), scheme, receiver, algorithm: 'AES_256', wrappingKey });
  expect(caught(receive)).toMatchObject(lacking);
  const material = token.generateWrapped({ algorithm: 'AES_256', wrappingKey });
  const leave = () => token.wrapToRecipient({ ...material, algorithm: 'AES_256', wrappingKey, scheme, recipient: recipientSpki });
  expect(caught(leave)).toMatchObject(lacking);
  token.close();
});
