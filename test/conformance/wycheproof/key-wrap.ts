import type { KeyWrapScheme } from '@claviger/hsm';
import { Skip } from '../outcome';
import { compared, given, oneOf, type Suite, withKey } from './suite';
import { hex, number } from './vectors';

const schemes: Record<'AES-WRAP' | 'AES-KW' | 'AES-KWP', KeyWrapScheme> = { 'AES-WRAP': 'KW', 'AES-KW': 'KW', 'AES-KWP': 'KWP' };

/** KeywrapTest: unwrapped always, and wrapped where the token does it for a key of that length. */
export const keyWrap: Suite = (token, group, algorithm) => {
  const scheme = oneOf(schemes, algorithm, 'not an algorithm of Claviger');
  const keyBits = number(group, 'keySize');
  if (keyBits !== 128 && keyBits !== 256) throw new Skip(`AES-${keyBits} is not an algorithm of Claviger`);
  return (vector) => {
    const [value, wrapped] = [hex(vector, 'msg'), hex(vector, 'ct')];
    return withKey(token, token.importKnownSecret(keyBits === 128 ? 'AES_128' : 'AES_256', hex(vector, 'key'), 'wrap'), (key) => {
      const wraps = vector.result === 'valid' && (token.family !== 'softhsm' || value.length % 8 === 0);
      if (wraps && !token.wrapValue(key, scheme, value).equals(wrapped)) return 'mismatch';
      return compared(
        given(() => token.unwrapValue(key, scheme, wrapped)),
        value,
      );
    });
  };
};
