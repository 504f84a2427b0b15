import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { probe, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

let token: Token;
// Attempts to reach a token that is away are spaced by this clock.
let nowMs = 0;
beforeAll(() => {
  token = openFresh({ now: () => nowMs });
});
afterAll(() => token.close());

/** Lets one function of the library fail with a code until it is mended. */
function failing(
  name: 'C_Encrypt' | 'C_Decrypt' | 'C_Sign' | 'C_GenerateRandom' | 'C_GenerateKey' | 'C_FindObjects',
  code: number,
): () => void {
  const { p11 } = Token.connectionOf(token);
  const real = p11[name];
  p11[name] = (() => {
    throw Object.assign(new Error('CKR'), { code });
  }) as never;
  return () => {
    p11[name] = real as never;
  };
}

test('a token that is well passes, and keeps nothing of it', () => {
  const { generation } = token;
  const { p11 } = Token.connectionOf(token);
  const objects = () => {
    const session = Token.connectionOf(token).ready().objects;
    p11.C_FindObjectsInit(session, []);
    const found = p11.C_FindObjects(session, 1_000).length;
    p11.C_FindObjectsFinal(session);
    return found;
  };
  probe(token);
  const before = objects();
  for (let n = 0; n < 3; n++) probe(token);
  expect({ objects: objects(), generation: token.generation }).toEqual({ objects: before, generation });
});

test.each(['C_Encrypt', 'C_Decrypt', 'C_Sign', 'C_GenerateRandom', 'C_GenerateKey', 'C_FindObjects'] as const)(
  'a token of which %s fails does not, and does again once it works',
  (name) => {
    for (const code of [0x02, 0x05, 0x06, 0x30, 0x32, 0xb3]) {
      const mend = failing(name, code);
      expect(caught(() => probe(token))).toMatchObject({ name: 'HsmError' });
      mend();
      nowMs += 60_000;
      // The first one afterwards may find that sessions were lost.
      expect(passes() || passes()).toBe(true);
    }
  },
);

function passes(): boolean {
  try {
    probe(token);
    return true;
  } catch {
    return false;
  }
}
