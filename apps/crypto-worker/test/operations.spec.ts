import { createPrivateKey, createPublicKey, createVerify, verify as nodeVerify, randomBytes } from 'node:crypto';
import { Algorithm, type ItemOutcome, type KekMaterial, type KeyView, schemesOf, usagesOf, type WrappedKey } from '@claviger/contracts';
import { schemesOf as tokenSchemes, usagesOf as tokenUsages } from '@claviger/hsm';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { CompactSign, compactVerify, createLocalJWKSet, importJWK, importPKCS8 } from 'jose';
import type { CryptoController } from '../src/crypto.controller';
import { CryptoBatchController } from '../src/crypto-batch.controller';
import { RewrapController } from '../src/rewrap.controller';
import { bytes, codeOf, resultOf, text } from './answers';
import { startWorker, type Worker } from './worker-under-test';

let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
let one: CryptoController;
let many: CryptoBatchController;
const type = 'claviger.request/1';

beforeAll(async () => {
  w = await startWorker();
  one = w.one;
  many = new CryptoBatchController(one);
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
});

const made = async (algorithm: Algorithm, more: Partial<KeyView> = {}) => w.put(await w.key(algorithm, more));
const records = () => w.recordsOf(caller.session);
const message = text('a contract');

const signing = ['ED25519', 'EC_P256', 'EC_P384', 'EC_P521', 'EC_SECP256K1', 'RSA_2048', 'RSA_3072'] as const;

test.each(signing)(
  '%s: every scheme signs what another library verifies with the public key, and nothing else verifies',
  async (algorithm) => {
    const { keyId } = await made(algorithm);
    const { jwk, pem } = await resultOf<{ jwk: Record<string, string>; pem: string }>(one.getPublicKey({ keyId }, caller));
    for (const scheme of schemesOf(algorithm)) {
      // A JWS: its signing input is what the worker signs.
      const head = text(JSON.stringify({ alg: scheme }));
      const input = `${head}.${message}`;
      const { signature } = await resultOf(one.sign({ keyId, message: text(input), algorithm: scheme }, caller) as never);
      if (scheme.startsWith('ES')) {
        const der = await resultOf(one.sign({ keyId, message: text(input), algorithm: scheme, encoding: 'der' }, caller) as never);
        const hash = `sha${scheme.slice(2, 5)}`;
        expect(nodeVerify(hash, Buffer.from(input), createPublicKey(pem), bytes(der.signature as string))).toBe(true);
        const asked = { keyId, message: text(input), signature: der.signature as string };
        expect(await resultOf(one.verify({ ...asked, encoding: 'der' }, caller))).toMatchObject({ valid: true });
        expect(await resultOf(one.verify(asked, caller))).toMatchObject({ valid: false });
      } else {
        const asked = { keyId, message: text(input), algorithm: scheme, encoding: 'der' } as const;
        expect(await codeOf(one.sign(asked, caller))).toBe('ERR_MALFORMED_REQUEST');
      }
      // jose has no secp256k1 any more.
      if (scheme === 'ES256K') {
        const key = { key: createPublicKey(pem), dsaEncoding: 'ieee-p1363' } as const;
        expect(nodeVerify('sha256', Buffer.from(input), key, bytes(signature as string))).toBe(true);
      } else {
        const { payload } = await compactVerify(`${input}.${signature}`, await importJWK({ ...jwk, alg: scheme }, scheme));
        expect(Buffer.from(payload).toString()).toBe('a contract');
      }
      const verify = (more: object) =>
        resultOf(one.verify({ keyId, message: text(input), signature: signature as string, algorithm: scheme, ...more }, caller));
      expect(await verify({})).toMatchObject({ valid: true, version: 1 });
      expect(await verify({ message })).toMatchObject({ valid: false });
      expect(await verify({ signature: text('too short') })).toMatchObject({ valid: false });
    }
  },
);

test('what others sign with a key of the caller is no business of another scheme: a key does only its own', async () => {
  const { keyId } = await made('EC_P256');
  expect(await codeOf(one.sign({ keyId, message, algorithm: 'PS256' }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.sign({ keyId, digest: text('x'.repeat(20)) }, caller))).toBe('ERR_MALFORMED_REQUEST');
  expect(await codeOf(one.generateMac({ keyId, message }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.encrypt({ keyId, plaintext: message }, caller))).toBe('ERR_KEY_USAGE');
  const aes = await made('AES_256');
  expect(await codeOf(one.sign({ keyId: aes.keyId, message }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.getPublicKey({ keyId: aes.keyId }, caller))).toBe('ERR_KEY_USAGE');
});

test('a digest of a longer hash is signed as ECDSA says', async () => {
  const { keyId } = await made('EC_P256');
  const digest = randomBytes(48).toString('base64url');
  const { signature } = await resultOf(one.sign({ keyId, digest }, caller) as never);
  expect(await resultOf(one.verify({ keyId, digest, signature: signature as string }, caller))).toMatchObject({ valid: true });
});

test.each(['HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'] as const)(
  '%s: a MAC is of this key, this message and full length',
  async (algorithm) => {
    const key = await made(algorithm);
    const { mac, algorithm: name } = await resultOf(one.generateMac({ keyId: key.keyId, message }, caller));
    expect(name).toBe(`HS${algorithm.slice(-3)}`);
    expect(bytes(mac as string)).toHaveLength(Number(algorithm.slice(-3)) / 8);
    const verify = (more: object) => resultOf(one.verifyMac({ keyId: key.keyId, message, mac: mac as string, ...more }, caller));
    expect(await verify({})).toMatchObject({ valid: true, version: 1 });
    expect(await verify({ message: text('another') })).toMatchObject({ valid: false });
    expect(
      await verify({
        mac: bytes(mac as string)
          .subarray(0, 16)
          .toString('base64url'),
      }),
    ).toMatchObject({ valid: false });
    // A rotated key goes on to verify what it made.
    const [first] = key.versions;
    await w.put({
      ...key,
      revision: 2,
      primaryVersion: 2,
      versions: [{ ...first, state: 'deactivated' } as never, await w.version(2, algorithm)],
    });
    expect(await verify({})).toMatchObject({ valid: true, version: 1 });
    expect((await resultOf(one.generateMac({ keyId: key.keyId, message }, caller))).mac).not.toBe(mac);
  },
);

test('AES-128 encrypts under its own name', async () => {
  const { keyId } = await made('AES_128');
  const { ciphertext } = await resultOf(one.encrypt({ keyId, plaintext: message }, caller));
  expect(JSON.parse(bytes((ciphertext as string).split('.')[0] as string).toString())).toMatchObject({ enc: 'A128GCM' });
  expect(await resultOf(one.decrypt({ keyId, ciphertext: ciphertext as string }, caller))).toMatchObject({ plaintext: message });
});

test('re-encryption goes to the newest version, to another key, to another context; the plaintext to nobody; the record names both', async () => {
  const [from, to] = await Promise.all([made('AES_256'), made('AES_256')]);
  const context = { tenant: 'acme' };
  const toContext = { tenant: 'other' };
  const { ciphertext } = await resultOf(one.encrypt({ keyId: from.keyId, plaintext: message, context }, caller));
  await w.put({
    ...from,
    revision: 2,
    primaryVersion: 2,
    versions: [{ ...from.versions[0], state: 'deactivated' } as never, await w.version(2, 'AES_256')],
  });
  const same = await resultOf(one.reEncrypt({ keyId: from.keyId, ciphertext: ciphertext as string, context }, caller));
  expect(same).toMatchObject({ keyId: from.keyId, version: 2, fromKeyId: from.keyId, fromVersion: 1 });
  expect(same).not.toHaveProperty('plaintext');
  expect(await resultOf(one.decrypt({ keyId: from.keyId, ciphertext: same.ciphertext as string, context }, caller))).toMatchObject({
    plaintext: message,
    version: 2,
  });
  const moved = await resultOf(
    one.reEncrypt({ keyId: from.keyId, ciphertext: ciphertext as string, context, toKeyId: to.keyId, toContext }, caller),
  );
  expect(
    await resultOf(one.decrypt({ keyId: to.keyId, ciphertext: moved.ciphertext as string, context: toContext }, caller)),
  ).toMatchObject({
    plaintext: message,
  });
  expect(await codeOf(one.reEncrypt({ keyId: from.keyId, ciphertext: ciphertext as string }, caller))).toBe('ERR_DECRYPTION_FAILED');
  const mine = (await records()).filter((r) => r.action === 'crypto:ReEncryptFrom');
  expect(mine).toMatchObject([
    { keyId: from.keyId, version: 1, toKeyId: from.keyId, toVersion: 2, context, toContext: context, outcome: 'success' },
    { keyId: from.keyId, version: 1, toKeyId: to.keyId, toVersion: 1, context, toContext, outcome: 'success' },
    { outcome: 'failed', code: 'ERR_DECRYPTION_FAILED' },
  ]);
  expect(JSON.stringify(mine)).not.toContain(message);
});

test('what a compromised version protected is re-encrypted, and neither decrypted nor protected with it again', async () => {
  const key = await made('AES_256');
  const { keyId } = key;
  const { ciphertext = '' } = await resultOf(one.encrypt({ keyId, plaintext: text('rescued') }, caller));
  const versions = [{ ...key.versions[0], state: 'compromised' } as never, await w.version(2, 'AES_256')];
  await w.put({ ...key, revision: 2, primaryVersion: 2, versions });
  expect(await codeOf(one.decrypt({ keyId, ciphertext }, caller))).toBe('ERR_KEY_STATE');
  const moved = await resultOf(one.reEncrypt({ keyId, ciphertext }, caller));
  expect(moved).toMatchObject({ version: 2, fromVersion: 1 });
  expect(await resultOf(one.decrypt({ keyId, ciphertext: moved.ciphertext as string }, caller))).toMatchObject({
    plaintext: text('rescued'),
  });
});

test('a re-encryption that policy allows from one key but not to the other does not happen', async () => {
  const [from, to] = await Promise.all([made('AES_256'), made('AES_256')]);
  const { ciphertext } = await resultOf(one.encrypt({ keyId: from.keyId, plaintext: message }, caller));
  const { decision } = w.said;
  w.said.byAction = (action) =>
    action === 'crypto:ReEncryptTo' ? { kind: 'deny', code: 'forbidden', policyIds: ['p9'], reason: 'no', failure: false } : decision;
  try {
    const asked = one.reEncrypt({ keyId: from.keyId, ciphertext: ciphertext as string, toKeyId: to.keyId }, caller);
    expect(await codeOf(asked)).toBe('ERR_ACCESS_DENIED');
  } finally {
    w.said.byAction = undefined;
  }
  expect((await records()).at(-1)).toMatchObject({ outcome: 'denied', policies: ['p9'], keyId: from.keyId, toKeyId: to.keyId });
});

test('a data key pair: its private half opens only with the key, and is the half of the public one', async () => {
  const { keyId } = await made('AES_256');
  const context = { tenant: 'acme' };
  const pair = await resultOf(one.generateDataKeyPair({ keyId, algorithm: 'EC_P256', context, withPlaintext: true }, caller) as never);
  const { plaintext } = await resultOf(one.decrypt({ keyId, ciphertext: pair.ciphertext as string, context }, caller));
  expect(plaintext).toBe(pair.plaintext);
  const privateKey = createPrivateKey({ key: bytes(plaintext as string), format: 'der', type: 'pkcs8' });
  expect(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64url')).toBe(pair.publicKeySpki);
  const signed = await new CompactSign(Buffer.from('x'))
    .setProtectedHeader({ alg: 'ES256' })
    .sign(await importPKCS8(privateKey.export({ format: 'pem', type: 'pkcs8' }) as string, 'ES256'));
  expect(signed).toBeDefined();
  const without = one.generateDataKeyPair({ keyId, algorithm: 'RSA_2048', withPlaintext: false }, caller) as never;
  expect(await resultOf(without)).not.toHaveProperty('plaintext');
});

test('a JWKS of public keys is well-formed', async () => {
  const keys = await Promise.all((['EC_P256', 'EC_P384', 'RSA_2048'] as const).map((a) => made(a)));
  const jwks = await Promise.all(keys.map(async ({ keyId }) => (await resultOf<{ jwk: object }>(one.getPublicKey({ keyId }, caller))).jwk));
  const set = createLocalJWKSet({ keys: jwks as never[] });
  const head = text(JSON.stringify({ alg: 'ES256', kid: `${keys[0]?.keyId}#1` }));
  const { signature } = await resultOf(one.sign({ keyId: keys[0]?.keyId as string, message: text(`${head}.${message}`) }, caller) as never);
  expect((await compactVerify(`${head}.${message}.${signature}`, set)).protectedHeader.alg).toBe('ES256');
});

test('OpenSSL verifies a DER form of what the token signed', async () => {
  const { keyId } = await made('RSA_2048');
  const { pem } = await resultOf(one.getPublicKey({ keyId }, caller));
  const { signature } = await resultOf(one.sign({ keyId, message, algorithm: 'RS256' }, caller) as never);
  expect(
    createVerify('sha256')
      .update('a contract')
      .verify(pem as string, bytes(signature as string)),
  ).toBe(true);
});

test('a dry run checks everything, is recorded as what it is, and does nothing', async () => {
  const [aes, ec, mac, rsa] = await Promise.all([made('AES_256'), made('EC_P256'), made('HMAC_SHA_256'), made('RSA_2048')]);
  const dryRun = true;
  const { ciphertext } = (await resultOf(one.encrypt({ keyId: aes.keyId, plaintext: message }, caller))) as { ciphertext: string };
  const signature = 'A'.repeat(86);
  const asked = {
    encrypt: one.encrypt({ keyId: aes.keyId, plaintext: message, dryRun }, caller),
    decrypt: one.decrypt({ keyId: aes.keyId, ciphertext, dryRun }, caller),
    reEncrypt: one.reEncrypt({ keyId: aes.keyId, ciphertext, dryRun }, caller),
    sign: one.sign({ keyId: ec.keyId, message, dryRun }, caller),
    rsa: one.sign({ keyId: rsa.keyId, message, dryRun }, caller),
    verify: one.verify({ keyId: ec.keyId, message, signature, dryRun }, caller),
    generateMac: one.generateMac({ keyId: mac.keyId, message, dryRun }, caller),
    verifyMac: one.verifyMac({ keyId: mac.keyId, message, mac: 'A'.repeat(43), dryRun }, caller),
    getPublicKey: one.getPublicKey({ keyId: ec.keyId, dryRun }, caller),
    generateDataKey: one.generateDataKey({ keyId: aes.keyId, withPlaintext: true, bytes: 32, dryRun }, caller),
    generateDataKeyPair: one.generateDataKeyPair({ keyId: aes.keyId, algorithm: 'EC_P256', withPlaintext: true, dryRun }, caller),
    generateRandom: one.generateRandom({ bytes: 8, dryRun }, caller),
  };
  for (const [name, answer] of Object.entries(asked)) expect([name, await codeOf(answer)]).toEqual([name, 'ERR_DRY_RUN']);
  expect(await codeOf(one.encrypt({ keyId: ec.keyId, plaintext: message, dryRun }, caller))).toBe('ERR_KEY_USAGE');
  const [, ...rest] = await records();
  expect(rest.map((r) => r.outcome)).toEqual([...Object.keys(asked).map(() => 'dry-run'), 'failed']);
});

test('a batch: each item has its own result or problem and its own record, in its order', async () => {
  const key = await made('AES_256');
  const suspended = await made('AES_256', { suspended: true });
  const items = [
    { keyId: key.keyId, plaintext: text('0'), context: { n: '0' } },
    { keyId: suspended.keyId, plaintext: text('1') },
    { keyId: `k_${'0'.repeat(22)}`, plaintext: text('2') },
    { keyId: key.keyId, plaintext: text('3'), context: { n: '3' } },
  ];
  const { results } = await resultOf<{ results: ItemOutcome<{ ciphertext: string }>[] }>(many.encrypt({ type, items }, caller));
  expect(results).toMatchObject([
    { result: { version: 1 } },
    { problem: { code: 'ERR_KEY_SUSPENDED', type: 'urn:claviger:problem:ERR_KEY_SUSPENDED' } },
    { problem: { code: 'ERR_KEY_UNKNOWN' } },
    { result: { version: 1 } },
  ]);
  const places = results.map((r) => `${r.receipt?.seq} ${r.receipt?.index}`);
  expect(new Set(places).size).toBe(4);
  const last = results[3] as { result: { ciphertext: string } };
  expect(await resultOf(one.decrypt({ keyId: key.keyId, ciphertext: last.result.ciphertext, context: { n: '3' } }, caller))).toMatchObject({
    plaintext: text('3'),
  });
  // The unknown key was waited for, so its record may be last.
  const said = (await records()).slice(0, 4).map((r) => [r.code, r.context]);
  expect(said).toEqual(
    expect.arrayContaining([
      [undefined, { n: '0' }],
      ['ERR_KEY_SUSPENDED', undefined],
      ['ERR_KEY_UNKNOWN', undefined],
      [undefined, { n: '3' }],
    ]),
  );
});

test('a key that changes while the token signs off the event loop gives no signature; the caller may ask again', async () => {
  const key = await made('RSA_3072');
  const signing = codeOf(one.sign({ keyId: key.keyId, message }, caller));
  await w.put({ ...key, revision: 2, suspended: true, versions: [{ ...key.versions[0], state: 'suspended' } as never] });
  const said = await signing;
  // Done before the change arrived, or not at all.
  const [record] = await records();
  expect([said, record?.outcome, record?.revisions]).toEqual(
    said === 'OK'
      ? ['OK', 'success', expect.objectContaining({ key: 1 })]
      : ['ERR_CONFLICT', 'failed', expect.objectContaining({ key: 2 })],
  );
  expect(await codeOf(one.sign({ keyId: key.keyId, message }, caller))).toBe('ERR_KEY_SUSPENDED');
});

test('a key that is only rewrapped while the token signs off the event loop gives its signatures: those that wait for a session as well', async () => {
  const key = await made('RSA_3072');
  const kekId = 'kek_production_internal_2';
  const type = 'claviger.request/1' as const;
  const kek = (await w.hsm.generateKek({ type })).result as KekMaterial;
  await w.owner.put({ kind: 'kek', id: kekId, kekId, revision: 1, environment: 'production', classification: 'internal', material: kek });
  await w.arrived(kekId, 1);
  const [first] = key.versions as [KeyView['versions'][number]];
  const { mechanism, wrapped, kekId: old } = first.material as WrappedKey;
  const { keys } = (
    await new RewrapController(w.tokens, w.keys, w.breaker).rewrapKeys({
      ...{ type, from: [{ kekId: old, material: w.kek }], to: { kekId, material: kek } },
      keys: [{ algorithm: key.algorithm, kekId: old, mechanism, wrapped }],
    })
  ).result as { keys: [WrappedKey] };
  const signing = Array.from({ length: 12 }, () => codeOf(one.sign({ keyId: key.keyId, message }, caller)));
  await w.put({ ...key, revision: 2, versions: [{ ...first, material: keys[0] }] });
  expect(new Set(await Promise.all(signing))).toEqual(new Set(['OK']));
  expect(await codeOf(one.sign({ keyId: key.keyId, message }, caller))).toBe('OK');
}, 30_000);

test('the table of the contract and that of the token say the same of every algorithm', () => {
  for (const algorithm of Algorithm.options) {
    expect([algorithm, schemesOf(algorithm)]).toEqual([algorithm, expect.arrayContaining([...tokenSchemes(algorithm)])]);
    expect(schemesOf(algorithm)).toHaveLength(tokenSchemes(algorithm).length);
    for (const usage of usagesOf(algorithm))
      expect([algorithm, tokenUsages(algorithm)]).toEqual([algorithm, expect.arrayContaining([usage])]);
  }
});
