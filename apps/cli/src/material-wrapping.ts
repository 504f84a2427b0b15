import { constants, createCipheriv, createDecipheriv, type KeyObject, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import type { KeyDescription, WrappingAlgorithm } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** The alternative initial value of RFC 5649 §3. */
const alternativeIv = Buffer.from('a65959a6', 'hex');
const kwp = 'id-aes256-wrap-pad';

/** What keys.import-material takes: OAEP of a fresh AES-256 key, followed by the material under that; or OAEP of the material itself. */
export function wrapMaterial(publicKey: KeyObject, algorithm: WrappingAlgorithm, material: Buffer): Buffer {
  if (isWhole(algorithm)) return oaep(publicKey, algorithm, material);
  const carrier = randomBytes(32);
  try {
    const cipher = createCipheriv(kwp, carrier, alternativeIv);
    return Buffer.concat([oaep(publicKey, algorithm, carrier), cipher.update(material), cipher.final()]);
  } finally {
    carrier.fill(0);
  }
}

/** What keys.export gave, opened; in a buffer that the caller overwrites. @throws CommandError without a reason: it is one and the same */
export function unwrapMaterial(privateKey: KeyObject, algorithm: WrappingAlgorithm, wrapped: Buffer): Buffer {
  const bytes = (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const open = (value: Buffer) =>
    privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(algorithm) }, value);
  try {
    if (isWhole(algorithm)) return open(wrapped);
    const carrier = open(wrapped.subarray(0, bytes));
    try {
      const decipher = createDecipheriv(kwp, carrier, alternativeIv);
      return Buffer.concat([decipher.update(wrapped.subarray(bytes)), decipher.final()]);
    } finally {
      carrier.fill(0);
    }
  } catch {
    throw new CommandError('badInput', 'It does not open with this private key and algorithm');
  }
}

const isWhole = (algorithm: WrappingAlgorithm): boolean => algorithm.startsWith('RSAES');
const hashOf = (algorithm: WrappingAlgorithm): string => (algorithm.endsWith('SHA_1') ? 'sha1' : 'sha256');

function oaep(key: KeyObject, algorithm: WrappingAlgorithm, value: Buffer): Buffer {
  try {
    return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(algorithm) }, value);
  } catch {
    throw new CommandError('badInput', `${value.length} bytes do not fit ${algorithm}`, 'Use RSA_AES_KEY_WRAP_SHA_256.');
  }
}

/** The same by openssl 3, for whoever has the material where Claviger's command is not. What it writes is for its owner's eyes only. */
export function opensslCommands(algorithm: WrappingAlgorithm, folder: string): string[] {
  const md = hashOf(algorithm);
  const oaepOf = (input: string, output: string) =>
    `openssl pkeyutl -encrypt -pubin -inkey ${shellWord(`${folder}/wrapping-key.pem`)} -in ${input} -out ${output} -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:${md} -pkeyopt rsa_mgf1_md:${md}`;
  if (isWhole(algorithm)) return ['umask 077', oaepOf('material.bin', 'material.wrapped')];
  return [
    'umask 077',
    'openssl rand -out carrier.bin 32',
    oaepOf('carrier.bin', 'carrier.wrapped'),
    `openssl enc -id-aes256-wrap-pad -K "$(od -An -vtx1 carrier.bin | tr -d ' \\n')" -iv A65959A6 -in material.bin -out inner.wrapped`,
    'cat carrier.wrapped inner.wrapped > material.wrapped',
    'rm carrier.bin',
  ];
}

/** What the two commands after `import-parameters` are, for the key that it is. `about` is undefined where the caller may not describe the key. */
export function importCommands(
  { keyId, folder, algorithm }: { keyId: string; folder: string; algorithm: WrappingAlgorithm },
  about: Pick<KeyDescription, 'algorithm' | 'usage'> | undefined,
): string[] {
  const isOf = (test: (key: Pick<KeyDescription, 'algorithm' | 'usage'>) => boolean) => about === undefined || test(about);
  const counts = isOf((key) => key.usage === 'encrypt' && key.algorithm.startsWith('AES')) ? ' --prior-encryptions N' : '';
  const half = isOf((key) => key.algorithm === 'ED25519') ? ' --public-key FILE' : '';
  return [
    `claviger keys wrap-material --public-key ${shellWord(`${folder}/wrapping-key.pem`)} --wrapping-algorithm ${algorithm} --material material.bin --out material.wrapped`,
    `claviger keys import-material ${keyId} --token ${shellWord(`${folder}/import-token`)} --wrapped material.wrapped${counts}${half} --reason TEXT`,
    ...(counts === '' ? [] : ['N: how often an AES key that encrypts has done so elsewhere; 0 for never.']),
    ...(half === '' ? [] : ['FILE: the public half of an Ed25519 key, PEM or DER.']),
  ];
}

/** As POSIX shells read it back (XCU §2.2.2). */
export const shellWord = (text: string): string => (/^[A-Za-z0-9_./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
