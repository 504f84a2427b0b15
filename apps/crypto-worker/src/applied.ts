import { type Applied, appliedSubject, type BucketName } from '@claviger/contracts';
import type { AuditTrail, KvView, ViewRecord } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';

/**
 * Tells the owner of a bucket that this worker holds a new revision. It is said only after every record that was in flight is durable:
 * from then on no success on the older revision can appear in the ledger from here.
 */
export function acknowledgeChanges<T extends ViewRecord>(
  connection: NatsConnection,
  bucket: BucketName,
  worker: string,
  view: KvView<T>,
  trail: AuditTrail,
): void {
  view.onChange(async ({ id, revision }) => {
    await trail.commit.drained();
    const applied: Applied = { worker, id, revision };
    if (!connection.isClosed()) connection.publish(appliedSubject(bucket), JSON.stringify(applied));
  });
}
