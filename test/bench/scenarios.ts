import type { Client } from '@claviger/client';
import type { Algorithm, Receipt } from '@claviger/contracts';

/** What one request of a scenario is. `context` is different for each request. */
export interface Scenario {
  algorithm: Algorithm;
  /** Made `preparedPerKey` times for each key before the clock starts, such as ciphertexts to decrypt; requests take them in turn. */
  prepare?: (
    client: Client,
    keyId: string,
    plaintext: Uint8Array,
    n: number,
  ) => Promise<{ ciphertext: string; context: Record<string, string> }>;
  request: (
    client: Client,
    call: {
      keyId: string;
      plaintext: Uint8Array;
      context: Record<string, string>;
      requestId: string;
      prepared?: { ciphertext: string; context: Record<string, string> };
    },
  ) => Promise<{ receipt?: Receipt }>;
}

/** Each with a context of its own, so that 2,000 requests in a row differ in key or context. */
export const preparedPerKey = 20;

export const scenarios: Readonly<Record<string, Scenario>> = {
  encrypt: {
    algorithm: 'AES_256',
    request: (client, { keyId, plaintext, context, requestId }) => client.crypto.encrypt({ keyId, plaintext, context }, { requestId }),
  },
  decrypt: {
    algorithm: 'AES_256',
    prepare: async (client, keyId, plaintext, n) => {
      const context = { tenant: 'acme', document: `prepared-${keyId}-${n}` };
      return { ciphertext: (await client.crypto.encrypt({ keyId, plaintext, context })).ciphertext, context };
    },
    request: (client, { keyId, prepared, requestId }) =>
      client.crypto.decrypt({ keyId, ...(prepared as { ciphertext: string; context: Record<string, string> }) }, { requestId }),
  },
  'sign-p256': {
    algorithm: 'EC_P256',
    request: (client, { keyId, plaintext, requestId }) => client.crypto.sign({ keyId, message: plaintext }, { requestId }),
  },
  datakey: {
    algorithm: 'AES_256',
    request: (client, { keyId, context, requestId }) => client.crypto.generateDataKey({ keyId, context }, { requestId }),
  },
};
