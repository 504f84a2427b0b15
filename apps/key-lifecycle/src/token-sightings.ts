import { ProblemError, type SeenToken, tokenHsmOperations } from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';

const hsmTimeoutMs = 5_000;
/** Who asks again sooner gets the same answer. */
const freshMs = 5_000;
/** What a worker said counts so long: any of them answers, and each is asked now and then. */
const heardMs = 600_000;

/** A token as one worker sees it. */
export interface Sighting extends SeenToken {
  readonly worker: string;
}

/** Which tokens the workers have. It is asked of one worker at a time, and what others said lately is kept: they may have tokens of other labels. */
export class TokenSightings {
  private readonly heard = new Map<string, { atMs: number; tokens: readonly SeenToken[] }>();
  private asking: Promise<void> | undefined;
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly connection: NatsConnection,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Throws ERR_WORKER_UNAVAILABLE or ERR_TIMEOUT: then nothing is known of where keys are. */
  async all(): Promise<readonly Sighting[]> {
    if (this.nowMs() - this.lastMs >= freshMs) {
      this.asking ??= this.ask().finally(() => (this.asking = undefined));
      await this.asking;
    }
    return [...this.heard].flatMap(([worker, { tokens }]) => tokens.map((token) => ({ ...token, worker })));
  }

  private async ask(): Promise<void> {
    const answer = await askInternal(this.connection, tokenHsmOperations.describeTokens, {}, { timeoutMs: hsmTimeoutMs }).catch(
      asRetryable,
    );
    const nowMs = this.nowMs();
    for (const [worker, { atMs }] of this.heard) if (nowMs - atMs > heardMs) this.heard.delete(worker);
    this.heard.set(answer.worker, { atMs: nowMs, tokens: answer.tokens });
    this.lastMs = nowMs;
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
