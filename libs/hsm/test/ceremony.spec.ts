import { createPublicKey } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { createControlKeys, createCustomerKeys, createDetectionKeys, createLedgerKeys, Token } from '../src/index';
import { caught, freshToken } from './fresh-token';

const curveOf = (spki: Buffer) => {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType;
};

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
