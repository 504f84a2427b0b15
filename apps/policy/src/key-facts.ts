import type { KeyObject } from 'node:crypto';
import type { WantedKey } from '@claviger/authz';
import { KeysView, ProblemError } from '@claviger/contracts';
import { recordTypes, verifyRecord } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';

/** Reads single keys of the bucket, for requests of access to one: this service follows none. */
export class KeyFacts {
  private bucket: Promise<KV> | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
  ) {}

  /** Throws ERR_NOT_FOUND, ERR_STATE_STALE. */
  async read(id: string): Promise<WantedKey> {
    let key: KeysView | undefined;
    try {
      this.bucket ??= new Kvm(jetstream(this.connection)).open('keys');
      const entry = await (await this.bucket).get(id);
      key = entry?.operation === 'PUT' ? KeysView.parse(verifyRecord(recordTypes.keys, entry.string(), this.trusted)) : undefined;
    } catch (cause) {
      this.bucket = undefined;
      throw new ProblemError('ERR_STATE_STALE', 'The key cannot be read now, or is not what key-lifecycle signed.', { cause });
    }
    if (key?.kind !== 'key' || key.id !== id) throw new ProblemError('ERR_NOT_FOUND', `There is no key ${id}.`);
    return { environment: key.environment, classification: key.classification };
  }
}
