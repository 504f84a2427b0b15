import { type CloudEvent, cloudEvent, eventSubject, internalOperations, type KekView, type KeyView } from '@claviger/contracts';
import { askInternal, type KvOwner, type OutboxItem, type RecordIntent } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Kek, viewKek } from './kek';
import type { Key } from './key';
import { describeKey, viewKey } from './key-description';
import type { KeyStore, OutboxEntry } from './key-store';

const hsmTimeoutMs = 5_000;

/** Takes what a change left in its outbox to where it belongs. Doing it twice has the effect of once. */
export class Delivery {
  constructor(
    private readonly connection: NatsConnection,
    private readonly owner: KvOwner<KeyView | KekView>,
    private readonly store: KeyStore,
  ) {}

  deliver = async ({ aggregateId, entry }: OutboxItem<OutboxEntry>): Promise<void> => {
    if (entry.kind === 'event') {
      await jetstream(this.connection).publish(eventSubject(entry.event.type, aggregateId), JSON.stringify(entry.event), {
        msgID: entry.event.id,
      });
      return;
    }
    if (entry.kind === 'token-key') {
      const { token, label } = this.store.abandoned(aggregateId, entry.signed);
      await askInternal(this.connection, internalOperations.destroyKey, { token, label }, { timeoutMs: hsmTimeoutMs });
      return;
    }
    const key = await this.store.get(aggregateId);
    if (key) await this.owner.put(viewKey(key));
  };

  putKek = (kek: Kek): Promise<unknown> => this.owner.put(viewKek(kek));

  putKey = (key: Key): Promise<unknown> => this.owner.put(viewKey(key));
}

/** The messages of a change: first the view, since that is what makes it true at the workers. */
export function outboxOf(key: Key, type: 'io.claviger.key.created' | 'io.claviger.key.changed', intent: RecordIntent): OutboxEntry[] {
  const id = `${key.keyId}.${key.revision}`;
  const event: CloudEvent = cloudEvent(type, {
    id,
    source: 'claviger/key-lifecycle',
    time: intent.at,
    subject: key.keyId,
    data: { ...describeKey(key), change: changeOf(intent) },
  });
  return [
    { id: `${id}.view`, kind: 'view' },
    { id: `${id}.event`, kind: 'event', event },
  ];
}

function changeOf({ id, entry: { action, principal, session, reason, requestId } }: RecordIntent) {
  return { action, by: principal, session, record: id, ...(reason === undefined ? {} : { reason }), ...(requestId ? { requestId } : {}) };
}
