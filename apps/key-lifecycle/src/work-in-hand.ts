import type { BackupStore, Work } from './backup-store';

const claimMs = 60_000;
const extendEveryMs = 15_000;

/** Long work that one replica does at a time: a claim in the store that is extended while it goes on, so that another can do it when this one dies. */
export class WorkInHand {
  private readonly going = new Set<Promise<void>>();

  constructor(
    private readonly store: Pick<BackupStore, 'claim' | 'release'>,
    private readonly holder: string,
    private readonly onLost: (work: Work, error: unknown) => void,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** False when somebody else has it in hand; true when `work` has begun, which is not waited for. `begin` is, with the claim held. */
  async begin<T>(name: Work, begin: () => Promise<T>, work: (begun: T) => Promise<void>): Promise<{ begun: T } | undefined> {
    const holder = `${this.holder}.${this.nowMs()}.${this.going.size}`;
    if (!(await this.store.claim(name, holder, this.nowMs(), claimMs))) return undefined;
    const extend = setInterval(() => {
      this.store.claim(name, holder, this.nowMs(), claimMs).then(
        (held) => held || this.onLost(name, 'another process has it in hand'),
        (error) => this.onLost(name, error),
      );
    }, extendEveryMs);
    const release = async () => {
      clearInterval(extend);
      await this.store.release(name, holder).catch(() => undefined);
    };
    let begun: T;
    try {
      begun = await begin();
    } catch (error) {
      await release();
      throw error;
    }
    const going = work(begun)
      .catch((error) => this.onLost(name, error))
      .finally(release)
      .finally(() => this.going.delete(going));
    this.going.add(going);
    return { begun };
  }

  /** Resolves when all of it is done. */
  async idle(): Promise<void> {
    await Promise.all(this.going);
  }
}
