import { createHash, createPublicKey } from 'node:crypto';
import type { DigestScheme, PairAlgorithm, SecretAlgorithm } from '@claviger/hsm';
import { Skip } from '../outcome';
import { base64url, header, type Jwk, keyFor, keysIn, parts } from './jose-compact';
import { given, type Suite, withKey } from './suite';
import { type Group, object, type Vector } from './vectors';

type Token = Parameters<Suite>[0];
const macs: Record<string, readonly [SecretAlgorithm, bytes: number]> = {
  HS256: ['HMAC_SHA_256', 32],
  HS384: ['HMAC_SHA_384', 48],
  HS512: ['HMAC_SHA_512', 64],
};
const curves: Record<string, readonly [PairAlgorithm, crv: string]> = {
  ES256: ['EC_P256', 'P-256'],
  ES384: ['EC_P384', 'P-384'],
  ES512: ['EC_P521', 'P-521'],
  ES256K: ['EC_SECP256K1', 'secp256k1'],
};
/** Over the message itself, with the type of their keys: RFC 8037, RFC 9864, RFC 9964. */
const overMessage: Record<string, readonly [PairAlgorithm, kty: string]> = {
  EdDSA: ['ED25519', 'OKP'],
  Ed25519: ['ED25519', 'OKP'],
  'ML-DSA-44': ['ML_DSA_44', 'AKP'],
  'ML-DSA-65': ['ML_DSA_65', 'AKP'],
  'ML-DSA-87': ['ML_DSA_87', 'AKP'],
};
const rsa = /^(?:RS|PS)(?:256|384|512)$/;

/** JsonWebSignature, JsonWebKey and the JWS of JsonWebCrypto: a compact JWS whose signing input is what the worker verifies. */
export const jws: Suite = (token, group) => {
  const keys = keysIn(group.public ? object(group, 'public') : object(group, 'private'));
  const contradicted = saidBoth(group);
  return (vector) => {
    if (contradicted.has(vector.jws)) throw new Skip('the file says of the same JWS that it is valid and that it is not');
    if (vector.result === 'valid' && typeof vector.jws === 'string' && !/^[\w.-]*$/.test(vector.jws))
      throw new Skip('the file says valid of a JWS with characters that RFC 7515 §5.2 (2) forbids');
    const [head, , signature] = parts(vector.jws, 3) ?? [];
    const said = head && header(head);
    const key = said && keyFor(keys, said);
    if (!head || !signature || !said || !key || !isToVerify(key)) return 'rejected';
    assertKnown(group, vector, key, said);
    if (typeof said.alg !== 'string' || said.alg !== key.alg) return 'rejected';
    const input = Buffer.from((vector.jws as string).slice(0, (vector.jws as string).lastIndexOf('.')));
    return verifies(token, key, said.alg, input, signature) ? 'accepted' : 'rejected';
  };
};

function saidBoth({ tests }: Group): ReadonlySet<unknown> {
  const of = (result: string) => new Set(tests.filter((test) => test.result === result).map(({ jws: compact }) => compact));
  const invalid = of('invalid');
  return new Set([...of('valid')].filter((compact) => invalid.has(compact)));
}

const isToVerify = ({ use, key_ops: operations }: Jwk) =>
  (use === undefined || use === 'sig') && (operations === undefined || operations.includes('verify') || operations.includes('sign'));

function assertKnown(group: Group, vector: Vector, key: Jwk, { alg }: Record<string, unknown>): void {
  if (String(group.comment).startsWith('rfc7520') && alg !== key.alg)
    throw new Skip('the key of RFC 7520 has no alg there, and one in this file that is not that of the signature');
  if (/roca/i.test(String(group.comment))) throw new Skip('public keys are not searched for the pattern of CVE-2017-15361');
  if (key.kty === 'RSA' && vector.result !== 'invalid' && !rsa.test(String(alg)))
    throw new Skip(`${String(alg)} is not a scheme of Claviger`);
}

function verifies(token: Token, key: Jwk, alg: string, input: Buffer, signature: Buffer): boolean {
  const mac = Object.hasOwn(macs, alg) ? macs[alg] : undefined;
  if (mac) {
    const secret = typeof key.k === 'string' && key.kty === 'oct' ? base64url(key.k) : undefined;
    // RFC 7518 §3.2.
    if (!secret || secret.length < mac[1]) return false;
    return withKey(token, token.importKnownSecret(mac[0], secret, 'mac'), (handle) => token.verifyMac(handle, input, signature));
  }
  if (Object.hasOwn(overMessage, alg)) return verifiesMessage(token, key, alg, input, signature);
  const curve = Object.hasOwn(curves, alg) ? curves[alg] : undefined;
  const algorithm = curve ? curve[0] : rsaAlgorithmOf(key);
  if (!algorithm || (curve ? key.kty !== 'EC' || key.crv !== curve[1] : !rsa.test(alg) || key.kty !== 'RSA')) return false;
  const handle = given(() => token.importPublicKey(algorithm, spkiOf(key)));
  if (!handle) return false;
  const digest = createHash(alg === 'ES256K' ? 'sha256' : `sha${alg.slice(2)}`)
    .update(input)
    .digest();
  return withKey(token, handle, (usable) => token.verifyDigest(usable, alg as DigestScheme, digest, signature));
}

function verifiesMessage(token: Token, key: Jwk, alg: string, input: Buffer, signature: Buffer): boolean {
  const [algorithm, kty] = overMessage[alg] as readonly [PairAlgorithm, string];
  const handle = key.kty === kty ? given(() => token.importPublicKey(algorithm, spkiOf(key))) : undefined;
  return handle !== undefined && withKey(token, handle, (usable) => token.verifyMessage(usable, input, signature));
}

function rsaAlgorithmOf({ kty, n }: Jwk): PairAlgorithm | undefined {
  const bits = kty === 'RSA' && typeof n === 'string' ? 8 * Buffer.from(n, 'base64url').length : 0;
  return bits === 2048 || bits === 3072 || bits === 4096 ? `RSA_${bits}` : undefined;
}

/** What is no key at all is as good as an empty one: refused. */
function spkiOf(key: Jwk): Buffer {
  try {
    return createPublicKey({ key: key as never, format: 'jwk' }).export({ format: 'der', type: 'spki' });
  } catch {
    return Buffer.alloc(0);
  }
}
