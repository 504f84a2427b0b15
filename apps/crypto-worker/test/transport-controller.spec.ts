import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import {
  type Algorithm,
  internalOperations,
  type KekMaterial,
  type Result,
  requestType,
  transportHsmOperations,
  type WrappedKey,
  type WrappingAlgorithm,
} from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { HsmController } from '../src/hsm.controller';
import { KeyHolder } from '../src/key-holder';
import { TokenBreaker } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { TransportController } from '../src/transport.controller';
import { customerToken } from './worker-under-test';

type Offer = { publicKeySpki: Buffer; receiver: { spec: 'RSA_2048'; material: WrappedKey; kek: Kek } };
type Kek = { kekId: string; material: KekMaterial };
const wrappingAlgorithm: WrappingAlgorithm = 'RSA_AES_KEY_WRAP_SHA_256';
let token: Token;
let hsm: HsmController;
let transport: TransportController;
let breaker: TokenBreaker;
let kek: Kek;
let offer: Offer;
const recipient = generateKeyPairSync('rsa', { modulusLength: 2048 });
const recipientSpki = recipient.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');

beforeAll(async () => {
  token = customerToken();
  const view = { onChange: () => undefined, get: () => undefined, fresh: () => true } as never;
  const keys = new KeyHolder(view, new Tokens(token), { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined });
  const logger = { log: () => undefined, error: () => undefined };
  const limits = { failures: 5, windowMs: 10_000, probeEveryMs: 1_000 };
  const tokens = new Tokens(token, [], 'eu');
  breaker = new TokenBreaker({ token: token.label, probe: () => undefined, report: () => undefined, limits, logger });
  hsm = new HsmController(tokens, keys, breaker);
  transport = new TransportController(tokens, keys, breaker);
  kek = {
    kekId: 'kek_production_internal_1',
    material: internalOperations.generateKek.result.parse((await hsm.generateKek({ type: requestType })).result),
  };
  const { material, publicKeySpki } = await generate('RSA_2048');
  offer = {
    publicKeySpki: Buffer.from(publicKeySpki as string, 'base64url'),
    receiver: { spec: 'RSA_2048', material: material as WrappedKey, kek },
  };
});
afterAll(() => token.close());

const generate = async (algorithm: Algorithm) => {
  const usage = algorithm.startsWith('RSA') ? ('sign' as const) : ('encrypt' as const);
  const asked = { type: requestType, algorithm, usage, kekId: kek.kekId, kek: kek.material } as const;
  return internalOperations.generateKey.result.parse((await hsm.generateKey(asked)).result) as Result<
    typeof internalOperations.generateKey
  >;
};
const receive = async (algorithm: Algorithm, wrapped: Buffer, more: Partial<Pick<Offer, 'receiver'>> & { residency?: string[] } = {}) =>
  transportHsmOperations.receiveKey.result.parse(
    (
      await transport.receive({
        ...{ type: requestType, algorithm, kek, wrappingAlgorithm, receiver: offer.receiver, ...more },
        wrappedMaterial: wrapped.toString('base64url'),
      })
    ).result,
  );
const iv = Buffer.from('a65959a6', 'hex');
function wrap(material: Buffer): Buffer {
  const carrier = randomBytes(32);
  const key = createPublicKey({ key: offer.publicKeySpki, format: 'der', type: 'spki' });
  const cipher = createCipheriv('id-aes256-wrap-pad', carrier, iv);
  const first = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, carrier);
  return Buffer.concat([first, cipher.update(material), cipher.final()]);
}
function open(wrapped: string): Buffer {
  const blob = Buffer.from(wrapped, 'base64url');
  const { privateKey: key } = recipient;
  const carrier = privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, blob.subarray(0, 256));
  const decipher = createDecipheriv('id-aes256-wrap-pad', carrier, iv);
  return Buffer.concat([decipher.update(blob.subarray(256)), decipher.final()]);
}
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'OK',
    (error: { code?: string }) => error.code,
  );

test('what is imported is exported as it was, to a recipient and under another key', async () => {
  const value = randomBytes(32);
  const { material, checkValue } = await receive('AES_256', wrap(value));
  expect(Buffer.from(checkValue, 'base64url')).toHaveLength(16);
  const key = { algorithm: 'AES_256' as const, material, kek };
  const sent = await transport.send({ type: requestType, key, recipient: { publicKeySpki: recipientSpki, wrappingAlgorithm } });
  expect(open((sent.result as { wrappedMaterial: string }).wrappedMaterial)).toEqual(value);
  const under = randomBytes(32);
  const recipientKey = { algorithm: 'AES_256' as const, material: (await receive('AES_256', wrap(under))).material, kek };
  const { wrappedMaterial } = (await transport.send({ type: requestType, key, recipient: { key: recipientKey } })).result as {
    wrappedMaterial: string;
  };
  const decipher = createDecipheriv('id-aes256-wrap-pad', under, iv);
  expect(Buffer.concat([decipher.update(Buffer.from(wrappedMaterial, 'base64url')), decipher.final()])).toEqual(value);
});

test('hostile blobs have one refusal, and neither open the breaker nor cost anybody a session', async () => {
  const good = wrap(randomBytes(32));
  const { generation } = token;
  const { message } = (await receive('AES_256', Buffer.alloc(0)).catch((error: Error) => error)) as Error;
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, bits, cut) => {
      const changed = cut ? good.subarray(0, at) : Buffer.from(good);
      if (!cut) (changed as Buffer)[at]! ^= bits;
      await expect(receive('AES_256', changed)).rejects.toMatchObject({ code: 'ERR_IMPORT_REFUSED', message });
    }),
    { numRuns: 30 },
  );
  expect([breaker.refuses, token.generation]).toEqual([false, generation]);
  expect(await code(receive('AES_128', good))).toBe('ERR_KEY_MATERIAL_UNSUITABLE');
  expect(await code(receive('EC_P256', good))).toBe('ERR_KEY_MATERIAL_UNSUITABLE');
  expect(await code(receive('ML_DSA_44', good))).toBe('ERR_ALGORITHM_UNAVAILABLE');
  expect(await code(receive('AES_256', good))).toBe('OK');
});

test('a receiver or a KEK that is not what it was is a failure of ours, not of the sender', async () => {
  const good = wrap(randomBytes(32));
  const material = { ...offer.receiver.material, wrapped: randomBytes(1_304).toString('base64url') };
  expect(await code(receive('AES_256', good, { receiver: { ...offer.receiver, material } }))).toBe('ERR_HSM_UNAVAILABLE');
});

test('a recipient whose key is none, or too weak, is told so', async () => {
  const { material } = await receive('AES_256', wrap(randomBytes(32)));
  const key = { algorithm: 'AES_256' as const, material, kek };
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'der', type: 'spki' });
  for (const publicKeySpki of [small.toString('base64url'), 'AAAA'])
    expect(await code(transport.send({ type: requestType, key, recipient: { publicKeySpki, wrappingAlgorithm } }))).toBe(
      'ERR_MALFORMED_REQUEST',
    );
});

test('a key that may be in other regions is neither taken in nor sent, also not as the one to wrap under', async () => {
  const good = wrap(randomBytes(32));
  expect(await code(receive('AES_256', good, { residency: ['us'] }))).toBe('ERR_RESIDENCY');
  const { material } = await receive('AES_256', good, { residency: ['eu', 'us'] });
  const key = { algorithm: 'AES_256' as const, material, kek };
  const send = (of: object, recipient: object) => code(transport.send({ type: requestType, key: { ...key, ...of }, recipient } as never));
  const outside = { publicKeySpki: recipientSpki, wrappingAlgorithm };
  expect([await send({ residency: ['us'] }, outside), await send({ residency: ['eu'] }, outside)]).toEqual(['ERR_RESIDENCY', 'OK']);
  expect(await send({}, { key: { ...key, residency: ['us'] } })).toBe('ERR_RESIDENCY');
});
