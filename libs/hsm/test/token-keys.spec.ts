import { createHash, createPublicKey, diffieHellman, generateKeyPairSync, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HsmError, Token } from '../src/index';
import { template } from '../src/templates';
import { caught, freshToken, openFresh } from './fresh-token';

let token: Token;
beforeAll(() => {
  token = openFresh();
});
afterAll(() => token.close());

test('several tokens open side by side in one process', () => {
  const fresh = [freshToken(), freshToken(), freshToken()];
  const tokens = fresh.map((one) => Token.open(one));
  expect(tokens.map(({ label, family }) => `${label} ${family}`)).toEqual(fresh.map(({ tokenLabel }) => `${tokenLabel} softhsm`));
  for (const opened of tokens) opened.close();
  expect(token.random(8)).toHaveLength(8);
});

test('a token that is not there, a library that is not there and a wrong PIN are three errors', () => {
  const fresh = freshToken();
  expect(caught(() => Token.open({ ...fresh, tokenLabel: 'nowhere' }))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
  expect(caught(() => Token.open({ ...fresh, libraryPath: '/nowhere/lib.so' }))).toMatchObject({ code: 'HSM_CONFIGURATION' });
  expect(caught(() => Token.open({ ...fresh, pin: 'wrong-pin' }))).toMatchObject({ code: 'HSM_PIN_INCORRECT', retryable: false });
});

test('a wrong PIN reaches the token once, and the right one is taken after it', () => {
  const fresh = freshToken();
  const wrong = { ...fresh, pin: 'wrong-pin' };
  expect(caught(() => Token.open(wrong))).toMatchObject({ code: 'HSM_PIN_INCORRECT', ckr: 0xa0 });
  Token.open(fresh).close();
  // The token itself would answer CKR 0xa0: without it, it was not asked.
  expect(caught(() => Token.open(wrong))).toMatchObject({ code: 'HSM_PIN_INCORRECT', ckr: undefined });
});

test('a PIN is in no error and in no inspection of a token', async () => {
  const fresh = freshToken();
  const error = caught(() => Token.open({ ...fresh, pin: 'secret-wrong-pin' })) as Error;
  const { inspect } = await import('node:util');
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('secret-wrong-pin');
  const opened = Token.open(fresh);
  expect(inspect(opened, { depth: 9, showHidden: true })).not.toContain(fresh.pin);
  opened.close();
});

test('a canary that was named must be seen at the start', () => {
  const fresh = freshToken();
  expect(caught(() => Token.open({ ...fresh, canary: 'certifier' }))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
});

test('without a canary nothing is called absent, and nothing is created', () => {
  const bare = Token.open(freshToken());
  expect(caught(() => bare.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  expect(caught(() => bare.generateRootKey('root'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  bare.close();
});

test('with its canary seen, a token may say that a key is not there', () => {
  expect(caught(() => token.findTokenKey('nothing', 'private'))).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
});

test('creating the canary twice makes one', () => {
  token.createCanary();
  token.createCanary();
  const found = Token.connectionOf(token).call('find', (p11, { objects }) => {
    p11.C_FindObjectsInit(objects, template({ CKA_LABEL: 'claviger-canary' }));
    const objectsFound = p11.C_FindObjects(objects, 5);
    p11.C_FindObjectsFinal(objects);
    return objectsFound;
  });
  expect(found).toHaveLength(1);
});

test('a root can wrap and nothing else, and its value never leaves', () => {
  token.generateRootKey('root');
  const root = token.findTokenKey('root', 'secret');
  expect(root.algorithm).toBe('AES_256');
  expect(caught(() => token.encryptGcm(root, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('x')))).toMatchObject({
    code: 'HSM_KEY_USE_REFUSED',
    ckr: 0x68,
  });
  const read = (name: 'CKA_VALUE' | 'CKA_EXTRACTABLE' | 'CKA_SENSITIVE') =>
    Token.connectionOf(token).call('read', (p11, { objects }) =>
      p11.C_GetAttributeValue(objects, root.object, template({ [name]: undefined })),
    )[0]!.value[0];
  expect(caught(() => read('CKA_VALUE'))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED', ckr: 0x11 });
  expect([read('CKA_EXTRACTABLE'), read('CKA_SENSITIVE')]).toEqual([0, 1]);
});

test('neither a changed attribute nor a changed copy widens a root', () => {
  const connection = Token.connectionOf(token);
  const root = token.findTokenKey('root', 'secret');
  const wider = template({ CKA_DECRYPT: true });
  expect(caught(() => connection.call('read', (p11, { objects }) => p11.C_SetAttributeValue(objects, root.object, wider)))).toMatchObject({
    ckr: 0x1b,
  });
  expect(caught(() => connection.call('read', (p11, { objects }) => p11.C_CopyObject(objects, root.object, wider)))).toMatchObject({
    ckr: 0x1b,
  });
});

test('a clonable root is extractable, and still sensitive', () => {
  token.generateRootKey('clonable-root', { clonable: true });
  const { object } = token.findTokenKey('clonable-root', 'secret');
  const wanted = template({ CKA_EXTRACTABLE: undefined, CKA_SENSITIVE: undefined });
  const values = Token.connectionOf(token).call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted));
  expect(values.map(({ value }) => value[0])).toEqual([1, 1]);
});

test('a label that is taken is refused, whatever it labels', () => {
  token.generateTokenKeyPair('taken', 'EC_P256');
  expect(caught(() => token.generateRootKey('taken'))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  expect(caught(() => token.generateTokenKeyPair('taken', 'ED25519'))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  expect(caught(() => token.assertAbsent('taken'))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
});

test.each(['EC_P256', 'ED25519'] as const)('a %s token key signs what node:crypto verifies, also over an empty message', (algorithm) => {
  const spki = token.generateTokenKeyPair(`signer-${algorithm}`, algorithm);
  expect(token.publicKeySpki(`signer-${algorithm}`)).toEqual(spki);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const signer = token.findTokenKey(`signer-${algorithm}`, 'private');
  expect(signer.algorithm).toBe(algorithm);
  for (const message of [Buffer.from('a checkpoint'), Buffer.alloc(0)]) {
    if (algorithm === 'ED25519') expect(verify(null, message, key, token.signEd25519(signer, message))).toBe(true);
    else expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, token.signDigestP256(signer, sha256(message)))).toBe(true);
  }
});

test('a key signs with its own algorithm only', () => {
  const p256 = token.findTokenKey('signer-EC_P256', 'private');
  expect(caught(() => token.signEd25519(p256, Buffer.from('x')))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
  expect(caught(() => token.signDigestP256(p256, Buffer.alloc(31)))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('a token key is looked up once', () => {
  expect(token.findTokenKey('signer-EC_P256', 'private')).toBe(token.findTokenKey('signer-EC_P256', 'private'));
});

test('a closed token says so', () => {
  const closed = openFresh();
  closed.close();
  expect(caught(() => closed.random(1))).toBeInstanceOf(HsmError);
  expect(caught(() => closed.random(1))).toMatchObject({ code: 'HSM_CONFIGURATION' });
});

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

test.each(['EC_P256', 'EC_P384'] as const)('a %s token pair that is to agree does that and signs nothing', async (algorithm) => {
  const spki = await token.generateTokenKeyPairAsync(`agrees-${algorithm}`, algorithm, 'agree');
  const key = token.findTokenKey(`agrees-${algorithm}`, 'private');
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const other = generateKeyPairSync('ec', { namedCurve: publicKey.asymmetricKeyDetails?.namedCurve as string });
  const inside = token.deriveSharedSecret(key, other.publicKey.export({ format: 'der', type: 'spki' }));
  expect(inside).toEqual(diffieHellman({ privateKey: other.privateKey, publicKey }));
  const [scheme, digest] = algorithm === 'EC_P256' ? (['ES256', Buffer.alloc(32)] as const) : (['ES384', Buffer.alloc(48)] as const);
  expect(caught(() => token.signDigest(key, scheme, digest))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
});

test('many token pairs at once are all made', async () => {
  const labels = Array.from({ length: 40 }, (_, n) => `at-once-${n}`);
  const spkis = await Promise.all(labels.map((label) => token.generateTokenKeyPairAsync(label, 'ED25519')));
  expect(new Set(spkis.map((spki) => spki.toString('hex'))).size).toBe(40);
  for (const [n, label] of labels.entries()) expect(token.publicKeySpki(label)).toEqual(spkis[n]);
});
