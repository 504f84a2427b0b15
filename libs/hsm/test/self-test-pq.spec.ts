import { createPrivateKey, createPublicKey, decapsulate, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { selfTest, Token } from '../src/index';
import { mlDsaKnownAnswer, mlKemKnownAnswer, slhDsaKnownAnswer } from '../src/known-answers-pq';
import { pqPkcs8Of } from '../src/pq-private';
import { pqSpkiOf } from '../src/spki';
import { caught, kryopticLibrary, openFreshOf } from './fresh-token';

const onKryoptic = kryopticLibrary ? test : test.skip;
const bytes = (text: string) => Buffer.from(text, 'base64url');
const publicKey = ({ algorithm, publicKey: value }: typeof mlDsaKnownAnswer | typeof slhDsaKnownAnswer) =>
  createPublicKey({ key: pqSpkiOf(algorithm, bytes(value)), format: 'der', type: 'spki' });
const privateKey = ({ algorithm, seed }: typeof mlDsaKnownAnswer | typeof mlKemKnownAnswer) =>
  createPrivateKey({ key: pqPkcs8Of(algorithm, { seed: bytes(seed) }), format: 'der', type: 'pkcs8' });

test('the known answers are right by node:crypto too', () => {
  for (const answer of [mlDsaKnownAnswer, slhDsaKnownAnswer])
    expect(verify(null, bytes(answer.message), publicKey(answer), bytes(answer.signature))).toBe(true);
  expect(createPublicKey(privateKey(mlDsaKnownAnswer)).equals(publicKey(mlDsaKnownAnswer))).toBe(true);
  expect(Buffer.from(decapsulate(privateKey(mlKemKnownAnswer), bytes(mlKemKnownAnswer.ciphertext)))).toEqual(
    bytes(mlKemKnownAnswer.sharedSecret),
  );
});

onKryoptic('a token that has them passes them, each by its name', () => {
  const token = openFreshOf('kryoptic');
  expect(selfTest(token)).toMatchObject({
    'ML-DSA-44-sign': 'passed',
    'ML-DSA-44-verify': 'passed',
    'SLH-DSA-SHA2-128s-verify': 'passed',
    'ML-KEM-768-decapsulate': 'passed',
    'ML-KEM-768-pairwise': 'passed',
  });
  token.close();
});

const mlDsaSignatureBytes = 2420;
const slhDsaSignatureBytes = 7856;
const flipped = (result: unknown) => {
  const changed = Buffer.from(result as Buffer);
  changed.writeUInt8(changed.readUInt8(0) ^ 1, 0);
  return changed;
};

onKryoptic.each([
  ['a wrong signature', 'C_Sign', (result: Buffer) => (result.length === mlDsaSignatureBytes ? flipped(result) : result), 'ML-DSA-44-sign'],
  [
    'a verifier that takes every ML-DSA signature',
    'C_Verify',
    (result: unknown, signature: Buffer) => signature.length === mlDsaSignatureBytes || result,
    'ML-DSA-44-verify',
  ],
  [
    'a verifier that refuses SLH-DSA',
    'C_Verify',
    (result: unknown, signature: Buffer) => signature.length !== slhDsaSignatureBytes && result,
    'SLH-DSA-SHA2-128s-verify',
  ],
  [
    'a wrong shared secret',
    'C_GetAttributeValue',
    (result: { value: Buffer }[]) =>
      result.map((one) => (one.value.equals(bytes(mlKemKnownAnswer.sharedSecret)) ? { ...one, value: flipped(one.value) } : one)),
    'ML-KEM-768-decapsulate',
  ],
] as const)('%s is found, by the name of its test', (_, method, spoil, name) => {
  const token = openFreshOf('kryoptic');
  const { p11 } = Token.connectionOf(token);
  const sound: (...args: unknown[]) => unknown = p11[method].bind(p11) as never;
  Object.assign(p11, {
    [method]: (...args: unknown[]) => {
      // kryoptic throws for a signature that is not valid.
      let result: unknown = false;
      try {
        result = sound(...args);
      } catch (error) {
        if (method !== 'C_Verify') throw error;
      }
      return (spoil as (result: unknown, last: unknown) => unknown)(result, args.at(-1));
    },
  });
  const error = caught(() => selfTest(token));
  Object.assign(p11, { [method]: sound });
  token.close();
  expect(error).toMatchObject({ code: 'HSM_SELF_TEST_FAILED', message: expect.stringContaining(name) });
});
