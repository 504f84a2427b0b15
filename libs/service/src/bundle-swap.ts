import { setTimeout as delay } from 'node:timers/promises';
import { type BundleIssue, BundleValidator, CedarThread, type Elsewhere, type Evaluator, issueText } from '@claviger/authz';
import type { BundleView } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import { withoutActions } from './without-actions';

/** So long the bundle before decides while a newer one is read and checked; longer, and nobody is admitted until it is. */
const swapAtMostMs = 10_000;
const reachedAtMostMs = 5_000;
const retryMs = { first: 100, most: 10_000 };
const issuesShown = 10;

export interface BundleSwapParts {
  evaluator: Evaluator;
  /** Where what takes long is done. */
  elsewhere?: Elsewhere & { stop(): Promise<void> };
  logger: LoggerService;
  /** Monotonic milliseconds. */
  now?: () => number;
}

/**
 * Puts each bundle that arrives in force beside the requests of the process: the one before decides until the new one is ready. What a newer bundle takes away
 * must not stay allowed because this process cannot read it: then, or when it takes too long, `inForce` says no.
 */
export class BundleSwap {
  private newest: Pick<BundleView, 'bundle' | 'revision'> | undefined;
  /** Since when there is a newer one than what decides and was validated; undefined when there is none. */
  private behindSince: number | undefined;
  /** When the first one came that is newer than what is being read. */
  private overtakenAt: number | undefined;
  private swapping: Promise<void> | undefined;
  /** One that came after what decides cannot be read: until one can, nobody knows what it took away. */
  private refused = false;
  private stopped = false;
  /** Ends a wait before the next try. */
  private wake = new AbortController();
  private readonly listeners: (() => void)[] = [];
  private readonly elsewhere: Elsewhere & { stop(): Promise<void> };
  private readonly validator: BundleValidator;
  private readonly now: () => number;

  constructor(private readonly parts: BundleSwapParts) {
    this.elsewhere = parts.elsewhere ?? new CedarThread();
    this.validator = new BundleValidator(this.elsewhere, () => parts.evaluator.validated);
    this.now = parts.now ?? (() => performance.now());
  }

  /** The revision of `view` never goes back: who hands it in has seen to that. */
  follow(view: Pick<BundleView, 'bundle' | 'revision'>): void {
    if (this.stopped) return;
    this.behindSince ??= this.now();
    this.overtakenAt ??= this.now();
    this.newest = view;
    this.wake.abort();
    this.swapping ??= this.swap();
  }

  /** Whether what decides is the newest bundle, or for a moment the one before it, or the newest while it is validated. */
  inForce(): boolean {
    const { current } = this.parts.evaluator;
    if (!current || this.refused) return false;
    return this.behindSince === undefined || this.now() - this.behindSince < swapAtMostMs;
  }

  /** Resolves when the bundle that has arrived is in force, or was refused. */
  async settled(): Promise<void> {
    while (this.swapping) await this.swapping;
  }

  /** Resolves when a revision decides here, or a later one, or after some seconds: whoever else decides by it then. */
  async reached(revision: number): Promise<void> {
    const deadline = this.now() + reachedAtMostMs;
    while ((this.parts.evaluator.current?.bundle.revision ?? 0) < revision && this.now() < deadline) await delay(10);
  }

  /** Everything that is wrong with a bundle that somebody wants to put in force. */
  validate(bundle: unknown): Promise<BundleIssue[]> {
    return this.validator.validate(bundle);
  }

  /** Called when a bundle came into force, in the turn in which it did. */
  onInForce(listener: () => void): void {
    this.listeners.push(listener);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.wake.abort();
    return this.elsewhere.stop();
  }

  private async swap(): Promise<void> {
    for (let done: unknown; this.newest !== done && !this.stopped; ) {
      const view = this.newest!;
      await this.load(view);
      done = view;
    }
    // In the turn in which it was found that nothing newer has come: whatever comes after it is read.
    this.swapping = undefined;
  }

  private async load(view: Pick<BundleView, 'bundle' | 'revision'>): Promise<void> {
    const { evaluator, logger } = this.parts;
    this.overtakenAt = undefined;
    for (let waitMs = retryMs.first; ; waitMs = Math.min(2 * waitMs, retryMs.most)) {
      this.wake = new AbortController();
      const loaded = await evaluator.loadBeside(view.bundle, this.elsewhere);
      if (loaded.ok) break;
      const issues = loaded.issues.slice(0, issuesShown).map(issueText).join('; ').slice(0, 4_000);
      if (loaded.code !== 'unavailable') {
        // Also when a newer one has come: what decides is older than both.
        this.refused = true;
        logger.error(
          `policy bundle ${view.revision} refused, so nobody is admitted: ${loaded.issues.length} issue(s), the first: ${issues}`,
        );
        return;
      }
      if (this.newest !== view || this.stopped) return;
      logger.warn(`policy bundle ${view.revision} could not be read and will be tried again in ${waitMs} ms: ${issues}`);
      await delay(waitMs, undefined, { ref: false, signal: this.wake.signal }).catch(() => undefined);
      if (this.newest !== view || this.stopped) return;
    }
    this.refused = false;
    this.behindSince = this.overtakenAt;
    for (const listener of this.listeners) this.tell(listener);
    logger.log(`policy bundle ${view.revision} is in force`);
    if (evaluator.missing.length > 0) logger.warn(`policy bundle ${view.revision} ${withoutActions(evaluator.missing)}`);
  }

  private tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.parts.logger.error(`policy bundle: who hears that it is in force failed: ${String(error)}`);
    }
  }
}
