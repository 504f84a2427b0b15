import {
  type Algorithm,
  internalOperations,
  type KekMaterial,
  type KeyView,
  migrationHsmOperations,
  type Result,
  requestType,
  type TokenObjectName,
  usagesOf,
} from '@claviger/contracts';
import { type Token, tokenFacts } from '@claviger/hsm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HsmController } from '../src/hsm.controller';
import { KeyHolder } from '../src/key-holder';
import { HolderName, MigrationHsmController } from '../src/migration-hsm.controller';
import { RewrapController } from '../src/rewrap.controller';
import { isRewrapOf } from '../src/rewrapped';
import { TokenBreaker } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { customerToken } from './worker-under-test';

let token: Token;
let next: Token;
let tellChange: (record: unknown) => void;
let survey: MigrationHsmController;
let keys: KeyHolder;
let hsm: HsmController;
let rotation: RewrapController;
const records = new Map<string, unknown>();
beforeAll(() => {
  [token, next] = [customerToken(), customerToken()];
  const view = {
    onChange: (tell: typeof tellChange) => (tellChange = tell),
    get: (id: string) => records.get(id),
    held: (id: string) => records.get(id),
    fresh: () => true,
  } as never;
  const tokens = new Tokens(token, [{ label: next.label, region: 'us', reached: () => next }], 'eu');
  keys = new KeyHolder(view, tokens, { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined });
  const logger = { log: () => undefined, error: () => undefined };
  const limits = { failures: 50, windowMs: 10_000, probeEveryMs: 1_000 };
  const breaker = new TokenBreaker({ token: token.label, probe: () => undefined, report: () => undefined, limits, logger });
  hsm = new HsmController(tokens, keys, breaker);
  rotation = new RewrapController(tokens, keys, breaker);
  survey = new MigrationHsmController(tokens, breaker, new HolderName('crypto-worker.w1'));
});
afterAll(() => {
  token.close();
  next.close();
});

const first = 'kek_production_internal_1';
const second = 'kek_production_internal_2';
const type = requestType;
const serialOf = (of: Token) => tokenFacts(of).serialNumber;
const generateKek = async (rootLabel?: string) =>
  internalOperations.generateKek.result.parse((await hsm.generateKek({ type, rootLabel })).result);
const inToken = async (label: string, rootLabel: string) =>
  internalOperations.generateKek.result.parse((await hsm.generateKek({ type, rootLabel, token: label })).result);
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
  // Another device of the same label is left as it is.
  await expect(rotation.destroyRoot({ type, label: 'root', serialNumber: serialOf(next) })).rejects.toMatchObject({ code: 'ERR_CONFLICT' });
  const destroy = async () => (await rotation.destroyRoot({ type, label: 'root', serialNumber: serialOf(token) })).result;
  expect([await destroy(), await destroy()]).toEqual([{ destroyed: true }, { destroyed: false }]);
  expect(await rewrap(moved, await generateKek('root-2'), [{ algorithm: 'AES_256', ...key }])).toMatchObject([{ kekId: second }]);
  await expect(generateKek('root')).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
});

test('a root is made in another token, KEKs go there as the same KEKs, and what they wrap is used there and nowhere else', async () => {
  const order = (label: string, more: object = {}) =>
    rotation.createRoot({ type, label, token: next.label, until: new Date(Date.now() + 5_000).toISOString(), ...more });
  const rehearse = { rootLabel: 'root-2' };
  expect((await order('root-4', { rehearse })).result).toEqual({ created: true });
  await expect(order('root-5', { rehearse: { rootLabel: 'root-99' } })).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  // A rehearsal that ends late, when the root that it came from is gone, leaves the one that all KEKs may lie under by then.
  await rotation.createRoot({ type, label: 'root-6', until: new Date(Date.now() + 5_000).toISOString() });
  const late = order('root-4', { rehearse: { rootLabel: 'root-6' } });
  await rotation.destroyRoot({ type, label: 'root-6', serialNumber: serialOf(token) });
  await expect(late).rejects.toMatchObject({ code: 'ERR_KEY_UNREADABLE' });
  expect((await order('root-4')).result).toEqual({ created: false });
  const material = await generateKek('root-2');
  const to = { type, rootLabel: 'root-4', token: next.label } as const;
  const moved = internalOperations.rewrapKek.result.parse((await rotation.rewrapKek({ ...to, material })).result);
  expect(moved).toMatchObject({ rootLabel: 'root-4', token: next.label });
  await expect(
    rotation.rewrapKek({ ...to, material: { ...material, wrapped: Buffer.alloc(40, 1).toString('base64url') } }),
  ).rejects.toMatchObject({
    code: 'ERR_KEY_UNREADABLE',
  });
  await expect(rotation.rewrapKek({ ...to, token: 'elsewhere', material })).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });

  const made = await generate('AES_256', material);
  const kek = (of: KekMaterial, revision: number) => ({ kind: 'kek', id: first, kekId: first, revision, material: of });
  const version = { version: 1, state: 'active', ...made };
  const key = {
    kind: 'key',
    id: 'k',
    keyId: 'k',
    revision: 1,
    algorithm: 'AES_256',
    usage: 'encrypt',
    versions: [version],
  } as unknown as KeyView;
  const deliver = (record: { id: string }) => {
    records.set(record.id, record);
    tellChange(record);
  };
  deliver(kek(material, 1));
  deliver(key);
  const used = () => keys.handle(key, version as KeyView['versions'][number]);
  const [iv, text] = [Buffer.alloc(12), Buffer.from('the same key')];
  const sealed = token.encryptGcm(used(), iv, Buffer.alloc(0), text);
  const before = used();
  expect(keys.unwrapped).toBe(1);
  deliver(kek(moved, 2));
  // Nothing of it stays unwrapped in the old token.
  expect(keys.unwrapped).toBe(0);
  expect(keys.tokenOf(version as KeyView['versions'][number])).toBe(next);
  expect(() => next.decryptGcm(before, iv, Buffer.alloc(0), sealed)).toThrow('key handle is from before');
  expect(next.decryptGcm(used(), iv, Buffer.alloc(0), sealed)).toEqual(text);
  expect(() => token.decryptGcm(used(), iv, Buffer.alloc(0), sealed)).toThrow('key handle is from before');
  // What is new is made there as well, also where it cannot be wrapped.
  for (const algorithm of ['EC_P256', 'ED25519'] as const) {
    const there = await generate(algorithm, moved);
    expect(there.material).toMatchObject(algorithm === 'ED25519' ? { custody: 'token', token: next.label } : { custody: 'wrapped' });
  }
  const { kekId, mechanism, wrapped } = wrappedIn(made);
  const across = rewrap(material, moved, [{ algorithm: 'AES_256', kekId, mechanism, wrapped }]);
  await expect(across).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  const there = rewrap(moved, await inToken(next.label, 'root-4'), [
    { algorithm: 'AES_256', kekId, mechanism, wrapped, residency: ['us'] },
  ]);
  expect(await there).toMatchObject([{ kekId: second, mechanism }]);
  records.clear();
  const inNext = { token: next.label, serialNumber: serialOf(next) };
  expect((await rotation.destroyRoot({ type, label: 'root-4', ...inNext })).result).toEqual({ destroyed: true });
});

test('each worker says what a token is to it, and what it cannot do', async () => {
  const kinds = [
    { algorithm: 'AES_256', usage: 'encrypt' },
    { algorithm: 'ML_DSA_65', usage: 'sign' },
  ] as const;
  const said = async (label?: string) => (await survey.survey({ type, token: label, kinds: [...kinds] })).result;
  const us = { worker: 'crypto-worker.w1', first: token.label };
  expect(await said()).toEqual(await said(token.label));
  expect([await said(token.label), await said(next.label), await said('elsewhere')]).toEqual([
    { ...us, token: 'first', serialNumber: serialOf(token), region: 'eu', lacks: [kinds[1]] },
    { ...us, token: 'further', serialNumber: serialOf(next), region: 'us', lacks: [kinds[1]] },
    { ...us, token: 'unknown', lacks: [] },
  ]);
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

test('a token that was left tells all that it holds; it is emptied only when no key is in it, and never while it is the first', async () => {
  const label = next.label;
  const holdings = async () => migrationHsmOperations.tokenHoldings.result.parse((await survey.holdings({ type, token: label })).result);
  const seen = {
    serialNumber: serialOf(next),
    certifier: next.publicKeySpki('certifier').toString('base64url'),
    foreign: [] as TokenObjectName[],
  };
  const emptied = async (more: Partial<typeof seen> = {}, of = label) =>
    migrationHsmOperations.emptyToken.result.parse((await survey.empty({ type, token: of, ...seen, ...more })).result);
  for (const ask of [survey.holdings({ type, token: token.label }), emptied({}, token.label)])
    await expect(ask).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  await expect(survey.holdings({ type, token: 'elsewhere' })).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  const { identity, objects, certifier } = await holdings();
  expect(identity).toMatchObject({ label, serialNumber: expect.stringMatching(/./) });
  expect(certifier).toBe(next.publicKeySpki('certifier').toString('base64url'));
  const keys = objects.filter((one) => /^(root|key-)/.test(one.label));
  expect(keys.map((one) => one.class).toSorted()).toEqual(['private', 'public', 'secret', 'secret']);
  await expect(emptied()).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  expect((await holdings()).objects).toEqual(objects);
  for (const { class: of, label: name } of keys) of === 'secret' ? next.destroyRootKey(name) : next.destroyTokenKeyPair(name);
  // What is not as it was seen: the device, the certifier, what others have there.
  for (const { more, code } of [
    { more: { serialNumber: serialOf(token) }, code: 'ERR_CONFLICT' },
    { more: { certifier: token.publicKeySpki('certifier').toString('base64url') }, code: 'ERR_KEY_STATE' },
    { more: { foreign: [{ class: 'secret', label: 'of-others', id: '' }] }, code: 'ERR_KEY_STATE' },
    { more: { certifier: undefined }, code: 'ERR_KEY_STATE' },
  ])
    await expect(emptied(more as Partial<typeof seen>)).rejects.toMatchObject({ code });
  expect((await holdings()).objects).toHaveLength(3);
  expect(await emptied()).toEqual({ identity, objects: [] });
  await expect(holdings()).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
});
