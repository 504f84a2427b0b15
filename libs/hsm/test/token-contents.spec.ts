import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Token, tokenContents, typeNameOf } from '../src/index';
import { template } from '../src/templates';
import { openFresh } from './fresh-token';

let token: Token;
beforeAll(() => {
  token = openFresh();
});
afterAll(() => token.close());

const made = (attributes: Parameters<typeof template>[0]) => {
  const connection = Token.connectionOf(token);
  connection.call('import', (p11, { objects }) =>
    p11.C_CreateObject(objects, template({ CKA_TOKEN: true, CKA_PRIVATE: true, ...attributes })),
  );
};

test('an empty token shows no keys, and one with keys shows all of them with what can be done to them', () => {
  expect(tokenContents(token)).toEqual([]);
  token.createCanary();
  token.generateRootKey('root');
  const spki = token.generateTokenKeyPair('signing', 'EC_P256');
  token.generateTokenKeyPair('stamping', 'RSA_2048');
  const found = tokenContents(token);
  expect(found.map((one) => `${one.class} ${one.label} ${typeNameOf(one)}`).sort()).toEqual([
    'private signing EC_P256',
    'private stamping RSA_2048',
    'public signing EC_P256',
    'public stamping RSA_2048',
    'secret root AES_256',
  ]);
  const private_ = found.find((one) => one.class === 'private' && one.label === 'signing');
  expect(private_).toMatchObject({
    publicKeySpki: spki,
    attributes: { CKA_EXTRACTABLE: false, CKA_SENSITIVE: true, CKA_LOCAL: true, CKA_SIGN: true },
  });
  expect(found.find(({ label }) => label === 'root')?.attributes).toMatchObject({
    CKA_WRAP: true,
    CKA_DECRYPT: false,
    CKA_EXTRACTABLE: false,
  });
});

test('keys that were put there by others are shown as they are, also those of algorithms that are not in use here', () => {
  made({
    CKA_CLASS: 4,
    CKA_KEY_TYPE: 0x15,
    CKA_VALUE: Buffer.alloc(24, 7),
    CKA_LABEL: 'old',
    CKA_SENSITIVE: false,
    CKA_EXTRACTABLE: true,
    CKA_WRAP: true,
    CKA_DECRYPT: true,
  });
  made({ CKA_CLASS: 4, CKA_KEY_TYPE: 0x10, CKA_VALUE: Buffer.alloc(20, 7), CKA_ID: Buffer.from('0a0b', 'hex') });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const { n, e, d, p, q, dp, dq, qi } = privateKey.export({ format: 'jwk' });
  const [modulus, exponent, ...secret] = [n, e, d, p, q, dp, dq, qi].map((part) => Buffer.from(part as string, 'base64url'));
  const [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT] = secret;
  made({
    ...{ CKA_CLASS: 3, CKA_KEY_TYPE: 0, CKA_LABEL: 'short', CKA_MODULUS: modulus, CKA_PUBLIC_EXPONENT: exponent },
    ...{ CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT },
  });
  const byLabel = new Map(tokenContents(token).map((one) => [one.label, one]));
  const [old, unnamed, short] = [byLabel.get('old'), byLabel.get('0a0b'), byLabel.get('short')];
  expect(old?.attributes).toMatchObject({ CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_LOCAL: false });
  expect([old, unnamed, short].map((one) => one && typeNameOf(one))).toEqual([expect.stringMatching(/^DES3/), 'HMAC_160', 'RSA_1024']);
  expect(short).not.toHaveProperty('publicKeySpki');
  expect(JSON.stringify([...byLabel.values()])).not.toContain(Buffer.alloc(20, 7).toString('base64'));
});
