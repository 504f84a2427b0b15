import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type PairAlgorithm, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

const pairAlgorithms: PairAlgorithm[] = ['RSA_2048', 'EC_P256', 'EC_P384', 'EC_P521', 'EC_SECP256K1', 'ED25519'];
let token: Token;
beforeAll(() => {
  token = openFresh();
  token.generateRootKey('root');
});
afterAll(() => token.close());

const root = () => token.findTokenKey('root', 'secret');
const objects = () =>
  Token.connectionOf(token).call('find', (p11, { objects: session }) => {
    p11.C_FindObjectsInit(session, []);
    const found = p11.C_FindObjects(session, 1000).length;
    p11.C_FindObjectsFinal(session);
    return found;
  });

/** A token whose signatures are wrong in one bit, as after a fault in a private key. */
async function withFaultySignatures(act: () => Promise<void>): Promise<void> {
  const { p11 } = Token.connectionOf(token);
  const [sign, signAsync] = [p11.C_Sign, p11.C_SignAsync];
  const spoilt = (signature: Buffer) => {
    signature[signature.length - 1]! ^= 1;
    return signature;
  };
  p11.C_Sign = ((...args: Parameters<typeof signAsync>) => spoilt((sign as (...a: typeof args) => Buffer).apply(p11, args))) as typeof sign;
  p11.C_SignAsync = (...args) => signAsync.apply(p11, args).then(spoilt);
  try {
    await act();
  } finally {
    p11.C_Sign = sign;
    p11.C_SignAsync = signAsync;
  }
}

test.each(pairAlgorithms)('a pair of %s whose halves do not match leaves neither the token nor an object in it', async (algorithm) => {
  const expected = { code: 'HSM_SELF_TEST_FAILED', message: expect.stringMatching(`${token.label}.*${algorithm}`) };
  const before = objects();
  await withFaultySignatures(async () => {
    expect(caught(() => token.generateSessionKeyPair(algorithm))).toMatchObject(expected);
    await expect(token.generateSessionKeyPairAsync(algorithm)).rejects.toMatchObject(expected);
    expect(caught(() => token.generateTokenKeyPair(`a-${algorithm}`, algorithm))).toMatchObject(expected);
    await expect(token.generateTokenKeyPairAsync(`b-${algorithm}`, algorithm)).rejects.toMatchObject(expected);
    if (algorithm === 'ED25519') return;
    expect(caught(() => token.generateWrapped({ algorithm, wrappingKey: root() }))).toMatchObject(expected);
    await expect(token.generateWrappedAsync({ algorithm, wrappingKey: root })).rejects.toMatchObject(expected);
  });
  expect(objects()).toBe(before);
  expect(caught(() => token.findTokenKey(`a-${algorithm}`, 'private'))).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
});

test('what a token lacks is said with its name and the algorithm, and asked of it once', async () => {
  const connection = Token.connectionOf(token);
  let asked = 0;
  const fresh = openFresh();
  const { p11 } = Token.connectionOf(fresh);
  const list = p11.C_GetMechanismList;
  p11.C_GetMechanismList = (slot) => {
    asked++;
    return list.call(p11, slot).filter((mechanism) => ![0, 0x1040, 0x271].includes(mechanism));
  };
  fresh.generateRootKey('root');
  const wrappingKey = fresh.findTokenKey('root', 'secret');
  for (const algorithm of ['RSA_3072', 'EC_P521', 'HMAC_SHA_512'] as const) {
    const expected = {
      code: 'HSM_MECHANISM_UNAVAILABLE',
      message: expect.stringMatching(`Token ${fresh.label} lacks mechanism 0x.*${algorithm}`),
    };
    expect(caught(() => fresh.generateWrapped({ algorithm, wrappingKey }))).toMatchObject(expected);
    await expect(fresh.generateWrappedAsync({ algorithm, wrappingKey: () => wrappingKey })).rejects.toMatchObject(expected);
  }
  expect(fresh.generateWrapped({ algorithm: 'HMAC_SHA_256', wrappingKey }).wrapped).toHaveLength(40);
  expect(asked).toBe(1);
  p11.C_GetMechanismList = list;
  fresh.close();
  expect(connection.hasMechanism(0x1040)).toBe(true);
});
