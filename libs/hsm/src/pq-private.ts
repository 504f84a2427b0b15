import { algorithms, type PqAlgorithm } from './algorithms';
import { HsmError } from './hsm-error';
import { der, octetString } from './spki';

/** What a token takes a post-quantum private half as (PKCS#11 v3.2, private key objects of ML-DSA, ML-KEM and SLH-DSA): CKA_SEED, CKA_VALUE, or both. */
export interface PqPrivateParts {
  readonly seed?: Buffer;
  readonly value?: Buffer;
}

const seedTag = 0x80;

/**
 * The parts of a DER PrivateKeyInfo of exactly this algorithm, in one of the forms of RFC 9881 §6 and RFC 9935 §6 (the seed, the expanded key, or
 * both), or of RFC 9909 §5 (the bytes alone). Whether seed and key belong together is the token's to say.
 * @throws HsmError HSM_ARGUMENT_INVALID
 */
export function pqPrivatePartsOf(algorithm: PqAlgorithm, pkcs8: Buffer): PqPrivateParts {
  const found = formsOf(algorithm, pkcs8).find((parts) => pqPkcs8Of(algorithm, parts).equals(pkcs8));
  if (!found) throw new HsmError('HSM_ARGUMENT_INVALID', `Not the PrivateKeyInfo of an ${algorithm} key`);
  return found;
}

/** What the bytes would have to be in each form: each has one length for everything, so its parts are at known places. */
function formsOf(algorithm: PqAlgorithm, pkcs8: Buffer): PqPrivateParts[] {
  const { privateBytes, seedBytes } = algorithms[algorithm] as { privateBytes: number; seedBytes?: number };
  const last = (bytes: number, after = 0) => Buffer.from(pkcs8.subarray(-bytes - after, after === 0 ? undefined : -after));
  const value = last(privateBytes);
  if (seedBytes === undefined) return [{ value }];
  const headerBytes = octetString(Buffer.alloc(privateBytes)).length - privateBytes;
  return [{ seed: last(seedBytes) }, { value }, { seed: last(seedBytes, privateBytes + headerBytes), value }];
}

/** DER PrivateKeyInfo (RFC 5958) around the parts. */
export function pqPkcs8Of(algorithm: PqAlgorithm, { seed, value }: PqPrivateParts): Buffer {
  const { oid, seedBytes } = algorithms[algorithm] as { oid: string; seedBytes?: number };
  const key =
    seedBytes === undefined
      ? value!
      : seed && value
        ? der(0x30, octetString(seed), octetString(value))
        : seed
          ? der(seedTag, seed)
          : octetString(value!);
  return der(0x30, der(0x02, Buffer.alloc(1)), der(0x30, Buffer.from(oid, 'hex')), octetString(key));
}
