import {
  type Algorithm,
  internalOperations,
  type KekMaterial,
  type KeyView,
  type Result,
  requestType,
  usagesOf,
} from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HsmController } from '../src/hsm.controller';
import { KeyHolder } from '../src/key-holder';
import { RewrapController } from '../src/rewrap.controller';
import { isRewrapOf } from '../src/rewrapped';
import { TokenBreaker } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { customerToken } from './worker-under-test';

let token: Token;
let keys: KeyHolder;
let hsm: HsmController;
let rotation: RewrapController;
const records = new Map<string, unknown>();
beforeAll(() => {
  token = customerToken();
  const view = { onChange: () => undefined, get: (id: string) => records.get(id), fresh: () => true } as never;
  const tokens = new Tokens(token, [], 'eu');
  keys = new KeyHolder(view, tokens, { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined });
  const logger = { log: () => undefined, error: () => undefined };
  const limits = { failures: 50, windowMs: 10_000, probeEveryMs: 1_000 };
  const breaker = new TokenBreaker({ token: token.label, probe: () => undefined, report: () => undefined, limits, logger });
  hsm = new HsmController(tokens, keys, breaker);
  rotation = new RewrapController(tokens, keys, breaker);
});
afterAll(() => token.close());

const first = 'kek_production_internal_1';
const second = 'kek_production_internal_2';
const type = requestType;
const generateKek = async (rootLabel?: string) =>
  internalOperations.generateKek.result.parse((await hsm.generateKek({ type, rootLabel })).result);
const generate = async (algorithm: Algorithm, kek: KekMaterial) =>
  internalOperations.generateKey.result.parse(
    (await hsm.generateKey({ type, algorithm, usage: usagesOf(algorithm)[0], kekId: first, kek })).result,
  ) as Result<typeof internalOperations.generateKey>;
const wrappedIn = ({ material }: Result<typeof internalOperations.generateKey>) => {
  if (material.custody !== 'wrapped') throw new Error('kept in the token');
  return { kekId: material.kekId, mechanism: material.mechanism, wrapped: material.wrapped };
};
const rewrap = async (from: KekMaterial, to: KekMaterial, items: object[]) =>
  internalOperations.rewrapKeys.result.parse(
    (
      await rotation.rewrapKeys(
        internalOperations.rewrapKeys.request.parse({
          ...{ type, from: [{ kekId: first, material: from }], to: { kekId: second, material: to }, keys: items },
        }),
      )
    ).result,
  ).keys;

test('neither keys nor a KEK come under another one in a token that their profile does not let them be in', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const item = { algorithm: 'AES_256', ...wrappedIn(await generate('AES_256', from)) };
  const request = { type, from: [{ kekId: first, material: from }], to: { kekId: second, material: to }, tokens: ['other'], keys: [item] };
  const { result } = await rotation.rewrapKeys(internalOperations.rewrapKeys.request.parse(request));
  expect(result).toMatchObject({ keys: [{ code: 'ERR_ASSURANCE' }] });
  await expect(rotation.rewrapKek({ type, material: from, rootLabel: 'root', tokens: ['other'] })).rejects.toMatchObject({
    code: 'ERR_ASSURANCE',
  });
});

test('keys come under another KEK in the order of the request; one that does not open has its own problem, and leaves the others', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const algorithms = ['AES_256', 'EC_P256', 'HMAC_SHA_512', 'RSA_2048'] as const;
  const made = await Promise.all(algorithms.map((algorithm) => generate(algorithm, from)));
  const items = made.map((one, i) => ({ algorithm: algorithms[i], ...wrappedIn(one) }));
  const broken = { ...items[0]!, wrapped: Buffer.alloc(40, 1).toString('base64url') };
  const result = await rewrap(from, to, [items[0]!, broken, ...items.slice(1)]);
  expect(result.map((one) => ('code' in one ? one.code : one.kekId))).toEqual([second, 'ERR_KEY_UNREADABLE', second, second, second]);
  const wrapped = result.flatMap((one) => ('code' in one ? [] : [one]));
  const kek = token.unwrap({
    ...{ wrapped: Buffer.from(to.wrapped, 'base64url'), mechanism: to.mechanism, algorithm: 'AES_256', usage: 'wrap' },
    wrappingKey: token.findTokenKey('root', 'secret'),
  });
  for (const [i, algorithm] of algorithms.entries())
    token.destroyObject(
      token.unwrap({
        ...{ wrapped: Buffer.from(wrapped[i]!.wrapped, 'base64url'), mechanism: wrapped[i]!.mechanism },
        ...{ algorithm, usage: usagesOf(algorithm)[0], wrappingKey: kek },
      }),
    );
});

test('a key that may be in other regions is not opened to rewrap it; the others are', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const item = { algorithm: 'AES_256', ...wrappedIn(await generate('AES_256', from)) };
  const result = await rewrap(from, to, [{ ...item, residency: ['us'] }, { ...item, residency: ['us', 'eu'] }, item]);
  expect(result.map((one) => ('code' in one ? one.code : one.kekId))).toEqual(['ERR_RESIDENCY', second, second]);
});

test('an old KEK that does not open, or whose root is gone, is said of what is under it, and is no failure of the HSM', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const item = { algorithm: 'AES_256', ...wrappedIn(await generate('AES_256', from)) };
  for (const broken of [
    { ...from, wrapped: Buffer.alloc(40, 1).toString('base64url') },
    { ...(await generateKek()), rootLabel: 'root-99' },
  ]) {
    expect(await rewrap(broken, to, [item])).toMatchObject([{ code: 'ERR_KEY_UNREADABLE', detail: expect.stringContaining(first) }]);
    await expect(rotation.rewrapKek({ type, material: broken, rootLabel: 'root' })).rejects.toMatchObject({ code: 'ERR_KEY_UNREADABLE' });
  }
  // The new root: another worker may have it.
  await expect(rotation.rewrapKek({ type, material: from, rootLabel: 'root-99' })).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
});

test('a new KEK that does not open is no fault of the keys: all of it fails, and is tried again', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const item = { algorithm: 'AES_256', ...wrappedIn(await generate('AES_256', from)) };
  const damaged = { ...to, wrapped: Buffer.alloc(40, 1).toString('base64url') };
  await expect(rewrap(from, damaged, [item])).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
});

test('nothing is made or rewrapped under a KEK that this worker knows to be destroyed', async () => {
  const [from, to] = [await generateKek(), await generateKek()];
  const item = { algorithm: 'AES_256', ...wrappedIn(await generate('AES_256', from)) };
  records.set(first, { kind: 'kek', kekId: first, state: 'destroyed' });
  await expect(generate('AES_256', from)).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  await expect(rewrap(from, to, [item])).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  records.clear();
});

test('a root is made once, wraps KEKs only, and takes over those of the old one; then the old one can go', async () => {
  const order = (label: string, ms = 5_000) => rotation.createRoot({ type, label, until: new Date(Date.now() + ms).toISOString() });
  expect([(await order('root-2')).result, (await order('root-2')).result]).toEqual([{ created: true }, { created: false }]);
  await expect(order('root-3', -1)).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  const material = await generateKek();
  const key = wrappedIn(await generate('AES_256', material));
  const moved = internalOperations.rewrapKek.result.parse((await rotation.rewrapKek({ type, material, rootLabel: 'root-2' })).result);
  expect(moved).toMatchObject({ rootLabel: 'root-2' });
  expect((await generateKek('root-2')).rootLabel).toBe('root-2');
  const destroy = async () => (await rotation.destroyRoot({ type, label: 'root' })).result;
  expect([await destroy(), await destroy()]).toEqual([{ destroyed: true }, { destroyed: false }]);
  expect(await rewrap(moved, await generateKek('root-2'), [{ algorithm: 'AES_256', ...key }])).toMatchObject([{ kekId: second }]);
  await expect(generateKek('root')).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
});

test('nothing but a root can be made or destroyed as one', () => {
  for (const label of ['certifier', 'root-0', 'root-1x', 'key-', 'claviger-canary'])
    for (const { request } of [internalOperations.destroyRoot, internalOperations.createRoot])
      expect([label, request.safeParse({ type, label, until: new Date().toISOString() }).success]).toEqual([label, false]);
});

test('a record is a rewrap of another when nothing but the wrapping differs', () => {
  const material = { custody: 'wrapped', kekId: first, mechanism: 1, family: 'f', wrapped: 'a' } as const;
  const view = { id: 'k', revision: 1, suspended: false, versions: [{ version: 1, state: 'active', material }] } as unknown as KeyView;
  const rewrapped = { ...view, revision: 2, versions: [{ ...view.versions[0]!, material: { ...material, kekId: second, wrapped: 'b' } }] };
  expect(isRewrapOf(rewrapped, view)).toBe(true);
  expect(isRewrapOf({ ...rewrapped, suspended: true }, view)).toBe(false);
  expect(isRewrapOf({ ...rewrapped, versions: [{ ...view.versions[0]!, state: 'suspended' }] }, view)).toBe(false);
  expect(isRewrapOf({ ...rewrapped, versions: [{ version: 1, state: 'active' }] }, view)).toBe(false);
});
