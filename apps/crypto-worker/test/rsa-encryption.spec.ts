import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import type { Algorithm } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { CryptoController } from '../src/crypto.controller';
import { codeOf, resultOf, text } from './answers';
import { onKryoptic, startWorker, type Worker } from './worker-under-test';

let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
let one: CryptoController;
beforeAll(async () => {
  w = await startWorker();
  one = w.one;
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
});

onKryoptic.each([
  ['RSA_2048', 190],
  ['RSA_4096', 446],
] as const)('%s: what anybody encrypts to the public half opens here, up to %s bytes', async (algorithm, most) => {
  const { keyId } = await w.put(await w.key(algorithm, { usage: 'encrypt' }));
  const { pem, jwk } = await resultOf(one.getPublicKey({ keyId }, caller));
  expect(jwk).toMatchObject({ kty: 'RSA', use: 'enc', alg: 'RSA-OAEP-256' });
  const plaintext = randomBytes(most);
  const outside = publicEncrypt(
    { key: createPublicKey(pem as string), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    plaintext,
  );
  const opened = { keyId, version: 1, plaintext: text(plaintext) };
  expect(await resultOf(one.decrypt({ keyId, ciphertext: text(outside) }, caller) as never)).toEqual(opened);
  const { ciphertext = '' } = await resultOf(one.encrypt({ keyId, plaintext: text(plaintext) }, caller));
  expect(await resultOf(one.decrypt({ keyId, ciphertext }, caller) as never)).toEqual(opened);
  expect(await codeOf(one.encrypt({ keyId, plaintext: text(randomBytes(most + 1)) }, caller))).toBe('ERR_MALFORMED_REQUEST');
  expect(await codeOf(one.decrypt({ keyId, ciphertext }, caller))).toBe('OK');
  const records = await w.recordsOf(caller.session);
  expect(records.filter(({ action, outcome }) => action === 'crypto:Decrypt' && outcome === 'success')).toHaveLength(3);
  expect(JSON.stringify(records)).not.toContain(text(plaintext));
});

onKryoptic('a rotated key opens what was encrypted to its older versions; what is not intact is the one generic failure', async () => {
  const key = await w.put(await w.key('RSA_2048', { usage: 'encrypt' }));
  const { keyId } = key;
  const { ciphertext = '' } = await resultOf(one.encrypt({ keyId, plaintext: 'AAEC' }, caller));
  const [first] = key.versions;
  const versions = [{ ...first, state: 'deactivated' } as never, await w.version(2, 'RSA_2048', 'active', 'encrypt')];
  await w.put({ ...key, revision: 2, primaryVersion: 2, versions });
  expect(await resultOf(one.decrypt({ keyId, ciphertext }, caller) as never)).toEqual({ keyId, version: 1, plaintext: 'AAEC' });
  expect(await resultOf(one.encrypt({ keyId, plaintext: 'AAEC' }, caller))).toMatchObject({ version: 2 });

  const broken = Buffer.from(ciphertext, 'base64url');
  (broken[0] as number) ^= 1;
  for (const wrong of [text(broken), 'AAAA', `${'A'.repeat(43)}..${'A'.repeat(16)}.AAAA.${'A'.repeat(22)}`])
    expect(await codeOf(one.decrypt({ keyId, ciphertext: wrong }, caller))).toBe('ERR_DECRYPTION_FAILED');
});

onKryoptic('it does nothing else: no context, no data key, no signature; a dry run does nothing', async () => {
  const { keyId } = await w.put(await w.key('RSA_2048', { usage: 'encrypt' }));
  const context = { tenant: 'acme' };
  expect(await codeOf(one.encrypt({ keyId, plaintext: 'AAEC', context }, caller))).toBe('ERR_MALFORMED_REQUEST');
  expect(await codeOf(one.decrypt({ keyId, ciphertext: 'AAEC', context }, caller))).toBe('ERR_MALFORMED_REQUEST');
  const dataKey = { keyId, bytes: 32, withPlaintext: true };
  expect(await codeOf(one.generateDataKey(dataKey, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.generateDataKeyPair({ keyId, algorithm: 'EC_P256', withPlaintext: false }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.sign({ keyId, message: 'AAEC' }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.encrypt({ keyId, plaintext: 'AAEC', dryRun: true }, caller))).toBe('ERR_DRY_RUN');
  expect(await codeOf(one.decrypt({ keyId, ciphertext: 'AAEC', dryRun: true }, caller))).toBe('ERR_DRY_RUN');
});

onKryoptic(
  're-encryption goes from RSA to AES and back, and from one RSA key to another; what does not fit, or has a context, is refused',
  async () => {
    const [aes, rsa, other] = await Promise.all([
      w.key('AES_256'),
      w.key('RSA_2048', { usage: 'encrypt' }),
      w.key('RSA_3072', { usage: 'encrypt' }),
    ]);
    for (const key of [aes, rsa, other]) await w.put(key);
    const context = { tenant: 'acme' };
    const openedBy = async (keyId: string, ciphertext: string | undefined, opened = {}) =>
      (await resultOf(one.decrypt({ keyId, ciphertext: ciphertext as string, ...opened }, caller) as never)).plaintext;
    const { ciphertext = '' } = await resultOf(one.encrypt({ keyId: rsa.keyId, plaintext: 'AAEC' }, caller));
    const inAes = await resultOf(one.reEncrypt({ keyId: rsa.keyId, ciphertext, toKeyId: aes.keyId, toContext: context }, caller));
    expect(inAes).toMatchObject({ keyId: aes.keyId, fromKeyId: rsa.keyId, fromVersion: 1, version: 1 });
    expect(await openedBy(aes.keyId, inAes.ciphertext, { context })).toBe('AAEC');
    const again = { keyId: aes.keyId, ciphertext: inAes.ciphertext as string, context };
    const inRsa = await resultOf(one.reEncrypt({ ...again, toKeyId: other.keyId, toContext: {} }, caller));
    expect(await openedBy(other.keyId, inRsa.ciphertext)).toBe('AAEC');
    const moved = await resultOf(one.reEncrypt({ keyId: other.keyId, ciphertext: inRsa.ciphertext as string, toKeyId: rsa.keyId }, caller));
    expect(await openedBy(rsa.keyId, moved.ciphertext)).toBe('AAEC');

    expect(await codeOf(one.reEncrypt({ ...again, toKeyId: rsa.keyId }, caller))).toBe('ERR_MALFORMED_REQUEST');
    const long = await resultOf(one.encrypt({ keyId: aes.keyId, plaintext: text(randomBytes(300)) }, caller));
    const tooLong = { keyId: aes.keyId, ciphertext: long.ciphertext as string, toKeyId: rsa.keyId };
    expect(await codeOf(one.reEncrypt(tooLong, caller))).toBe('ERR_MALFORMED_REQUEST');
    expect(await codeOf(one.reEncrypt({ keyId: rsa.keyId, ciphertext: 'AAAA', toKeyId: aes.keyId }, caller))).toBe('ERR_DECRYPTION_FAILED');
    expect(await codeOf(one.reEncrypt({ ...again, toKeyId: other.keyId, toContext: {}, dryRun: true }, caller))).toBe('ERR_DRY_RUN');
    expect(JSON.stringify(await w.recordsOf(caller.session))).not.toContain('AAEC');
  },
);

test.each(['RSA_2048', 'RSA_3072', 'RSA_4096'] as const)(
  '%s to encrypt is not made where no token does OAEP with SHA-256',
  async (algorithm: Algorithm) => {
    const alone = w.withTokens([w.tokens.primary]);
    const request = { type: 'claviger.request/1', algorithm, usage: 'encrypt', kekId: w.kekId, kek: w.kek } as const;
    await expect(alone.generateKey(request)).rejects.toMatchObject({
      code: 'ERR_ALGORITHM_UNAVAILABLE',
      message: expect.stringMatching(`encrypt with ${algorithm}.*${w.tokens.primary.label}`),
    });
  },
);
