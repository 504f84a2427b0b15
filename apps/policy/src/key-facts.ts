import type { KeyObject } from 'node:crypto';
import { isAlias, KeysView, type KeyView, ProblemError } from '@claviger/contracts';
import { recordTypes, verifyRecord } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';

/** Reads single keys of the bucket, for requests of access to one and for questions about one: this service follows none. */
export class KeyFacts {
  private bucket: Promise<KV> | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
  ) {}

  /** By its id, or an alias that points to it. Throws ERR_NOT_FOUND, ERR_STATE_STALE. */
  async read(ref: string): Promise<KeyView> {
    const named = isAlias(ref) ? await this.record(ref) : undefined;
    const id = named?.kind === 'alias' ? named.keyId : isAlias(ref) ? undefined : ref;
    const key = id === undefined ? undefined : await this.record(id);
    if (key?.kind !== 'key') throw new ProblemError('ERR_NOT_FOUND', `There is no key ${ref}.`);
    return key;
  }

  private async record(id: string): Promise<KeysView | undefined> {
    let found: KeysView | undefined;
    try {
      this.bucket ??= new Kvm(jetstream(this.connection)).open('keys');
      const entry = await (await this.bucket).get(id);
      found = entry?.operation === 'PUT' ? KeysView.parse(verifyRecord(recordTypes.keys, entry.string(), this.trusted)) : undefined;
    } catch (cause) {
      this.bucket = undefined;
      throw new ProblemError('ERR_STATE_STALE', 'The key cannot be read now, or is not what key-lifecycle signed.', { cause });
    }
    return found?.id === id ? found : undefined;
  }
}
