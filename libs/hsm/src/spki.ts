import { createPublicKey } from 'node:crypto';
import { algorithms, type CurveAlgorithm, isPq, isRsa, type PairAlgorithm, type PqAlgorithm, type RsaAlgorithm } from './algorithms';
import { HsmError } from './hsm-error';

/** What a token takes and gives as public key: CKA_EC_POINT without its OCTET STRING, or CKA_MODULUS and CKA_PUBLIC_EXPONENT (big-endian), or CKA_VALUE. */
export type PublicParts = { readonly value: Buffer } | { readonly point: Buffer } | { readonly modulus: Buffer; readonly exponent: Buffer };

/** AlgorithmIdentifier rsaEncryption with NULL (RFC 3279 §2.3.1). */
const rsaEncryption = Buffer.from('300d06092a864886f70d0101010500', 'hex');

/**
 * DER SubjectPublicKeyInfo of a CKA_EC_POINT. PKCS#11 v3.1 §6.3.3 wraps the point into a DER OCTET STRING; some tokens return it bare.
 * @throws HsmError HSM_OPERATION_FAILED when the bytes are no point of the algorithm's curve form
 */
export function spkiOf(algorithm: CurveAlgorithm, ecPoint: Buffer): Buffer {
  const { pointBytes, spkiPrefix } = algorithms[algorithm];
  const header = octetString(Buffer.alloc(pointBytes)).length - pointBytes;
  const wrapped = ecPoint.length === pointBytes + header && octetString(ecPoint.subarray(header)).equals(ecPoint);
  const point = wrapped ? ecPoint.subarray(header) : ecPoint;
  if (point.length !== pointBytes)
    throw new HsmError('HSM_OPERATION_FAILED', `The token returned ${ecPoint.length} bytes as ${algorithm} public point`);
  return Buffer.concat([Buffer.from(spkiPrefix, 'hex'), point]);
}

/** DER SubjectPublicKeyInfo of CKA_MODULUS and CKA_PUBLIC_EXPONENT (RFC 8017 appendix A.1.1). @throws HsmError HSM_OPERATION_FAILED for another length */
export function rsaSpkiOf(algorithm: RsaAlgorithm, modulus: Buffer, exponent: Buffer): Buffer {
  const magnitude = unsigned(modulus);
  if (bitsOf(magnitude) !== algorithms[algorithm].modulusBits)
    throw new HsmError('HSM_OPERATION_FAILED', `The token returned a modulus of ${bitsOf(magnitude)} bits for an ${algorithm} key`);
  const key = der(0x30, integer(magnitude), integer(unsigned(exponent)));
  return der(0x30, rsaEncryption, der(0x03, Buffer.alloc(1), key));
}

/** DER SubjectPublicKeyInfo around a post-quantum public key (RFC 9881 §4, RFC 9909 §4, RFC 9935 §4). @throws HsmError HSM_OPERATION_FAILED for another length */
export function pqSpkiOf(algorithm: PqAlgorithm, value: Buffer): Buffer {
  const { oid, publicBytes } = algorithms[algorithm];
  if (value.length !== publicBytes)
    throw new HsmError('HSM_OPERATION_FAILED', `The token returned ${value.length} bytes as ${algorithm} public key`);
  return der(0x30, der(0x30, Buffer.from(oid, 'hex')), der(0x03, Buffer.alloc(1), value));
}

/**
 * The parts of a public key from elsewhere: exactly the one DER form, of exactly this algorithm, with a point that lies on its curve.
 * @throws HsmError HSM_ARGUMENT_INVALID
 */
export function publicPartsOf(algorithm: PairAlgorithm, spki: Buffer): PublicParts {
  const refusal = (cause?: unknown) =>
    new HsmError('HSM_ARGUMENT_INVALID', `Not the SubjectPublicKeyInfo of an ${algorithm} key`, { cause });
  let jwk: { n?: string; e?: string };
  try {
    jwk = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  } catch (cause) {
    throw refusal(cause);
  }
  if (isRsa(algorithm)) {
    const [modulus, exponent] = [Buffer.from(jwk.n ?? '', 'base64url'), Buffer.from(jwk.e ?? '', 'base64url')];
    if (bitsOf(modulus) !== algorithms[algorithm].modulusBits || !isPublicExponent(exponent)) throw refusal();
    if (!rsaSpkiOf(algorithm, modulus, exponent).equals(spki)) throw refusal();
    return { modulus, exponent };
  }
  if (isPq(algorithm)) {
    const value = Buffer.from(spki.subarray(-algorithms[algorithm].publicBytes));
    if (value.length !== algorithms[algorithm].publicBytes || !pqSpkiOf(algorithm, value).equals(spki)) throw refusal();
    return { value };
  }
  const { spkiPrefix, pointBytes } = algorithms[algorithm];
  const prefix = Buffer.from(spkiPrefix, 'hex');
  if (spki.length !== prefix.length + pointBytes || !spki.subarray(0, prefix.length).equals(prefix)) throw refusal();
  return { point: Buffer.from(spki.subarray(prefix.length)) };
}

/** The form in which CKA_EC_POINT takes a point. */
export const octetString = (bytes: Buffer): Buffer => der(0x04, bytes);

/** Odd, above 1, and not longer than FIPS 186-5 §5.1 allows; others' small ones are verified, none is generated. */
const isPublicExponent = (exponent: Buffer): boolean =>
  exponent.length > 0 && exponent.length <= 32 && (exponent.at(-1)! & 1) === 1 && !(exponent.length === 1 && exponent[0] === 1);

export function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const integer = (magnitude: Buffer): Buffer => der(0x02, (magnitude[0] ?? 0) & 0x80 ? Buffer.from([0]) : Buffer.alloc(0), magnitude);

function unsigned(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first === -1 ? Buffer.alloc(1) : bytes.subarray(first);
}

const bitsOf = (magnitude: Buffer): number => (magnitude.length === 0 ? 0 : 8 * magnitude.length - Math.clz32(magnitude[0]!) + 24);
