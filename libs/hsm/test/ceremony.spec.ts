import { createPublicKey } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { createControlKeys, createCustomerKeys, createDetectionKeys, createLedgerKeys, initToken, Token } from '../src/index';
import { caught, freshToken, libraryPath } from './fresh-token';

const curveOf = (spki: Buffer) => {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType;
};

test('a token is initialised with its PIN, and never over one of the same label', () => {
  const fresh = freshToken();
  Token.open(fresh).close();
  const again = () => initToken(libraryPath, { label: fresh.tokenLabel, soPin: '87654321', pin: '12345678' });
  expect(caught(again)).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  Token.open(fresh).close();
});

test('a label or PIN that the token cannot take is refused before anything is changed', () => {
  expect(caught(() => initToken(libraryPath, { label: 'x'.repeat(33), soPin: '87654321', pin: '12345678' }))).toMatchObject({
    code: 'HSM_ARGUMENT_INVALID',
  });
  expect(caught(() => initToken(libraryPath, { label: 'short-pin', soPin: '87654321', pin: '1' }))).toMatchObject({
    code: 'HSM_PIN_INCORRECT',
  });
  expect(caught(() => Token.open({ libraryPath, tokenLabel: 'short-pin', pin: '1' }))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
});

test.each([
  ['customer', createCustomerKeys, { certifier: 'prime256v1' }],
  ['control', createControlKeys, { signing: 'prime256v1', certifier: 'prime256v1' }],
  ['ledger', createLedgerKeys, { checkpoint: 'ed25519', certifier: 'prime256v1' }],
  ['detection', createDetectionKeys, { certifier: 'prime256v1' }],
] as const)('the %s ceremony gives public keys, and refuses to run again', (_, create, curves) => {
  const token = Token.open(freshToken());
  const keys = create(token);
  expect(Object.fromEntries(Object.entries(keys).map(([name, spki]) => [name, curveOf(spki)]))).toEqual(curves);
  expect(caught(() => create(token))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  token.close();
});

test('a service opens the customer token with the certifier as canary and finds its root', () => {
  const fresh = freshToken();
  const ceremony = Token.open(fresh);
  const { certifier } = createCustomerKeys(ceremony);
  ceremony.close();
  const service = Token.open({ ...fresh, canary: 'certifier' });
  expect(service.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  expect(service.publicKeySpki('certifier')).toEqual(certifier);
  service.close();
});

test('a ceremony makes nothing when one of its labels is taken', () => {
  const token = Token.open(freshToken());
  token.createCanary();
  token.generateTokenKeyPair('certifier', 'EC_P256');
  expect(caught(() => createCustomerKeys(token))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  expect(caught(() => token.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
  token.close();
});
