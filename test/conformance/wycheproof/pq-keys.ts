import type { PairAlgorithm } from '@claviger/hsm';
import { oneOf } from './suite';

/** By the name of the parameter set: DER of its OID (2.16.840.1.101.3.4.3.… for signatures, …4.4.… for ML-KEM). */
const sets = {
  'ML-DSA-44': ['ML_DSA_44', '0609608648016503040311'],
  'ML-DSA-65': ['ML_DSA_65', '0609608648016503040312'],
  'ML-DSA-87': ['ML_DSA_87', '0609608648016503040313'],
  'SLH-DSA-SHA2-128s': ['SLH_DSA_SHA2_128S', '0609608648016503040314'],
  'ML-KEM-768': ['ML_KEM_768', '0609608648016503040402'],
  'ML-KEM-1024': ['ML_KEM_1024', '0609608648016503040403'],
} as const satisfies Record<string, readonly [PairAlgorithm, string]>;
type Set = (typeof sets)[keyof typeof sets];

export interface PqForms {
  readonly algorithm: PairAlgorithm;
  /** DER SubjectPublicKeyInfo, of whatever length the key is: what a client would send. */
  spki(key: Buffer): Buffer;
  /** DER PrivateKeyInfo with the seed alone, or with the expanded key alone (RFC 9881 §6, RFC 9935 §6). */
  fromSeed(seed: Buffer): Buffer;
  fromExpanded(key: Buffer): Buffer;
}

/** @throws Skip for a parameter set that Claviger has not */
export function pqForms(name: string): PqForms {
  const [algorithm, oid]: Set = oneOf(sets, name, 'not an algorithm of Claviger');
  const identifier = der(0x30, Buffer.from(oid, 'hex'));
  const pkcs8 = (key: Buffer) => der(0x30, der(0x02, Buffer.alloc(1)), identifier, der(0x04, key));
  return {
    algorithm,
    spki: (key) => der(0x30, identifier, der(0x03, Buffer.alloc(1), key)),
    fromSeed: (seed) => pkcs8(der(0x80, seed)),
    fromExpanded: (key) => pkcs8(der(0x04, key)),
  };
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
