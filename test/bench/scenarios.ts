import type { Client } from '@claviger/client';
import type { Algorithm, Receipt } from '@claviger/contracts';

export interface Prepared {
  ciphertext: string;
  context: Record<string, string>;
}

/** What one request of a scenario is. `context` is different for each request. */
export interface Scenario {
  algorithm: Algorithm;
  /** Made `preparedPerKey` times for each key before the clock starts, such as ciphertexts to decrypt; requests take them in turn. */
  prepare?: (client: Client, keyId: string, plaintext: Uint8Array, n: number) => Promise<Prepared>;
  /** What takes its place until every pair of key and principal is known, where one request is a hundred. */
  warm?: Scenario['request'];
  request: (
    client: Client,
    call: { keyId: string; plaintext: Uint8Array; context: Record<string, string>; requestId: string; prepared?: Prepared },
  ) => Promise<readonly Answer[]>;
}
/** One for each item that was asked for. */
export type Answer = { receipt?: Receipt | undefined } | { problem: unknown };

/** Each with a context of its own. */
export const preparedPerKey = 2;
const itemsPerBatch = 100;

const encrypt: Scenario['request'] = async (client, { keyId, plaintext, context, requestId }) => [
  await client.crypto.encrypt({ keyId, plaintext, context }, { requestId }),
];
const sign: Scenario['request'] = async (client, { keyId, plaintext, requestId }) => [
  await client.crypto.sign({ keyId, message: plaintext }, { requestId }),
];

export const scenarios: Readonly<Record<string, Scenario>> = {
  encrypt: { algorithm: 'AES_256', request: encrypt },
  decrypt: {
    algorithm: 'AES_256',
    prepare: async (client, keyId, plaintext, n) => {
      const context = { tenant: 'acme', document: `prepared-${keyId}-${n}` };
      return { ciphertext: (await client.crypto.encrypt({ keyId, plaintext, context })).ciphertext, context };
    },
    request: async (client, { keyId, prepared, requestId }) => [
      await client.crypto.decrypt({ keyId, ...(prepared as Prepared) }, { requestId }),
    ],
  },
  'sign-p256': { algorithm: 'EC_P256', request: sign },
  'sign-ed25519': { algorithm: 'ED25519', request: sign },
  'sign-rsa2048': { algorithm: 'RSA_2048', request: sign },
  'sign-ml-dsa65': { algorithm: 'ML_DSA_65', request: sign },
  hmac: {
    algorithm: 'HMAC_SHA_256',
    request: async (client, { keyId, plaintext, requestId }) => [
      await client.crypto.generateMac({ keyId, message: plaintext }, { requestId }),
    ],
  },
  'encrypt-batch': {
    algorithm: 'AES_256',
    warm: encrypt,
    request: async (client, { keyId, plaintext, context, requestId }) => {
      const items = Array.from({ length: itemsPerBatch }, (_, item) => ({ keyId, plaintext, context: { ...context, item: String(item) } }));
      return (await client.crypto.encryptBatch({ items }, { requestId })).results;
    },
  },
  datakey: {
    algorithm: 'AES_256',
    request: async (client, { keyId, context, requestId }) => [await client.crypto.generateDataKey({ keyId, context }, { requestId })],
  },
};
