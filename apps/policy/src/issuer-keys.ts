import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** An unknown `kid` asks the issuer again at most this often … */
const cooldownMs = 30_000;
/** … and so does a caller of an issuer whose keys could not be had: the others need not wait for the same failure. */
const afterFailureMs = 2_000;

/** The issuer's keys cannot be had, and none that may still be believed are cached. */
export class KeysUnavailable extends Error {
  constructor(options: { cause: unknown }) {
    super("the issuer's keys cannot be fetched", options);
    this.name = 'KeysUnavailable';
  }
}

/**
 * The keys of one issuer: fetched when first needed, once for all who wait, and again when a token names one that is not there. Those that could not be
 * fetched for too long are believed no more, so that a key which the issuer has withdrawn does not live on because the issuer cannot be reached.
 */
export class IssuerKeys {
  private cached: { find: JWTVerifyGetKey; fetchedMs: number } | undefined;
  private fetching: Promise<void> | undefined;
  private askedMs = Number.NEGATIVE_INFINITY;
  private failure: unknown;

  constructor(
    private readonly fetchSet: () => Promise<JSONWebKeySet>,
    private readonly maxAgeMs: number,
    /** Monotonic milliseconds. */
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** @throws KeysUnavailable; JWKSNoMatchingKey and JWKSMultipleMatchingKeys of jose */
  readonly find: JWTVerifyGetKey = async (header, input) => {
    const known = await this.current();
    try {
      return await known.find(header, input);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.askedAgain())) throw error;
      return (await this.current()).find(header, input);
    }
  };

  /** In the background: only what was needed once. */
  async refresh(): Promise<void> {
    if (this.cached) await this.fetch();
  }

  private async current(): Promise<{ find: JWTVerifyGetKey }> {
    const fresh = () => this.cached !== undefined && this.nowMs() - this.cached.fetchedMs <= this.maxAgeMs;
    if (!fresh() && (this.fetching || this.failure === undefined || this.nowMs() - this.askedMs >= afterFailureMs))
      await this.fetch().catch(() => undefined);
    if (this.cached && fresh()) return this.cached;
    throw new KeysUnavailable({ cause: this.failure });
  }

  /** False when it was asked a moment ago: whoever names keys that do not exist makes nobody ask for them all the time. */
  private async askedAgain(): Promise<boolean> {
    if (!this.fetching && this.nowMs() - this.askedMs < cooldownMs) return false;
    await this.fetch().catch(() => undefined);
    return true;
  }

  private fetch(): Promise<void> {
    this.fetching ??= this.fetchOnce().finally(() => {
      this.fetching = undefined;
    });
    return this.fetching;
  }

  private async fetchOnce(): Promise<void> {
    this.askedMs = this.nowMs();
    try {
      this.cached = { find: createLocalJWKSet(await this.fetchSet()), fetchedMs: this.nowMs() };
      this.failure = undefined;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}
