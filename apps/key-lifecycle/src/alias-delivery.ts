import { type CloudEvent, cloudEvent, eventSubject, type KeysView } from '@claviger/contracts';
import type { KvOwner, KvView, OutboxItem, RecordIntent } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { type KeyAlias, targetOf, viewAlias } from './alias';
import type { AliasEntry, AliasStore } from './alias-store';
import { TamperedDocument } from './signed-documents';

const aliasesPerPage = 500;

/** Takes what a change of an alias left in its outbox to where it belongs. Doing it twice has the effect of once. */
export class AliasDelivery {
  constructor(
    private readonly connection: NatsConnection,
    private readonly owner: Pick<KvOwner<KeysView>, 'put'>,
    private readonly store: AliasStore,
  ) {}

  put = (alias: KeyAlias): Promise<unknown> => this.owner.put(viewAlias(alias));

  deliver = async ({ aggregateId, entry }: OutboxItem<AliasEntry>): Promise<void> => {
    if (entry.kind === 'event') return this.publish(entry.event);
    const alias = await this.store.get(aggregateId);
    if (alias) await this.put(alias);
  };

  private async publish(event: CloudEvent): Promise<void> {
    const { keyId, previousKeyId } = event.data as CloudEvent<'io.claviger.key.alias-changed'>['data'];
    await jetstream(this.connection).publish(eventSubject(event.type, keyId ?? previousKeyId), JSON.stringify(event), { msgID: event.id });
  }

  /** Brings the bucket up to what the document store says, and the index with it. */
  async rebuild(): Promise<number> {
    let count = 0;
    for await (const { aliases, misindexed } of this.pages()) {
      for (const alias of aliases) await this.put(alias);
      for (const alias of misindexed) await this.store.reindex(alias);
      count += aliases.length;
    }
    return count;
  }

  /** Reads all of the store for what no request would notice: an alias that was hidden from lists, or is gone. The store tells what is wrong. */
  async check(view: Pick<KvView<KeysView>, 'ids'>): Promise<void> {
    const found = new Set<string>();
    for await (const { aliases, misindexed } of this.pages()) {
      for (const { alias } of aliases) found.add(alias);
      for (const alias of misindexed) await this.store.reindex(alias);
    }
    for (const id of view.ids())
      if (id.startsWith('alias/') && !found.has(id))
        await this.store.get(id).catch((error) => {
          if (!(error instanceof TamperedDocument)) throw error;
        });
  }

  private async *pages() {
    let after: string | undefined;
    do {
      const page = await this.store.list(after, aliasesPerPage);
      yield page;
      after = page.next;
    } while (after);
  }
}

/** The messages of a change: first the view, since that is what makes it true at the workers. */
export function aliasOutboxOf(from: KeyAlias | undefined, to: KeyAlias, { id: record, at, entry }: RecordIntent): AliasEntry[] {
  const id = `${to.alias}.${to.revision}`;
  const [keyId, previousKeyId] = [targetOf(to), targetOf(from) ?? (to.deleted ? to.keyId : undefined)];
  const event = cloudEvent('io.claviger.key.alias-changed', {
    ...{ id, source: 'claviger/key-lifecycle', time: at, subject: to.alias },
    data: {
      ...{ alias: to.alias, ...(keyId ? { keyId } : {}), ...(previousKeyId ? { previousKeyId } : {}), revision: to.revision },
      ...{ by: entry.principal, ...(entry.reason === undefined ? {} : { reason: entry.reason }), record },
    },
  });
  return [
    { id: `${id}.view`, kind: 'view' },
    { id: `${id}.event`, kind: 'event', event },
  ];
}
