import { internalOperations, type LastUseOfKey } from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Context } from '@opentelemetry/api';

const timeoutMs = 4_000;

/** When keys were last used. Only the ledger knows: workers keep nothing. */
export class LastUses {
  constructor(private readonly connection: NatsConnection) {}

  /** Throws the problem of the audit service, or that nobody answers: unknown is not never. */
  async of(keyIds: string[], trace: Context): Promise<LastUseOfKey[]> {
    return (await askInternal(this.connection, internalOperations.lastUses, { keyIds }, { timeoutMs, trace })).keys;
  }
}
