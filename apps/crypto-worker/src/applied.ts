import { type Applied, appliedSubject, type BucketName } from '@claviger/contracts';
import type { KvView, ViewRecord } from '@claviger/messaging';
import type { CoreService } from '@claviger/service';

/**
 * Tells the owner of a bucket that this worker holds a new revision. It is said only after every record that was in flight is durable:
 * from then on no success on the older revision can appear in the ledger from here.
 */
export function acknowledgeChanges<T extends ViewRecord>(
  { connection, trail, viewOptions }: Pick<CoreService, 'connection' | 'trail' | 'viewOptions'>,
  bucket: BucketName,
  view: KvView<T>,
): void {
  view.onChange(async ({ id, revision }) => {
    await trail.commit.drained();
    const applied: Applied = { worker: viewOptions.holder, id, revision };
    if (!connection.isClosed()) connection.publish(appliedSubject(bucket), JSON.stringify(applied));
  });
}
