import { isRsa, type RsaAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { importKnownSecret } from './known-keys';
import { receiverTemplate } from './templates';
import { type TransportScheme, tokenDoesOaep } from './transport-schemes';
import { unwrapAs } from './unwrapping';
import { generateWrappedAsync } from './wrapped-keys';

/** The public half of a receiver is given to whoever sends a key; the private half takes it in. */
export interface Receiver {
  readonly privateKey: KeyHandle;
  readonly publicKeySpki: Buffer;
}

export interface ReceiverRequest {
  readonly wrapped: Buffer;
  readonly mechanism: number;
  readonly algorithm: RsaAlgorithm;
  readonly wrappingKey: KeyHandle;
  /** The one scheme that it is for: on a token that lacks its hash it decrypts, on others it unwraps; never both, which would open what it takes in. */
  readonly scheme: TransportScheme;
}

/** A receiver that was generated wrapped (as any RSA key), as a session object. @throws HsmError see `unwrap` */
export function unwrapReceiver(connection: Connection, { scheme, ...request }: ReceiverRequest): KeyHandle {
  if (!isRsa(request.algorithm)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${String(request.algorithm)} key receives no others`);
  return unwrapAs(connection, request, receiverTemplate(tokenDoesOaep(connection.family, scheme) ? 'unwrap' : 'decrypt'));
}

/** A new receiver that lives as long as the token's generation; off the event loop. */
export async function generateReceiverAsync(connection: Connection, algorithm: RsaAlgorithm, scheme: TransportScheme): Promise<Receiver> {
  const own = connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(32)));
  // It goes the way of every wrapped pair, so that it is tested in the form in which it is used; under a key that ends with this call.
  const wrappingKey = importKnownSecret(connection, 'AES_256', own, 'wrap');
  own.fill(0);
  try {
    const { publicKeySpki, ...material } = await generateWrappedAsync(connection, algorithm, () => wrappingKey);
    if (!publicKeySpki) throw new HsmError('HSM_OPERATION_FAILED', 'A pair came without its public half');
    return { privateKey: unwrapReceiver(connection, { ...material, algorithm, wrappingKey, scheme }), publicKeySpki };
  } finally {
    destroyQuietly(connection, wrappingKey);
  }
}
