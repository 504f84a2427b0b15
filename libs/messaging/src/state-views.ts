import type { KeyObject } from 'node:crypto';
import { type BucketName, BundleView, ChangesView, KeysView, MarkView, SessionsView } from '@claviger/contracts';
import type { NatsConnection } from '@nats-io/transport-node';
import type { z } from 'zod';
import { KvView, type KvViewOptions, type RefusedEntry, type ViewRecord } from './kv-view';
import { verifyRecord } from './signed-record';

/** JWS `typ` of each bucket's records: a record of one bucket is never accepted in another. */
export const recordTypes = {
  keys: 'claviger-key+jws',
  sessions: 'claviger-session+jws',
  policy: 'claviger-policy+jws',
  changes: 'claviger-change+jws',
} as const satisfies Record<BucketName, string>;

export interface StateViewOptions {
  connection: NatsConnection;
  /** Unique per process. */
  holder: string;
  /** Control keys of `trust.json`. */
  trusted: ReadonlyMap<string, KeyObject>;
  onRefused: (refused: RefusedEntry) => void;
  /** A watch that is not open yet, or fell silent: nothing that somebody did. */
  onTrouble?: (what: string) => void;
  /** A mark older than this is refused at start; default 15 min. */
  markMaxAgeMs?: number;
  /** Of each of its probes that came back: when it was sent (monotonic ms), and when the broker stored it (ms since 1970). */
  onProbe?: (sentAt: number, storedMs: number) => void;
}

/** Expired sessions and revocations may go a little later than they end, so that a request in flight still learns that it expired. */
const expired = ({ expiresAt }: SessionsView) => expiresAt !== undefined && Date.parse(expiresAt) + 60_000 < Date.now();

/** KEKs are needed for every key under them, and restricted keys are not to wait. */
export const isPinned = (record: KeysView): boolean =>
  record.kind === 'kek' || (record.kind === 'key' && record.classification === 'restricted');

/** `atMost`: not every key is held whole, but so many of those that are not pinned (`isPinned`). */
export const openKeysView = (options: StateViewOptions, { atMost }: { atMost?: number } = {}): KvView<KeysView> =>
  open<KeysView>(
    { ...options, withDigest: true, ...(atMost === undefined ? {} : { lazy: { atMost, pinned: isPinned } }) },
    'keys',
    (payload) => KeysView.parse(payload),
    () => true,
    () => false,
  );

/** The mark covers every revocation: what it ended must not come back to life. */
export const openSessionsView = (options: StateViewOptions): KvView<SessionsView> =>
  open<SessionsView>(
    options,
    'sessions',
    (payload) => SessionsView.parse(payload),
    (s) => !(s.kind === 'session' && s.state === 'active') && !expired(s),
    expired,
  );

export const openPolicyView = (options: StateViewOptions): KvView<BundleView> =>
  open<BundleView>(
    options,
    'policy',
    (payload) => BundleView.parse(payload),
    () => true,
    () => false,
  );

/** What ended must not begin again: the mark covers every change, and what became of it, until it has expired. */
export const openChangesView = (options: StateViewOptions): KvView<ChangesView> =>
  open<ChangesView>(
    options,
    'changes',
    (payload) => ChangesView.parse(payload),
    (change) => !isOver(change),
    isOver,
  );
const isOver = (change: ChangesView) => Date.parse(change.expiresAt) + 60_000 < Date.now();

/** The revision of a stored value, when it is what the owner signed: what KvOwner compares before it writes. */
export const revisionReader =
  (bucket: BucketName, trusted: ReadonlyMap<string, KeyObject>) =>
  (key: string, value: string): number | undefined => {
    try {
      const { id, revision } = verifyRecord(recordTypes[bucket], value, trusted) as ViewRecord;
      return id === key && Number.isSafeInteger(revision) ? revision : undefined;
    } catch {
      return undefined;
    }
  };

function open<T extends ViewRecord>(
  {
    connection,
    holder,
    trusted,
    onRefused,
    onTrouble = () => undefined,
    markMaxAgeMs,
    ...more
  }: StateViewOptions & Pick<KvViewOptions<T>, 'lazy' | 'withDigest'>,
  bucket: BucketName,
  parse: (payload: unknown) => T,
  covered: (record: T) => boolean,
  mayForget: (record: T) => boolean,
): KvView<T> {
  const payload = (value: string) => verifyRecord(recordTypes[bucket], value, trusted);
  return new KvView<T>({
    connection,
    bucket,
    holder,
    verify: (_key, value) => parse(payload(value)),
    verifyMark: (value) => MarkView.parse(payload(value)) satisfies z.infer<typeof MarkView>,
    covered,
    mayForget,
    ...(markMaxAgeMs === undefined ? {} : { markMaxAgeMs }),
    onRefused,
    onTrouble,
    ...more,
  });
}
