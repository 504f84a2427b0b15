import { ProblemError } from '@claviger/contracts';
import { LRUCache } from 'lru-cache';

/** A small block first, since what is left of it is lost with this process; then larger ones as they are used up. */
const firstBlock = 4_096;
export const largestBlock = 1_048_576;
/** The next block is asked for when this share of the last one is left. */
const refillAt = 0.25;

/** After a block did not come, none is asked for under this key for so long: requests that come meanwhile must not each ask again. */
const retryMs = 500;

interface Lease {
  left: number;
  block: number;
  asking: Promise<void> | undefined;
  /** Why the last block did not come. */
  failure: ProblemError | undefined;
  retryAt: number;
}

/** `keyId`'s next `count` encryptions under `version`; resolves with how many were granted. Rejects with ProblemError ERR_KEY_EXHAUSTED at the limit. */
export type AskLease = (keyId: string, version: number, count: number) => Promise<number>;

/**
 * AES-GCM invocations that this worker may still make, by key version: leased in blocks, so that the count over all workers is an upper bound
 * without a round trip per use. What is not there is not used: without a block there is no encryption.
 */
export class InvocationLeases {
  private readonly leases: LRUCache<string, Lease>;
  private readonly now: () => number;

  constructor(
    private readonly ask: AskLease,
    options: { capacity: number /** Monotonic milliseconds. */; now?: () => number },
  ) {
    this.now = options.now ?? (() => performance.now());
    this.leases = new LRUCache({ max: options.capacity });
  }

  /** Resolves when the next `take` may succeed; undefined when it will. Never rejects: `take` says what is wrong, to whom policy allows the use. */
  ready(keyId: string, version: number): Promise<void> | undefined {
    const lease = this.leases.get(`${keyId}#${version}`);
    return lease && lease.left > 0 ? undefined : this.refill(keyId, version, lease);
  }

  /** One invocation. @throws ProblemError ERR_KEY_EXHAUSTED, or why no block came */
  take(keyId: string, version: number): void {
    const lease = this.leases.get(`${keyId}#${version}`);
    if (!lease || lease.left === 0) throw lease?.failure ?? new ProblemError('ERR_LEASE_UNAVAILABLE');
    lease.left--;
    if (lease.left < lease.block * refillAt) void this.refill(keyId, version, lease);
  }

  private refill(keyId: string, version: number, known: Lease | undefined): Promise<void> {
    const lease = known ?? { left: 0, block: firstBlock / 4, asking: undefined, failure: undefined, retryAt: 0 };
    if (!known) this.leases.set(`${keyId}#${version}`, lease);
    if (lease.failure && !lease.asking && this.now() < lease.retryAt) return Promise.resolve();
    lease.asking ??= this.fill(keyId, version, lease);
    return lease.asking;
  }

  private async fill(keyId: string, version: number, lease: Lease): Promise<void> {
    const asked = Math.min(largestBlock, lease.block * 4);
    try {
      lease.left += await this.ask(keyId, version, asked);
      lease.block = asked;
      lease.failure = undefined;
    } catch (error) {
      const told = error instanceof ProblemError && error.code === 'ERR_KEY_EXHAUSTED';
      lease.failure = told ? error : new ProblemError('ERR_LEASE_UNAVAILABLE', undefined, { cause: error });
      lease.retryAt = this.now() + retryMs;
    } finally {
      lease.asking = undefined;
    }
  }
}
