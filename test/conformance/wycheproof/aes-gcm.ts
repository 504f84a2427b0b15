import { Skip } from '../outcome';
import { compared, given, type Suite, withKey } from './suite';
import { hex, number } from './vectors';

/** AeadTest: both ways for a valid vector. */
export const aesGcm: Suite = (token, group, algorithm) => {
  if (algorithm !== 'AES-GCM') throw new Skip(`${algorithm} is not an algorithm of Claviger`);
  const keyBits = number(group, 'keySize');
  if (keyBits !== 128 && keyBits !== 256) throw new Skip(`AES-${keyBits} is not an algorithm of Claviger`);
  if (number(group, 'ivSize') !== 96) throw new Skip('IVs are 96 bits (SP 800-38D §8.2.2)');
  if (number(group, 'tagSize') !== 128) throw new Skip('tags are 128 bits');
  return (vector) => {
    const [iv, aad, message] = [hex(vector, 'iv'), hex(vector, 'aad'), hex(vector, 'msg')];
    const sealed = Buffer.concat([hex(vector, 'ct'), hex(vector, 'tag')]);
    return withKey(token, token.importKnownSecret(keyBits === 128 ? 'AES_128' : 'AES_256', hex(vector, 'key'), 'encrypt'), (key) => {
      if (vector.result === 'valid' && !token.encryptGcm(key, iv, aad, message).equals(sealed)) return 'mismatch';
      return compared(
        given(() => token.decryptGcm(key, iv, aad, sealed)),
        message,
      );
    });
  };
};
