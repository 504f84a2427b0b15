import { type KeysView, ProblemError, type SeenToken, tokenHsmOperations } from '@claviger/contracts';
import { askInternal, type KvView } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';

const hsmTimeoutMs = 5_000;
/** Who asks again sooner gets the same answer. */
const freshMs = 5_000;
/** What a worker said counts so long: any of them answers, and each is asked now and then. */
const heardMs = 600_000;
/** Which worker answers is chance, so it is asked twice for each that has not yet. */
const askedAtMost = 32;
const holderPrefix = 'crypto-worker.';

/** A token as one worker sees it. */
export interface Sighting extends SeenToken {
  readonly worker: string;
  /** When it said so, ms since 1970. */
  readonly heardMs: number;
}

/** Which tokens the workers have. Any worker answers, and what others said lately is kept: they may have tokens of other labels. */
export class TokenSightings {
  private readonly heard = new Map<string, { atMs: number; wallMs: number; tokens: readonly SeenToken[] }>();
  private asking: Promise<void> | undefined;
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly connection: NatsConnection,
    private readonly view: Pick<KvView<KeysView>, 'fresh' | 'liveHolders'>,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Of all that answered lately. Throws ERR_WORKER_UNAVAILABLE or ERR_TIMEOUT: then nothing is known of where keys are. */
  async all(): Promise<readonly Sighting[]> {
    if (this.nowMs() - this.lastMs >= freshMs) {
      this.asking ??= this.ask().finally(() => (this.asking = undefined));
      await this.asking;
    }
    return [...this.heard].flatMap(([worker, { wallMs, tokens }]) => tokens.map((token) => ({ ...token, worker, heardMs: wallMs })));
  }

  /** Of every worker that may be serving now; undefined while one of them has not said it, or it is not known which there are. Throws as `all` does. */
  async ofEveryWorker(): Promise<readonly Sighting[] | undefined> {
    const seen = await this.all();
    const serving = this.serving();
    return serving && this.silent(serving).length === 0 ? seen.filter(({ worker }) => serving.has(worker)) : undefined;
  }

  /** Workers that may be serving now; undefined while that is not known. */
  serving(): ReadonlySet<string> | undefined {
    if (!this.view.fresh()) return undefined;
    const workers = this.view.liveHolders().filter((holder) => holder.startsWith(holderPrefix));
    return workers.length === 0 ? undefined : new Set(workers.map((holder) => holder.slice(holderPrefix.length)));
  }

  private silent(serving: ReadonlySet<string>): string[] {
    return [...serving].filter((worker) => !this.heard.has(worker));
  }

  private async ask(): Promise<void> {
    const nowMs = this.nowMs();
    for (const [worker, { atMs }] of this.heard) if (nowMs - atMs > heardMs) this.heard.delete(worker);
    const times = Math.min(Math.max(1, 2 * this.silent(this.serving() ?? new Set()).length), askedAtMost);
    const asked = await Promise.allSettled(Array.from({ length: times }, () => this.askOne()));
    const [failed, ...more] = asked.filter((one) => one.status === 'rejected');
    if (failed && more.length === times - 1) asRetryable(failed.reason);
    this.lastMs = this.nowMs();
  }

  private async askOne(): Promise<void> {
    const { worker, tokens } = await askInternal(this.connection, tokenHsmOperations.describeTokens, {}, { timeoutMs: hsmTimeoutMs });
    this.heard.set(worker, { atMs: this.nowMs(), wallMs: Date.now(), tokens });
  }
}

/** A worker of an earlier version does not know the question: it is the same as none. */
function asRetryable(error: unknown): never {
  if (error instanceof ProblemError && error.retryable) throw error;
  throw new ProblemError('ERR_WORKER_UNAVAILABLE', 'No crypto-worker says which tokens it has.', { cause: error });
}

/** Labels of those that have the roots, in order. */
export const rootsIn = (sightings: readonly SeenToken[]): string[] => [
  ...new Set(sightings.flatMap(({ root, label }) => (root ? [label] : []))),
];
