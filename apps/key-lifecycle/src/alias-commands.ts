import { ProblemError } from '@claviger/contracts';
import type { OutboxRelay, RecordIntent } from '@claviger/messaging';
import type { OwedRecords } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import type { KeyAlias } from './alias';
import { type AliasDelivery, aliasOutboxOf } from './alias-delivery';
import type { AliasEntry, AliasStore } from './alias-store';
import { confirmationWaitMs, type Propagation, type Reached } from './propagation';

const attempts = 8;

export interface AliasChanged {
  alias: KeyAlias;
  reached: Reached;
  /** To be called when the record of who made the change is in the ledger. */
  recorded: () => void;
}

/** Changes of aliases, by the same steps as those of keys: one compare-and-set with who makes it, delivered to the workers, followed until they have it. */
export class AliasCommands {
  constructor(
    private readonly store: AliasStore,
    private readonly delivery: AliasDelivery,
    private readonly relay: OutboxRelay<AliasEntry>,
    private readonly owed: OwedRecords,
    private readonly propagation: Propagation,
    private readonly logger: LoggerService,
  ) {}

  /** `decide` gets the alias as it is at each attempt: of two who race for it, the second decides on what the first has made. */
  async change(
    alias: string,
    decide: (current: KeyAlias | undefined) => Promise<KeyAlias>,
    intend: (to: KeyAlias) => RecordIntent,
  ): Promise<AliasChanged> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await this.store.get(alias);
      const to = await decide(from);
      const intent = intend(to);
      const owed = this.owed.owe(alias, intent);
      const outbox = aliasOutboxOf(from, to, intent);
      const expected = this.propagation.expect(alias, to.revision);
      try {
        if (!(await this.store.change(from, to, outbox, [owed]))) continue;
        await this.send(to, outbox);
        return { alias: to, reached: await expected.reached(confirmationWaitMs), recorded: () => this.owed.settle(alias, owed) };
      } finally {
        expected.cancel();
      }
    }
    throw new ProblemError('ERR_CONFLICT');
  }

  /** The view goes out at once; what cannot be delivered now the sweep delivers, and the caller learns that the change is not confirmed. */
  private async send(alias: KeyAlias, outbox: AliasEntry[]): Promise<void> {
    const later = (error: unknown) =>
      this.logger.warn(`${alias.alias} revision ${alias.revision} will be delivered later: ${String(error)}`);
    await this.delivery.put(alias).catch(later);
    void this.relay.deliverNow(outbox.map((entry) => ({ aggregateId: alias.alias, entryId: entry.id, entry }))).catch(later);
  }
}
