import { randomUUID } from 'node:crypto';
import { type BucketName, limits } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';

/** What a holder writes into the bucket. */
export const Probe = z.object({
  /** Random, and known to its writer alone until it is in the bucket: nobody can make up one that comes back. */
  nonce: z.string(),
  /** From now on it may be serving from this view. */
  ready: z.boolean(),
});
export type Probe = z.infer<typeof Probe>;
/** Probes of processes that are gone do not stay. */
const probeTtl = '60s';
/** Probes that are waited for at once; one that is older than all of these is late beyond use. */
const outstandingMax = 20;

export interface WatchProofOptions {
  connection: NatsConnection;
  bucket: BucketName;
  /** Name of this holder, unique per process: its probe is `probe.<holder>`. */
  holder: string;
  /** Monotonic milliseconds. */
  now: () => number;
  /** Of a probe of ours that came back: when it was sent (monotonic ms), and when the broker stored it (ms since 1970). */
  onReturn?: ((sentAt: number, storedMs: number) => void) | undefined;
}

/**
 * Proof that a watch delivers: our own probe, written into the bucket, came back through it, and with it everything that was in the bucket before. What
 * is proven counts from when the probe was *sent*, so an owner that saw a probe knows when its holder goes stale. A probe that says "ready" announces
 * its holder: whoever reads the bucket in order knows of every holder before it serves.
 */
export class WatchProof {
  /** What we wrote and have not seen again, by nonce, the oldest first. */
  private readonly outstanding = new Map<string, { sentAt: number; ready: boolean }>();
  /** When the newest of our probes that came back was sent, and the newest of those that said "ready". */
  private provenAt = Number.NEGATIVE_INFINITY;
  private announcedAt = Number.NEGATIVE_INFINITY;
  /** When each holder was last heard to be ready, the one heard longest ago first. */
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
  take(holder: string, { nonce, ready }: Probe, storedMs: number): boolean {
    if (ready) this.heard(holder);
    const sent = holder === this.options.holder ? this.outstanding.get(nonce) : undefined;
    if (!sent) return false;
    this.outstanding.delete(nonce);
    this.options.onReturn?.(sent.sentAt, storedMs);
    if (!(sent.sentAt > this.provenAt)) return false;
    this.provenAt = sent.sentAt;
    if (sent.ready) this.announcedAt = sent.sentAt;
    return true;
  }

  private heard(holder: string): void {
    this.holders.delete(holder);
    this.holders.set(holder, this.options.now());
    this.forgetSilent();
  }

  /** Writes a probe. One that does not get there does not come back: that is what is asked. */
  async send(ready: boolean): Promise<void> {
    const { connection, bucket, holder, now } = this.options;
    const probe: Probe = { nonce: randomUUID(), ready };
    this.outstanding.set(probe.nonce, { sentAt: now(), ready });
    const [oldest] = this.outstanding.keys();
    if (this.outstanding.size > outstandingMax && oldest !== undefined) this.outstanding.delete(oldest);
    const ttl = headers();
    ttl.set('Nats-TTL', probeTtl);
    await jetstream(connection)
      .publish(`$KV.${bucket}.probe.${holder}`, JSON.stringify(probe), { headers: ttl })
      .catch(() => undefined);
  }

  /** Holders that may be serving from the bucket now. One that has not said "ready" for 2 s is fenced: it knows that it is stale and refuses. */
  liveHolders(): string[] {
    this.forgetSilent();
    return [...this.holders.keys()];
  }

  private forgetSilent(): void {
    for (const [holder, readyAt] of this.holders) {
      if (this.isRecent(readyAt)) return;
      this.holders.delete(holder);
    }
  }

  private isRecent(at: number): boolean {
    return this.options.now() - at <= limits.viewStaleAfterMs;
  }
}
