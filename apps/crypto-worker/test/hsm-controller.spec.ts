import {
  type Algorithm,
  internalOperations,
  type KekMaterial,
  type KeyMaterial,
  type Result,
  requestType,
  type TokenKey,
  tokenHsmOperations,
  usagesOf,
} from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HsmController } from '../src/hsm.controller';
import { HsmBatchController } from '../src/hsm-batch.controller';
import { KeyHolder } from '../src/key-holder';
import { SeenTokens } from '../src/seen-tokens';
import { TokenBreaker } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { TokensController, Worker } from '../src/tokens.controller';
import { customerToken } from './worker-under-test';

let token: Token;
let hsm: HsmController;
beforeAll(() => {
  token = customerToken();
  const view = { onChange: () => undefined, get: () => undefined, fresh: () => true } as never;
  const keys = new KeyHolder(view, new Tokens(token), { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined });
  const logger = { log: () => undefined, error: () => undefined };
  const limits = { failures: 5, windowMs: 10_000, probeEveryMs: 1_000 };
  const breaker = new TokenBreaker({ token: token.label, probe: () => undefined, report: () => undefined, limits, logger });
  hsm = new HsmController(new Tokens(token, [], 'eu'), keys, breaker);
});
afterAll(() => token.close());

const generateKek = async () => internalOperations.generateKek.result.parse((await hsm.generateKek({ type: 'claviger.request/1' })).result);
const generate = async (algorithm: Algorithm, kek: KekMaterial) =>
  internalOperations.generateKey.result.parse(
    (await hsm.generateKey({ type: requestType, algorithm, usage: usagesOf(algorithm)[0], kekId: 'kek_production_internal_1', kek }))
      .result,
  ) as Result<typeof internalOperations.generateKey>;

test('a KEK leaves the token only wrapped under the root, a key only wrapped under its KEK; no two are alike', async () => {
  const kek = await generateKek();
  expect(kek).toMatchObject({ rootLabel: 'root', family: 'softhsm' });
  const keys = await Promise.all([generate('AES_256', kek), generate('AES_256', kek)]);
  expect(new Set([kek.wrapped, ...keys.map((k) => wrappedIn(k.material))]).size).toBe(3);
  // AES key wrap with padding (RFC 5649): 32 bytes become 40.
  expect(Buffer.from(wrappedIn(keys[0]?.material), 'base64url')).toHaveLength(40);
  expect(keys[0]).not.toHaveProperty('publicKeySpki');
});

test('many keys come with one message, each made or with a problem of its own', async () => {
  const kek = await generateKek();
  const keys = Array.from({ length: 6 }, (_, n) =>
    n % 2 ? { algorithm: 'AES_256' as const, usage: 'encrypt' as const } : { algorithm: 'HMAC_SHA_256' as const, usage: 'mac' as const },
  );
  const batch = async (under: KekMaterial) => {
    const { result } = await new HsmBatchController(hsm).generateKeys({
      type: requestType,
      kekId: 'kek_production_internal_1',
      kek: under,
      keys,
    });
    return internalOperations.generateKeys.result.parse(result).keys;
  };
  const made = await batch(kek);
  expect(new Set(made.map((one) => ('material' in one ? wrappedIn(one.material) : ''))).size).toBe(6);
  const refused = await batch({ ...kek, wrapped: Buffer.alloc(40, 1).toString('base64url') });
  expect(refused.map((one) => ('problem' in one ? one.problem.code : 'made'))).toEqual(keys.map(() => 'ERR_HSM_UNAVAILABLE'));
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

const wrappedIn = (material: KeyMaterial | undefined) => (material?.custody === 'wrapped' ? material.wrapped : '');

test('a key that the token cannot wrap stays in it, under a label of its own, until it is destroyed', async () => {
  const kek = await generateKek();
  const made = await generate('ED25519', kek);
  expect(made.material).toMatchObject({ custody: 'token', family: 'softhsm', token: token.label });
  const { label } = made.material as TokenKey;
  expect(token.publicKeySpki(label).toString('base64url')).toBe(made.publicKeySpki);
  const destroy = async (name = token.label) => (await hsm.destroyKey({ type: requestType, token: name, label })).result;
  await expect(destroy('another-token')).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  expect([await destroy(), await destroy()]).toEqual([{ destroyed: true }, { destroyed: false }]);
  expect(() => token.findTokenKey(label, 'private')).toThrow('holds no private key');
});

test('a pair that is to leave its token wrapped is refused before it is made where it would stay', async () => {
  const kek = await generateKek();
  const asked = { type: requestType, usage: 'sign', custody: 'wrapped', kekId: 'kek_production_internal_1', kek } as const;
  const label = `key-${'0'.repeat(24)}`;
  await expect(hsm.generateKey({ ...asked, algorithm: 'ED25519', label })).rejects.toMatchObject({ code: 'ERR_ALGORITHM_UNAVAILABLE' });
  expect(() => token.findTokenKey(label, 'private')).toThrow('holds no private key');
  expect((await hsm.generateKey({ ...asked, algorithm: 'RSA_2048' })).result).toMatchObject({ material: { custody: 'wrapped' } });
});

test('nothing but a customer key can be destroyed by its label', () => {
  const { request } = internalOperations.destroyKey;
  for (const label of ['root', 'certifier', 'claviger-canary', 'key-', `key-${'A'.repeat(24)}`])
    expect([label, request.safeParse({ type: requestType, token: 't', label }).success]).toEqual([label, false]);
});

test('a key is made only in a token that is in one of its regions, and nobody is asked of a place that is not known', async () => {
  const kek = await generateKek();
  const residing = (residency: string[]) =>
    hsm.generateKey({ type: requestType, algorithm: 'AES_256', usage: 'encrypt', kekId: 'kek_production_internal_1', kek, residency });
  expect((await residing(['us', 'eu'])).result).toMatchObject({ material: { custody: 'wrapped' } });
  await expect(residing(['us'])).rejects.toThrow(/ERR_RESIDENCY: The key may be in us, and token .* is in eu/);
  const further = { label: 'far', region: 'us', reached: () => token };
  expect(new Tokens(token, [further], 'eu').for('AES_256', 'encrypt', ['us'])).toBe(token);
  expect(() => new Tokens(token).for('AES_256', 'encrypt', ['eu'])).toThrow(/ERR_RESIDENCY/);
  expect(() => new Tokens(token, [{ ...further, region: undefined }], 'eu').assertResides(['us'], 'far')).toThrow(/token far is in eu/);
});

test('a key is made only in one of the tokens that its profile lets it be in, and each says what it is', async () => {
  const kek = await generateKek();
  const asked = { type: requestType, usage: 'sign', kekId: 'kek_production_internal_1', kek } as const;
  const inside = (tokens: string[], algorithm: Algorithm = 'EC_P256') => hsm.generateKey({ ...asked, algorithm, tokens });
  expect((await inside([token.label, 'other'])).result).toMatchObject({ material: { custody: 'wrapped' } });
  for (const algorithm of ['EC_P256', 'ED25519'] as const)
    await expect(inside(['other'], algorithm)).rejects.toMatchObject({
      code: 'ERR_ASSURANCE',
      detail: expect.stringContaining(token.label),
    });
  const keys = [{ algorithm: 'AES_256' as const, usage: 'encrypt' as const }];
  const batch = new HsmBatchController(hsm);
  const { result } = await batch.generateKeys({ ...{ type: requestType, kekId: asked.kekId, kek, keys }, tokens: ['other'] });
  expect(result).toMatchObject({ keys: [{ problem: { code: 'ERR_ASSURANCE' } }] });
  const further = { label: 'far', reached: () => token };
  const tokens = new Tokens(token, [further], 'eu');
  expect(tokens.for('AES_256', 'encrypt', undefined, ['far'])).toBe(token);
  expect(() => tokens.for('AES_256', 'encrypt', ['us'], ['far'])).toThrow(/ERR_RESIDENCY/);
  expect(() => tokens.assertAssured(['far'], token.label)).toThrow(/ERR_ASSURANCE/);
  const away = {
    label: 'away',
    reached: () => {
      throw new Error('away');
    },
  };
  const seen = new SeenTokens(
    new Tokens(token, [away], 'eu'),
    () => new Set([token.label]),
    () => false,
  );
  const described = await new TokensController(new Worker('w-1'), seen).describe();
  expect(tokenHsmOperations.describeTokens.result.parse(described.result)).toMatchObject({
    worker: 'w-1',
    tokens: [
      { label: token.label, root: true, region: 'eu', reached: true, reported: { family: 'softhsm', model: 'SoftHSM v2' } },
      { label: 'away', root: false, reached: false },
    ],
  });
});
