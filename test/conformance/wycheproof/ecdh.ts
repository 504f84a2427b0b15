import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto';
import { Skip } from '../outcome';
import { compared, given, oneOf, type Suite, withKey } from './suite';
import { hex, object, text, type Vector } from './vectors';

/** JWK name, OpenSSL name, bytes of the field, and SPKI up to the point. */
const curves = {
  secp256r1: ['EC_P256', 'P-256', 'prime256v1', 32, '3059301306072a8648ce3d020106082a8648ce3d030107034200'],
  secp384r1: ['EC_P384', 'P-384', 'secp384r1', 48, '3076301006072a8648ce3d020106052b81040022036200'],
  secp521r1: ['EC_P521', 'P-521', 'secp521r1', 66, '30819b301006072a8648ce3d020106052b8104002303818600'],
} as const;
const byName: Record<string, (typeof curves)[keyof typeof curves]> = {
  ...curves,
  'P-256': curves.secp256r1,
  'P-384': curves.secp384r1,
  'P-521': curves.secp521r1,
};
type Curve = (typeof curves)[keyof typeof curves];

/** EcdhTest, EcdhEcpointTest, EcdhPemTest and EcdhWebcryptoTest: they differ in how they write their keys. */
export const ecdh: Suite = (token, group) => {
  const encoding = text(group, 'encoding');
  const curve = oneOf(byName, text(group, 'curve'), 'not a curve that Claviger agrees on');
  return (vector) => {
    const pkcs8 = encoding === 'pem' ? pemPrivate(text(vector, 'private')) : pkcs8Of(curve, scalarOf(encoding, vector));
    const spki = spkiOf(encoding, curve, vector);
    if (!spki) return 'rejected';
    return withKey(token, token.importKnownPrivate(curve[0], pkcs8, 'agree'), (key) =>
      compared(
        given(() => token.deriveSharedSecret(key, spki)),
        hex(vector, 'shared'),
      ),
    );
  };
};

const scalarOf = (encoding: string, vector: Vector): Buffer =>
  encoding === 'webcrypto' ? Buffer.from(text(object(vector, 'private'), 'd'), 'base64url') : evenHex(text(vector, 'private'));

const evenHex = (digits: string) => Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex');

/** The private key's own public point is made from it, as PKCS#8 of a caller's would have it. */
function pkcs8Of([, crv, name, bytes]: Curve, scalar: Buffer): Buffer {
  const fitted = Buffer.alloc(bytes);
  const magnitude = scalar.length > bytes ? scalar.subarray(scalar.length - bytes) : scalar;
  magnitude.copy(fitted, bytes - magnitude.length);
  const pair = createECDH(name);
  pair.setPrivateKey(fitted);
  const point = pair.getPublicKey();
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)].map((half) => half.toString('base64url'));
  return createPrivateKey({ key: { kty: 'EC', crv, x, y, d: fitted.toString('base64url') }, format: 'jwk' }).export({
    format: 'der',
    type: 'pkcs8',
  });
}

const pemPrivate = (pem: string): Buffer => createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });

/** DER as it stands, except where the vector has another form, which is first brought into it as a client would. */
function spkiOf(encoding: string, [, , , bytes, prefix]: Curve, vector: Vector): Buffer | undefined {
  if (encoding === 'asn') return hex(vector, 'public');
  if (encoding === 'ecpoint') {
    const point = hex(vector, 'public');
    if (point.length === bytes + 1 && (point[0] === 2 || point[0] === 3)) throw new Skip('points are taken uncompressed');
    return Buffer.concat([Buffer.from(prefix, 'hex'), point]);
  }
  try {
    const key =
      encoding === 'pem' ? createPublicKey(text(vector, 'public')) : createPublicKey({ key: object(vector, 'public'), format: 'jwk' });
    return encoding === 'pem' ? pemBody(text(vector, 'public')) : key.export({ format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
}

const pemBody = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
