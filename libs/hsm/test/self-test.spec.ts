import { expect, test } from '@jest/globals';
import { selfTest, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

test('a sound token passes', () => {
  const token = openFresh();
  expect(selfTest(token)).toEqual({ gcmKnownAnswer: 'passed', p256Pairwise: 'passed', random: 'passed' });
  token.close();
});

/** A real token one of whose results is spoilt on the way, as a broken one would. */
function withFault(method: 'C_Encrypt' | 'C_Sign' | 'C_GenerateRandom', spoil: (result: Buffer) => void) {
  const token = openFresh();
  const { p11 } = Token.connectionOf(token);
  const sound = p11[method].bind(p11) as (...args: unknown[]) => Buffer;
  Object.assign(p11, {
    [method]: (...args: unknown[]) => {
      const result = sound(...args);
      spoil(result);
      return result;
    },
  });
  const error = caught(() => selfTest(token));
  Object.assign(p11, { [method]: sound });
  token.close();
  return error;
}

test.each([
  ['a wrong ciphertext', 'C_Encrypt', (result: Buffer) => result.writeUInt8(result.readUInt8(0) ^ 1, 0)],
  ['a wrong signature', 'C_Sign', (result: Buffer) => result.writeUInt8(result.readUInt8(40) ^ 1, 40)],
  ['a stuck random generator', 'C_GenerateRandom', (result: Buffer) => result.fill(7)],
] as const)('%s is found', (_, method, spoil) => {
  expect(withFault(method, spoil)).toMatchObject({ code: 'HSM_SELF_TEST_FAILED' });
});
