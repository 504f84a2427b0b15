import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import pkcs11, { type Mechanism } from 'pkcs11js';
import { algorithms, families, type RsaAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { mechanisms } from './mechanisms';

const CKZ_DATA_SPECIFIED = 1;
const hashes = {
  sha1: { hashAlg: pkcs11.CKM_SHA_1, mgf: pkcs11.CKG_MGF1_SHA1 },
  sha256: { hashAlg: pkcs11.CKM_SHA256, mgf: pkcs11.CKG_MGF1_SHA256 },
} as const;

const oaepParameters = ({ hashAlg, mgf }: (typeof hashes)[keyof typeof hashes]) =>
  ({ type: pkcs11.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: CKZ_DATA_SPECIFIED }) as Mechanism['parameter'];

/**
 * That the private half in the token opens what is encrypted to the public key (RSA-OAEP; with the hash that the token takes, since nothing depends
 * on it here). @throws HsmError HSM_SELF_TEST_FAILED
 */
export function assertOpens(connection: Connection, key: KeyHandle, spki: Buffer): void {
  const oaepHash = families[connection.family].oaepSha256 ? 'sha256' : 'sha1';
  const mechanism: Mechanism = {
    mechanism: mechanisms.CKM_RSA_PKCS_OAEP,
    parameter: oaepParameters(hashes[oaepHash]),
  };
  connection.assertMechanism(mechanism.mechanism, 'a recovery group');
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const sent = randomBytes(32);
  const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, sent);
  const room = algorithms[key.algorithm as RsaAlgorithm].modulusBits / 8;
  const opened = connection.call(
    'decrypt',
    (p11, { operations }) => {
      p11.C_DecryptInit(operations, mechanism, key.object);
      return p11.C_Decrypt(operations, ciphertext, Buffer.alloc(room));
    },
    key.algorithm,
  );
  if (!opened.equals(sent))
    throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${connection.tokenLabel}: the halves of a recovery group do not match`);
}
