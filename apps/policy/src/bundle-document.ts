import type { KeyObject } from 'node:crypto';
import { bundleHash } from '@claviger/authz';
import { BundleView, type CloudEvent, PolicyBundle, packedWhenLong } from '@claviger/contracts';
import { type RecordSigner, recordTypes, signRecord, verifyRecord } from '@claviger/messaging';

export const bundleId = 'bundle';

export type OutboxEntry = { id: string; kind: 'view' } | { id: string; kind: 'event'; event: CloudEvent };

/** What the store holds of the bundle: in clear for people and queries, and as the record that the service signed. */
export type StoredBundle = PolicyBundle & { record: string };

/** The stored bundle is not what this service signed: somebody edited it behind its back. */
export class TamperedBundle extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(`the stored bundle is not what was signed: ${reason}`, options);
    this.name = 'TamperedBundle';
  }
}

/** @throws PackedError for one that is too large */
export function sealBundle(bundle: PolicyBundle, signer: RecordSigner): { stored: StoredBundle; view: BundleView } {
  const view: BundleView = {
    kind: 'bundle',
    id: bundleId,
    revision: bundle.revision,
    hash: bundleHash(bundle),
    bundle: packedWhenLong(bundle),
  };
  return { stored: { ...bundle, record: signRecord(recordTypes.policy, view, signer) }, view };
}

/** The bundle that was signed, when what is stored in clear is the same. Throws TamperedBundle. */
export function openBundle(
  stored: Record<string, unknown>,
  trusted: ReadonlyMap<string, KeyObject>,
): { bundle: PolicyBundle; view: BundleView } {
  const { record, ...clear } = stored;
  let view: BundleView;
  try {
    view = BundleView.parse(verifyRecord(recordTypes.policy, String(record), trusted));
  } catch (cause) {
    throw new TamperedBundle('its record does not verify', { cause });
  }
  const bundle = PolicyBundle.safeParse(clear);
  if (!bundle.success) throw new TamperedBundle('it is no bundle');
  if (view.id !== bundleId || view.revision !== bundle.data.revision || view.hash !== bundleHash(bundle.data))
    throw new TamperedBundle('its record is of another content');
  return { bundle: bundle.data, view: { ...view, bundle: packedWhenLong(bundle.data) } };
}
