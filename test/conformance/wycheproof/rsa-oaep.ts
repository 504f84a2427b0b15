import { HsmError, type KeyHandle, type PairAlgorithm, type Token } from '@claviger/hsm';
import { Skip, TokenLacks } from '../outcome';
import { rsaAlgorithm, rsaPkcs8 } from './rsa-keys';
import { compared, givenLater, type Suite } from './suite';
import { hex, text } from './vectors';

/** RsaesOaepDecrypt with the parameters of RSA-OAEP-256 (RFC 7518 §4.3). */
export const rsaOaep: Suite = (token, group) => {
  const algorithm = rsaAlgorithm(group);
  if ([text(group, 'sha'), text(group, 'mgf'), text(group, 'mgfSha')].join() !== 'SHA-256,MGF1,SHA-256')
    throw new Skip('OAEP is with SHA-256 for hash and MGF1');
  const key = oaepKey(token, algorithm, rsaPkcs8(group));
  return async (vector) => {
    if (text(vector, 'label') !== '') throw new Skip('OAEP is without a label');
    const message = hex(vector, 'msg');
    if (message.length === 0 && vector.result === 'valid') throw new Skip('no empty plaintext is encrypted');
    return compared(await givenLater(token.decryptOaepAsync(() => key, hex(vector, 'ct'))), message);
  };
};

/** A key that decrypts. @throws Skip when the token has no OAEP with SHA-256: to refuse everything would pass for what is invalid */
export function oaepKey(token: Token, algorithm: PairAlgorithm, pkcs8: Buffer): KeyHandle {
  const key = token.importKnownPrivate(algorithm, pkcs8, 'encrypt');
  try {
    token.decryptOaep(key, Buffer.alloc(Number(algorithm.slice('RSA_'.length)) / 8));
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_MECHANISM_UNAVAILABLE')
      throw new TokenLacks(`the token (${token.family}) does no OAEP with SHA-256`);
  }
  return key;
}
