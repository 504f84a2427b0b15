import { signatureOfDer } from '@claviger/contracts';
import type { DigestScheme, PairAlgorithm } from '@claviger/hsm';
import { Skip } from '../outcome';
import { digestOf } from './digests';
import { given, oneOf, refusesAll, type Suite } from './suite';
import { hex, object, text } from './vectors';

const curves: Record<string, readonly [PairAlgorithm, DigestScheme, number]> = {
  secp256r1: ['EC_P256', 'ES256', 64],
  secp384r1: ['EC_P384', 'ES384', 96],
  secp521r1: ['EC_P521', 'ES512', 132],
  secp256k1: ['EC_SECP256K1', 'ES256K', 64],
};

/** EcdsaVerify (DER) and EcdsaP1363Verify (r ‖ s). */
export const ecdsa: Suite = (token, group) => {
  const curve = text(object(group, 'publicKey'), 'curve');
  const [algorithm, scheme, signatureBytes] = oneOf(curves, curve, 'not a curve of Claviger');
  if (group.type === 'EcdsaBitcoinVerify') throw new Skip('that s is the lower of two is a rule of Bitcoin, not of ECDSA');
  const sha = text(group, 'sha');
  digestOf(sha, Buffer.alloc(0));
  const key = given(() => token.importPublicKey(algorithm, hex(group, 'publicKeyDer')));
  if (!key) return refusesAll;
  return (vector) => {
    const given = hex(vector, 'sig');
    const signature = group.type === 'EcdsaP1363Verify' ? given : signatureOfDer(given, signatureBytes);
    if (!signature) return 'rejected';
    return token.verifyDigest(key, scheme, digestOf(sha, hex(vector, 'msg')), signature) ? 'accepted' : 'rejected';
  };
};
