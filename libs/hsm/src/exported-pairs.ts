import { createDecipheriv } from 'node:crypto';
import type { PairAlgorithm } from './algorithms';
import type { Connection } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { alternativeIv, importKnownSecret } from './known-keys';
import { generateWrappedAsync } from './wrapped-keys';

export interface ExportedPair {
  readonly publicKeySpki: Buffer;
  /** DER PrivateKeyInfo (RFC 5958), in clear: whoever gets it overwrites it. */
  readonly privateKeyPkcs8: Buffer;
}

/**
 * A pair that is made and tested in the token for use outside of it. The private half comes out wrapped, as every token can do it, under a key that
 * lives for this one call.
 */
export async function generateExportedPairAsync(connection: Connection, algorithm: PairAlgorithm): Promise<ExportedPair> {
  const bytes = connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(32)));
  const wrappingKey = importKnownSecret(connection, 'AES_256', bytes, 'wrap');
  try {
    const { wrapped, publicKeySpki } = await generateWrappedAsync(connection, algorithm, () => wrappingKey);
    if (!publicKeySpki) throw new HsmError('HSM_UNAVAILABLE', 'A pair came without its public half');
    const decipher = createDecipheriv('id-aes256-wrap-pad', bytes, alternativeIv);
    return { publicKeySpki, privateKeyPkcs8: Buffer.concat([decipher.update(wrapped), decipher.final()]) };
  } finally {
    destroyQuietly(connection, wrappingKey);
    bytes.fill(0);
  }
}
