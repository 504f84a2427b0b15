import { setTimeout as delay } from 'node:timers/promises';
import type { BucketName } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';

const retryAfterMs = 500;

/** Waits for a broker that is away, slow or not provisioned yet: that must not end a service. Throws when the connection is closed meanwhile. */
export async function openBucket(connection: NatsConnection, bucket: BucketName, onFailure: (error: unknown) => void): Promise<KV> {
  for (;;) {
    try {
      return await new Kvm(jetstream(connection)).open(bucket);
    } catch (error) {
      if (connection.isClosed()) throw error;
      onFailure(error);
      await delay(retryAfterMs);
    }
  }
}
