import { algorithms, type PairAlgorithm } from './algorithms';
import { HsmError } from './hsm-error';

/**
 * DER SubjectPublicKeyInfo of a CKA_EC_POINT. PKCS#11 v3.1 §6.3.3 wraps the point into a DER OCTET STRING; some tokens return it bare.
 * @throws HsmError HSM_OPERATION_FAILED when the bytes are no point of the algorithm's curve form
 */
export function spkiOf(algorithm: PairAlgorithm, ecPoint: Buffer): Buffer {
  const { pointBytes, spkiPrefix } = algorithms[algorithm];
  const wrapped = ecPoint.length === pointBytes + 2 && ecPoint[0] === 0x04 && ecPoint[1] === pointBytes;
  const point = wrapped ? ecPoint.subarray(2) : ecPoint;
  if (point.length !== pointBytes)
    throw new HsmError('HSM_OPERATION_FAILED', `The token returned ${ecPoint.length} bytes as ${algorithm} public point`);
  return Buffer.concat([Buffer.from(spkiPrefix, 'hex'), point]);
}
