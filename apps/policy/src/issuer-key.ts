import { createPrivateKey, sign } from 'node:crypto';
import { fromSeed, type KeyPair } from '@nats-io/nkeys';

/** PKCS#8 header of a raw Ed25519 seed (RFC 8410 §7). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * The callout's issuer account. It signs with OpenSSL (0.1 ms): the nkeys library's own JavaScript takes tens of ms for each of the two signatures of
 * an answer, and a hundred callers that reconnect at once would run into the broker's timeout.
 */
export function issuerKey(seed: Uint8Array): KeyPair {
  const slow = fromSeed(seed) as KeyPair & { getRawSeed(): Uint8Array };
  const publicKey = slow.getPublicKey();
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, slow.getRawSeed()]), format: 'der', type: 'pkcs8' });
  return {
    getPublicKey: () => publicKey,
    getPrivateKey: () => slow.getPrivateKey(),
    getSeed: () => slow.getSeed(),
    sign: (input) => sign(null, input, key),
    verify: (input, signature) => slow.verify(input, signature),
    clear: () => slow.clear(),
    seal: (input, recipient, nonce) => slow.seal(input, recipient, nonce),
    open: (message, sender) => slow.open(message, sender),
  };
}
