import type { DigestScheme } from '@claviger/hsm';
import { Skip } from '../outcome';
import { digestOf } from './digests';
import { rsaAlgorithm, rsaPkcs8, rsaSpki } from './rsa-keys';
import { compared, given, oneOf, refusesAll, type Suite } from './suite';
import { hex, number, text } from './vectors';

const pkcs1Schemes: Record<string, DigestScheme> = { 'SHA-256': 'RS256', 'SHA-384': 'RS384', 'SHA-512': 'RS512' };
const pssSchemes: Record<string, readonly [DigestScheme, number]> = {
  'SHA-256': ['PS256', 32],
  'SHA-384': ['PS384', 48],
  'SHA-512': ['PS512', 64],
};
const noScheme = 'no RSA signature of Claviger is over it';

/** RsassaPkcs1Verify. */
export const rsaPkcs1Verify: Suite = (token, group) => verifying(token, group, oneOf(pkcs1Schemes, text(group, 'sha'), noScheme));

/** RsassaPssVerify and RsassaPssWithParametersVerify: the parameters must be those of a JOSE scheme (RFC 7518 §3.5). */
export const rsaPssVerify: Suite = (token, group) => {
  const sha = text(group, 'sha');
  const [scheme, saltBytes] = oneOf(pssSchemes, sha, noScheme);
  if (text(group, 'mgf') !== 'MGF1' || text(group, 'mgfSha') !== sha) throw new Skip('MGF1 is with the hash of the signature');
  if (number(group, 'sLen') !== saltBytes) throw new Skip('the salt is as long as the hash');
  return verifying(token, group, scheme);
};

/** RsassaPkcs1Generate: a signature that has one right value. */
export const rsaPkcs1Sign: Suite = (token, group) => {
  const algorithm = rsaAlgorithm(group);
  const sha = text(group, 'sha');
  const scheme = oneOf(pkcs1Schemes, sha, noScheme);
  const key = token.importKnownPrivate(algorithm, rsaPkcs8(group), 'sign');
  return (vector) => compared(token.signDigest(key, scheme, digestOf(sha, hex(vector, 'msg'))), hex(vector, 'sig'));
};

function verifying(...[token, group, scheme]: [Parameters<Suite>[0], Parameters<Suite>[1], DigestScheme]): ReturnType<Suite> {
  const algorithm = rsaAlgorithm(group);
  const key = given(() => token.importPublicKey(algorithm, rsaSpki(group)));
  if (!key) return refusesAll;
  const sha = text(group, 'sha');
  return (vector) => (token.verifyDigest(key, scheme, digestOf(sha, hex(vector, 'msg')), hex(vector, 'sig')) ? 'accepted' : 'rejected');
}
