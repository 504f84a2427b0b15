import { randomUUID } from 'node:crypto';
import { type BucketName, limits } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';

/** What a holder writes into the bucket. */
export const Probe = z.object({
  /** Random, per view object: what an earlier process of the same name wrote proves nothing. */
  run: z.string(),
  /** By the holder's own monotonic clock. */
  sentAt: z.number(),
  /** From now on it may be serving from this view. */
  ready: z.boolean(),
});
export type Probe = z.infer<typeof Probe>;
/** Probes of processes that are gone do not stay. */
const probeTtl = '60s';

export interface WatchProofOptions {
  connection: NatsConnection;
  bucket: BucketName;
  /** Name of this holder, unique per process: its probe is `probe.<holder>`. */
  holder: string;
  /** Monotonic milliseconds. */
  now: () => number;
}

/**
 * Proof that a watch delivers: our own probe, written into the bucket, came back through it, and with it everything that was in the bucket before. What
 * is proven counts from when the probe was *sent*, so an owner that saw a probe knows when its holder goes stale. A probe that says "ready" announces
 * its holder: whoever reads the bucket in order knows of every holder before it serves.
 */
export class WatchProof {
  private readonly run = randomUUID();
  /** When the newest of our probes that came back was sent, and the newest of those that said "ready". */
  private provenAt = Number.NEGATIVE_INFINITY;
  private announcedAt = Number.NEGATIVE_INFINITY;
  /** When each holder was last heard to be ready. */
  private readonly holders = new Map<string, number>();

  constructor(private readonly options: WatchProofOptions) {}

  /** Whether any probe of ours has come back: the bucket has been read once. */
  get once(): boolean {
    return this.provenAt > Number.NEGATIVE_INFINITY;
  }

  /** True while the watch has proven itself within the last 2 s. */
  get proven(): boolean {
    return this.isRecent(this.provenAt);
  }

  /** True while it has done so, and said then that we are ready. */
  get announced(): boolean {
    return this.isRecent(this.announcedAt);
  }

  /** For how long the watch, opened at `openedAt`, has proven nothing, in ms. */
  silentFor(openedAt: number): number {
    return this.options.now() - Math.max(this.provenAt, openedAt);
  }

  /** Takes a probe that the watch delivered. True when it is our own, and newer than what it proved before. */
  take(holder: string, { run, sentAt, ready }: Probe): boolean {
    if (ready) this.holders.set(holder, this.options.now());
    if (holder !== this.options.holder || run !== this.run || !(sentAt > this.provenAt)) return false;
    this.provenAt = sentAt;
    if (ready) this.announcedAt = sentAt;
    return true;
  }

  /** Writes a probe. One that does not get there does not come back: that is what is asked. */
  async send(ready: boolean): Promise<void> {
    const { connection, bucket, holder, now } = this.options;
    const probe: Probe = { run: this.run, sentAt: now(), ready };
    const ttl = headers();
    ttl.set('Nats-TTL', probeTtl);
    await jetstream(connection)
      .publish(`$KV.${bucket}.probe.${holder}`, JSON.stringify(probe), { headers: ttl })
      .catch(() => undefined);
  }

  /** Holders that may be serving from the bucket now. One that has not said "ready" for 2 s is fenced: it knows that it is stale and refuses. */
  liveHolders(): string[] {
    for (const [holder, readyAt] of this.holders) if (!this.isRecent(readyAt)) this.holders.delete(holder);
    return [...this.holders.keys()];
  }

  private isRecent(at: number): boolean {
    return this.options.now() - at <= limits.viewStaleAfterMs;
  }
}
