import type { KV, KvEntry } from '@nats-io/kv';
import type { MsgHdrs } from '@nats-io/transport-node';
import { endWatch, type Watch } from './bucket-watch';

/** Headers of a record in a bucket. Nobody signs them: what they say is proven by the owner's mark, and by each record when it is read. */
export const recordHeaders = { revision: 'Claviger-Revision', preload: 'Claviger-Preload' } as const;

/** So long nothing may come in between. */
const silenceMs = 10_000;

export interface IndexEntry {
  id: string;
  /** Undefined where no header says it. */
  revision: number | undefined;
  /** Of the bucket's stream. */
  sequence: number;
  /** By the broker's clock, ms since 1970. */
  createdMs: number;
  preload: boolean;
}

/** What is in a bucket, by the headers of its newest records, in their order. Gives the sequence that it was read up to. */
export async function readIndex(kv: KV, onEntry: (entry: IndexEntry) => void): Promise<number> {
  const watch: Watch = await kv.watch({ key: '>', headers_only: true });
  let sequence = 0;
  let timer: NodeJS.Timeout | undefined;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => watch.stop(), silenceMs);
  };
  try {
    listen();
    for await (const entry of watch) {
      listen();
      sequence = entry.revision;
      if (entry.operation === 'PUT' && !entry.key.startsWith('probe.')) onEntry(indexEntry(entry));
      // The last of those that were there when it began, or one that came since.
      if ((entry as { isUpdate?: boolean }).isUpdate) return sequence;
    }
  } finally {
    clearTimeout(timer);
    endWatch(watch);
  }
  throw new Error(`nothing came for ${silenceMs} ms`);
}

function indexEntry(entry: KvEntry): IndexEntry {
  const headers = (entry as KvEntry & { sm?: { headers?: MsgHdrs } }).sm?.headers;
  const revision = Number(headers?.get(recordHeaders.revision) || Number.NaN);
  return {
    id: entry.key,
    revision: Number.isSafeInteger(revision) && revision > 0 ? revision : undefined,
    sequence: entry.revision,
    createdMs: entry.created.getTime(),
    preload: headers?.has(recordHeaders.preload) ?? false,
  };
}
