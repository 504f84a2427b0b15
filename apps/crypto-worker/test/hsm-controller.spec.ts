import { type Algorithm, internalOperations, type KekView, type Result, requestType } from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HsmController } from '../src/hsm.controller';
import { KeyHolder } from '../src/key-holder';
import { customerToken } from './worker-under-test';

let token: Token;
let hsm: HsmController;
beforeAll(() => {
  token = customerToken();
  const view = { onChange: () => undefined, get: () => undefined, fresh: () => true } as never;
  hsm = new HsmController(token, new KeyHolder(view, token, { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined }));
});
afterAll(() => token.close());

const generateKek = async () => internalOperations.generateKek.result.parse((await hsm.generateKek()).result);
const generate = async (algorithm: Algorithm, kek: KekView['material']) =>
  internalOperations.generateKey.result.parse(
    (await hsm.generateKey({ type: requestType, algorithm, kekId: 'kek_production_internal_1', kek })).result,
  ) as Result<typeof internalOperations.generateKey>;

test('a KEK leaves the token only wrapped under the root, a key only wrapped under its KEK; no two are alike', async () => {
  const kek = await generateKek();
  expect(kek).toMatchObject({ rootLabel: 'root', family: 'softhsm' });
  const keys = await Promise.all([generate('AES_256', kek), generate('AES_256', kek)]);
  expect(new Set([kek.wrapped, ...keys.map((k) => k.material.wrapped)]).size).toBe(3);
  // AES key wrap with padding (RFC 5649): 32 bytes become 40.
  expect(Buffer.from(keys[0]?.material.wrapped as string, 'base64url')).toHaveLength(40);
  expect(keys[0]).not.toHaveProperty('publicKeySpki');
});

test('a signing key comes with its public half', async () => {
  const { publicKeySpki } = await generate('EC_P256', await generateKek());
  expect(Buffer.from(publicKeySpki as string, 'base64url')).toHaveLength(91);
});

test('a KEK that the root did not wrap makes no key', async () => {
  const kek = await generateKek();
  const tampered = { ...kek, wrapped: Buffer.alloc(40, 1).toString('base64url') };
  await expect(generate('AES_256', tampered)).rejects.toThrow(/ERR_HSM_UNAVAILABLE/);
  expect(await generate('AES_256', kek)).toBeDefined();
});

test('what the token cannot keep wrapped is said with its name', async () => {
  await expect(generate('ED25519', await generateKek())).rejects.toMatchObject({
    code: 'ERR_ALGORITHM_UNAVAILABLE',
    detail: expect.stringMatching(/^Token t-[0-9a-f]+ \(softhsm\)/),
  });
});
