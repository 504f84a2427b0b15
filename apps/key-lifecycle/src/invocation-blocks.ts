import { ProblemError } from '@claviger/contracts';
import { give, type LeaseBounds } from './invocations';
import type { KeyStore, OutboxEntry } from './key-store';

interface Asked {
  version: number;
  count: number;
  /** Monotonic ms after which nobody waits for it any more. */
  until: number;
  resolve: (granted: number) => void;
  reject: (error: unknown) => void;
}

const attempts = 8;
/** As long as workers wait. */
const patienceMs = 2_000;

/**
 * Blocks of encryptions, given out to workers. What is asked for one key at the same time is given by one change of it: workers that were just started
 * ask for the same keys at once, and with a compare-and-set each they would race against each other until their callers give up.
 */
export class InvocationBlocks {
  /** Who waits, by key; a key that is being worked on has an entry. */
  private readonly waiting = new Map<string, Asked[]>();

  constructor(
    private readonly store: Pick<KeyStore, 'invocations' | 'changeInvocations'>,
    private readonly bounds: LeaseBounds,
  ) {}

  /** How many of `count` are given. @throws ProblemError ERR_KEY_UNKNOWN, ERR_KEY_EXHAUSTED, ERR_CONFLICT (other processes were always first) */
  give(keyId: string, version: number, count: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const asked = { version, count, until: performance.now() + patienceMs, resolve, reject };
      const others = this.waiting.get(keyId);
      if (others) others.push(asked);
      else {
        this.waiting.set(keyId, [asked]);
        void this.work(keyId, this.waiting.get(keyId) as Asked[]);
      }
    });
  }

  private async work(keyId: string, waiting: Asked[]): Promise<void> {
    while (waiting.length > 0) {
      const [late, together] = parted(waiting.splice(0), ({ until }) => until < performance.now());
      // A block for somebody who is gone would be lost.
      for (const { reject } of late) reject(new ProblemError('ERR_TIMEOUT'));
      if (together.length === 0) continue;
      try {
        await this.giveAll(keyId, together);
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.waiting.delete(keyId);
  }

  private async giveAll(keyId: string, together: readonly Asked[]): Promise<void> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await this.store.invocations(keyId);
      if (!from) throw new ProblemError('ERR_KEY_UNKNOWN');
      let to = from.invocations;
      const outbox: OutboxEntry[] = [];
      const settle = together.map(({ version, count, resolve, reject }) => {
        try {
          const given = give(to, version, count, this.bounds, new Date().toISOString());
          to = given.to;
          outbox.push(...given.outbox);
          return () => resolve(given.granted);
        } catch (error) {
          return () => reject(error);
        }
      });
      const isChanged = to !== from.invocations;
      if (isChanged && !(await this.store.changeInvocations(from, to, outbox))) continue;
      for (const one of settle) one();
      return;
    }
    throw new ProblemError('ERR_CONFLICT');
  }
}

function parted<T>(all: readonly T[], is: (one: T) => boolean): [T[], T[]] {
  const { yes = [], no = [] } = Object.groupBy(all, (one) => (is(one) ? 'yes' : 'no'));
  return [yes, no];
}
