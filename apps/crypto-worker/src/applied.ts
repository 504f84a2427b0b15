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
  const acknowledge = async (applied: Applied) => {
    await trail.commit.drained();
    connection.publish(appliedSubject(bucket), JSON.stringify(applied));
  };
  // A connection that is closed or drains takes no more: then this worker is fenced instead.
  const told = ({ id, revision }: { id: string; revision: number }) =>
    void acknowledge({ worker: viewOptions.holder, id, revision }).catch(() => undefined);
  view.onChange(told);
  view.onIndexed(told);
}
