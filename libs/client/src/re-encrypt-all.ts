import { type cryptoOperations, type Item, type ItemOutcome, limits, type Problem, type Result } from '@claviger/contracts';
import { ClavigerError } from './claviger-error';
import { jitteredBackoffMs } from './retry';

type Ops = typeof cryptoOperations;
/** One ciphertext, and what it is to become: as the fields of `crypto.re-encrypt`. */
export type ToReEncrypt = Pick<Item<Ops['reEncrypt']>, 'keyId' | 'ciphertext'> &
  Partial<Pick<Item<Ops['reEncrypt']>, 'context' | 'toKeyId' | 'toContext'>>;
/** What became of it. A problem is this one's alone and for good; the next ones go on. */
export type ReEncrypted = { result: Result<Ops['reEncrypt']> } | { problem: Problem };

export interface ReEncryptAllOptions {
  /** Batches of up to 100 that are under way at once. Default 4. */
  inFlight?: number;
  /** For so long what may succeed later is tried again, from its first failure on. Default one minute. */
  patienceMs?: number;
}

type ReEncryptBatch = (items: ToReEncrypt[]) => Promise<{ results: ItemOutcome<Result<Ops['reEncrypt']>>[] }>;

const firstPauseMs = 50;
const longestPauseMs = 5_000;

/**
 * Any number of ciphertexts, each re-encrypted in the worker; outcomes in the order of the source. No more is read of the source than is under way.
 * @throws ClavigerError when a whole batch is refused for good, or when nobody answers, or one of them still fails with what may pass, after `patienceMs`: what
 * was not yielded can be asked for again, since a re-encryption that is repeated gives another ciphertext of the same.
 */
export async function* reEncryptAll(
  reEncrypt: ReEncryptBatch,
  source: AsyncIterable<ToReEncrypt>,
  { inFlight = 4, patienceMs = 60_000 }: ReEncryptAllOptions = {},
): AsyncGenerator<ReEncrypted> {
  const underWay: Promise<Settled>[] = [];
  for await (const batch of batches(source)) {
    if (underWay.length >= inFlight) yield* outcomesOf(await (underWay.shift() as Promise<Settled>));
    const settling = settle(reEncrypt, batch, patienceMs);
    // Its failure is met when its turn comes; until then it is nobody's.
    settling.catch(() => undefined);
    underWay.push(settling);
  }
  for (const settling of underWay) yield* outcomesOf(await settling);
}

/** Outcomes of a batch up to the first that has none, and then why. */
interface Settled {
  outcomes: ReEncrypted[];
  failure?: unknown;
}

function* outcomesOf({ outcomes, failure }: Settled): Generator<ReEncrypted> {
  yield* outcomes;
  if (failure !== undefined) throw failure;
}

/** As many as fit one request. */
async function* batches(source: AsyncIterable<ToReEncrypt>): AsyncGenerator<ToReEncrypt[]> {
  let batch: ToReEncrypt[] = [];
  let bytes = 0;
  for await (const item of source) {
    // A context may have characters of several bytes, and a message is limited in bytes.
    const more = Buffer.byteLength(JSON.stringify(item));
    if (batch.length === limits.batchItems || (batch.length > 0 && bytes + more > limits.batchChars)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(item);
    bytes += more;
  }
  if (batch.length > 0) yield batch;
}

/** Asks again for those that may succeed later, with pauses that grow. */
async function settle(reEncrypt: ReEncryptBatch, batch: readonly ToReEncrypt[], patienceMs: number): Promise<Settled> {
  const outcomes: (ReEncrypted | undefined)[] = batch.map(() => undefined);
  let open = batch.map((_, n) => n);
  let givenUpAt: number | undefined;
  for (let attempt = 0; ; attempt++) {
    const failure = await reEncrypt(open.map((n) => batch[n] as ToReEncrypt)).then(
      ({ results }) => {
        for (const [i, outcome] of results.entries()) outcomes[open[i] as number] = outcome;
        return undefined;
      },
      (error: unknown) => {
        if (!(error instanceof ClavigerError && error.retryable)) throw error;
        return error;
      },
    );
    open = open.filter((n) => isOpen(outcomes[n]));
    if (open.length === 0) return { outcomes: outcomes as ReEncrypted[] };
    givenUpAt ??= performance.now() + patienceMs;
    const pauseMs = jitteredBackoffMs(attempt, firstPauseMs, longestPauseMs, Math.random());
    if (performance.now() + pauseMs < givenUpAt) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    else return { outcomes: outcomes.slice(0, open[0]) as ReEncrypted[], failure: failure ?? errorOf(outcomes[open[0] as number]) };
  }
}

/** Of one that failed with what may pass. */
const errorOf = (outcome: ReEncrypted | undefined): unknown =>
  outcome && 'problem' in outcome
    ? ClavigerError.fromProblem(outcome.problem, outcome.problem.requestId ? { requestId: outcome.problem.requestId } : {})
    : undefined;

const isOpen = (outcome: ReEncrypted | undefined): boolean => outcome === undefined || ('problem' in outcome && outcome.problem.retryable);
