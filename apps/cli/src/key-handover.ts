import { ClavigerError, type Client } from '@claviger/client';
import { keysMeant } from './key-pages';

export type HandedOver = { keyId: string; name: string } & (
  | { outcome: 'handed-over' }
  | { outcome: 'refused'; code: string; detail: string }
);

/**
 * Gives every key of an owner to another, one after the other; what is refused stays and is told. A key that was handed over is not among the owner's any
 * more, so run again it goes on where it ended.
 */
export async function* handOver(client: Pick<Client, 'keys'>, owner: string, to: string, reason: string): AsyncGenerator<HandedOver> {
  for await (const { keyId, name, versions } of keysMeant(client, { owner })) {
    // What is destroyed protects nothing, and its record stays as it is.
    if (versions.every(({ state }) => state === 'destroyed')) continue;
    try {
      await client.keys.setOwner({ keyId, owner: to, reason });
      yield { keyId, name, outcome: 'handed-over' };
    } catch (error) {
      if (!(error instanceof ClavigerError) || error.retryable) throw error;
      yield { keyId, name, outcome: 'refused', code: error.code, detail: error.message };
    }
  }
}
