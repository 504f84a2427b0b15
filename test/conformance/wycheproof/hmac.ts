import { HsmError, type SecretAlgorithm } from '@claviger/hsm';
import { Skip, TokenLacks } from '../outcome';
import { oneOf, type Suite, withKey } from './suite';
import { hex, number } from './vectors';

const algorithms: Record<string, [SecretAlgorithm, number]> = {
  HMACSHA256: ['HMAC_SHA_256', 256],
  HMACSHA384: ['HMAC_SHA_384', 384],
  HMACSHA512: ['HMAC_SHA_512', 512],
};

/** MacTest: made and verified. */
export const hmac: Suite = (token, group, algorithm) => {
  const [name, bits] = oneOf(algorithms, algorithm, 'not an algorithm of Claviger');
  if (number(group, 'tagSize') !== bits) throw new Skip('a MAC is taken in full length only');
  return (vector) => {
    const [message, tag] = [hex(vector, 'msg'), hex(vector, 'tag')];
    return withKey(token, token.importKnownSecret(name, hex(vector, 'key'), 'mac'), (key) => {
      try {
        if (vector.result === 'valid' && !token.mac(key, message).equals(tag)) return 'mismatch';
        return token.verifyMac(key, message, tag) ? 'accepted' : 'rejected';
      } catch (error) {
        // Keys of Claviger are as long as the hash (RFC 7518 §3.2).
        if (error instanceof HsmError && error.code === 'HSM_KEY_USE_REFUSED')
          throw new TokenLacks('the token takes no HMAC key shorter than the hash');
        throw error;
      }
    });
  };
};
