import { createHmac } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { importTrustedKeys, RecordSignatureError, signRecord, verifyRecord } from '../src/index';
import { testSigner } from './test-keys';

const signer = testSigner();
const typ = 'claviger-key+jws';
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
/** A JWS with any header, signed by the right key. */
const signedWith = (header: unknown, payload: unknown = { id: 'k', revision: 1 }) => {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signer.sign(Buffer.from(input)).toString('base64url')}`;
};
const good = { alg: 'ES256', kid: signer.kid, typ };

test('what was signed is read back', () => {
  expect(verifyRecord(typ, signRecord(typ, { id: 'k', revision: 1 }, signer), signer.trusted)).toEqual({ id: 'k', revision: 1 });
});

test('that a signature was found valid says nothing of other bytes, other keys or another use', () => {
  const record = signRecord(typ, { id: 'k', revision: 1 }, signer);
  for (let n = 0; n < 2; n++) expect(verifyRecord(typ, record, signer.trusted)).toEqual({ id: 'k', revision: 1 });
  expect(() => verifyRecord(typ, record, testSigner(signer.kid).trusted)).toThrow(/bad signature/);
  expect(() => verifyRecord('claviger-session+jws', record, signer.trusted)).toThrow(/unexpected alg, typ or crit/);
  const [head, , signature] = record.split('.');
  expect(() => verifyRecord(typ, `${head}.${encode({ id: 'k', revision: 2 })}.${signature}`, signer.trusted)).toThrow(/bad signature/);
  expect(() => verifyRecord(typ, record.slice(0, -2), signer.trusted)).toThrow(/bad signature/);
});

test('keys are imported as trust.json holds them', () => {
  const [[kid, key]] = [...signer.trusted] as [[string, import('node:crypto').KeyObject]];
  const trusted = importTrustedKeys({ [kid]: key.export({ format: 'der', type: 'spki' }).toString('base64url') });
  expect(verifyRecord(typ, signRecord(typ, { id: 'k' }, signer), trusted)).toEqual({ id: 'k' });
});

test.each([
  ['alg none', { ...good, alg: 'none' }],
  ['another alg', { ...good, alg: 'ES384' }],
  ['HMAC', { ...good, alg: 'HS256' }],
  ['another use', { ...good, typ: 'claviger-session+jws' }],
  ['no use', { alg: 'ES256', kid: signer.kid }],
  ['an unknown key', { ...good, kid: 'control-2' }],
  ['a kid of the object prototype', { ...good, kid: 'constructor' }],
  ['a kid that is no text', { ...good, kid: 7 }],
  ['a critical extension', { ...good, crit: ['exp'] }],
  ['an empty list of them', { ...good, crit: [] }],
  ['no header at all', null],
  ['a list', []],
])('%s is refused although the signature is right', (_what, header) => {
  expect(() => verifyRecord(typ, signedWith(header), signer.trusted)).toThrow(RecordSignatureError);
});

test('the public key as an HMAC secret opens nothing', () => {
  const [key] = [...signer.trusted.values()] as [import('node:crypto').KeyObject];
  const input = `${encode({ ...good, alg: 'HS256' })}.${encode({ id: 'k' })}`;
  const mac = createHmac('sha256', key.export({ format: 'pem', type: 'spki' }))
    .update(input)
    .digest('base64url');
  expect(() => verifyRecord(typ, `${input}.${mac}`, signer.trusted)).toThrow(RecordSignatureError);
});

test.each([
  ['a changed payload', (jws: string) => jws.replace(/\.[^.]+\./, `.${encode({ id: 'k', revision: 2 })}.`)],
  ['no signature', (jws: string) => `${jws.split('.').slice(0, 2).join('.')}.`],
  ['a part more', (jws: string) => `${jws}.x`],
  ['two parts', (jws: string) => jws.split('.').slice(0, 2).join('.')],
  ['an empty text', () => ''],
  ['a DER signature', (jws: string) => `${jws.split('.').slice(0, 2).join('.')}.${Buffer.from('3044', 'hex').toString('base64url')}`],
])('%s is refused', (_what, change) => {
  expect(() => verifyRecord(typ, change(signRecord(typ, { id: 'k', revision: 1 }, signer)), signer.trusted)).toThrow(RecordSignatureError);
});

test('the key of another signer under the same name is refused', () => {
  expect(() => verifyRecord(typ, signRecord(typ, { id: 'k' }, testSigner(signer.kid)), signer.trusted)).toThrow(RecordSignatureError);
});
