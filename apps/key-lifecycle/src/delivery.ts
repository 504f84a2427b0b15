import { type CloudEvent, cloudEvent, eventSubject, internalOperations, type KeysView } from '@claviger/contracts';
import { type AuditTrail, askInternal, type KvOwner, type OutboxItem, type RecordIntent } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { BackupsOf } from './destruction';
import { type Kek, viewKek } from './kek';
import type { Key } from './key';
import { describeKey, viewKey } from './key-description';
import type { KeyStore, OutboxEntry } from './key-store';

const hsmTimeoutMs = 5_000;
/** Enough for the changes of a few seconds. */
const rememberedMax = 10_000;

/** Takes what a change left in its outbox to where it belongs. Doing it twice has the effect of once. */
export class Delivery {
  /** Entries of outboxes that ask for a revision in the bucket which this process has just put there. */
  private readonly put = new Set<string>();

  constructor(
    private readonly connection: NatsConnection,
    private readonly owner: KvOwner<KeysView>,
    private readonly store: KeyStore,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly backupsOf: BackupsOf,
  ) {}

  deliver = async ({ aggregateId, entry }: OutboxItem<OutboxEntry>): Promise<void> => {
    if (entry.kind === 'event') return this.publish(aggregateId, entry.event);
    if (entry.kind === 'token-key') {
      const { token, label } = this.store.abandoned(aggregateId, entry.signed);
      await askInternal(this.connection, internalOperations.destroyKey, { token, label }, { timeoutMs: hsmTimeoutMs });
      return;
    }
    if (entry.kind === 'destruction') return this.certify(aggregateId, entry.id, entry.signed);
    if (this.put.delete(entry.id)) return;
    const key = await this.store.get(aggregateId);
    if (key) await this.owner.put(viewKey(key));
  };

  private async publish(keyId: string, event: CloudEvent): Promise<void> {
    await jetstream(this.connection).publish(eventSubject(event.type, keyId), JSON.stringify(event), { msgID: event.id });
  }

  /** Comes after the objects of the tokens in the outbox, so that they are gone by now. The certificate is kept, then recorded, then told. */
  private async certify(keyId: string, id: string, signed: string): Promise<void> {
    const now = new Date().toISOString();
    const certificate = await this.store.certified(keyId, signed, now, this.backupsOf);
    await this.trail.append({ kind: 'destruction', keyId, certificate }, id);
    const key = await this.store.get(keyId);
    if (!key) return;
    const data = { keyId, name: key.name, owner: key.owner, certificate, record: id };
    await this.publish(
      keyId,
      cloudEvent('io.claviger.key.destroyed', { id, source: 'claviger/key-lifecycle', time: now, subject: keyId, data }),
    );
  }

  putKek = (kek: Kek): Promise<unknown> => this.owner.put(viewKek(kek));

  /** A key as the store has it. */
  putKey = (key: Key): Promise<unknown> => this.owner.put(viewKey(key));

  /** A key that this process has just changed, or made. */
  async putChanged(key: Key): Promise<void> {
    await (key.revision === 1 ? this.owner.putNew(viewKey(key)) : this.owner.put(viewKey(key)));
    this.put.add(viewEntryId(key));
    for (const oldest of this.put) {
      if (this.put.size <= rememberedMax) return;
      this.put.delete(oldest);
    }
  }
}

const viewEntryId = ({ keyId, revision }: Key) => `${keyId}.${revision}.view`;

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
    { id: viewEntryId(key), kind: 'view' },
    { id: `${id}.event`, kind: 'event', event },
  ];
}

function changeOf({ id, entry: { action, principal, session, reason, requestId } }: RecordIntent) {
  return { action, by: principal, session, record: id, ...(reason === undefined ? {} : { reason }), ...(requestId ? { requestId } : {}) };
}
