import { internalOperations, type KekView, type Result, requestType } from '@claviger/contracts';
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

const generateKek = () => internalOperations.generateKek.result.parse(hsm.generateKek().result);
const generate = (algorithm: 'AES_256' | 'EC_P256', kek: KekView['material']) =>
  internalOperations.generateKey.result.parse(
    hsm.generateKey({ type: requestType, algorithm, kekId: 'kek_production_internal_1', kek }).result,
  ) as Result<typeof internalOperations.generateKey>;

test('a KEK leaves the token only wrapped under the root, a key only wrapped under its KEK; no two are alike', () => {
  const kek = generateKek();
  expect(kek).toMatchObject({ rootLabel: 'root', family: 'softhsm' });
  const keys = [generate('AES_256', kek), generate('AES_256', kek)];
  expect(new Set([kek.wrapped, ...keys.map((k) => k.material.wrapped)]).size).toBe(3);
  // AES key wrap with padding (RFC 5649): 32 bytes become 40.
  expect(Buffer.from(keys[0]?.material.wrapped as string, 'base64url')).toHaveLength(40);
  expect(keys[0]).not.toHaveProperty('publicKeySpki');
});

test('a signing key comes with its public half', () => {
  const { publicKeySpki } = generate('EC_P256', generateKek());
  expect(Buffer.from(publicKeySpki as string, 'base64url')).toHaveLength(91);
});

test('a KEK that the root did not wrap makes no key', () => {
  const kek = generateKek();
  const tampered = { ...kek, wrapped: Buffer.alloc(40, 1).toString('base64url') };
  expect(() => generate('AES_256', tampered)).toThrow(/ERR_HSM_UNAVAILABLE/);
  expect(generate('AES_256', kek)).toBeDefined();
});
