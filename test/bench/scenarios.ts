import type { Client } from '@claviger/client';
import type { Algorithm, Receipt } from '@claviger/contracts';

/** What one request of a scenario is. `context` is different for each request. */
export interface Scenario {
  algorithm: Algorithm;
  /** Made once per key and principal before the clock starts, such as the ciphertext to decrypt. */
  prepare?: (client: Client, keyId: string, plaintext: Uint8Array) => Promise<{ ciphertext: string; context: Record<string, string> }>;
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

export const scenarios: Readonly<Record<string, Scenario>> = {
  encrypt: {
    algorithm: 'AES_256',
    request: (client, { keyId, plaintext, context, requestId }) => client.crypto.encrypt({ keyId, plaintext, context }, { requestId }),
  },
  decrypt: {
    algorithm: 'AES_256',
    prepare: async (client, keyId, plaintext) => {
      const context = { tenant: 'acme', document: `prepared-${keyId}` };
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
