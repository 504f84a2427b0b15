import { setTimeout as delay } from 'node:timers/promises';
import { type BundleIssue, CedarThread, type Elsewhere, type Evaluator, validateBeside } from '@claviger/authz';
import type { BundleView } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import { withoutActions } from './without-actions';

/** So long the bundle before decides while a newer one is read and checked; longer, and nobody is admitted until it is. */
const swapAtMostMs = 10_000;
const reachedAtMostMs = 5_000;

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
  private since = 0;
  private swapping: Promise<void> | undefined;
  private refused = false;
  private readonly listeners: (() => void)[] = [];
  private readonly elsewhere: Elsewhere & { stop(): Promise<void> };
  private readonly now: () => number;

  constructor(private readonly parts: BundleSwapParts) {
    this.elsewhere = parts.elsewhere ?? new CedarThread();
    this.now = parts.now ?? (() => performance.now());
  }

  /** The revision of `view` never goes back: who hands it in has seen to that. */
  follow(view: Pick<BundleView, 'bundle' | 'revision'>): void {
    if (!this.swapping) this.since = this.now();
    this.newest = view;
    this.refused = false;
    this.swapping ??= this.swap().finally(() => (this.swapping = undefined));
  }

  /** Whether what decides is the newest bundle, or the one before it for a moment. */
  inForce(): boolean {
    const { current } = this.parts.evaluator;
    if (!current) return false;
    if (current.bundle.revision === this.newest?.revision) return true;
    return !this.refused && this.swapping !== undefined && this.now() - this.since < swapAtMostMs;
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
    return validateBeside(bundle, this.elsewhere);
  }

  /** Called when a bundle came into force, in the turn in which it did. */
  onInForce(listener: () => void): void {
    this.listeners.push(listener);
  }

  stop(): Promise<void> {
    return this.elsewhere.stop();
  }

  private async swap(): Promise<void> {
    for (let done: unknown; this.newest !== done; ) {
      const view = this.newest!;
      await this.load(view);
      done = view;
    }
  }

  private async load(view: Pick<BundleView, 'bundle' | 'revision'>): Promise<void> {
    const { evaluator, logger } = this.parts;
    const loaded = await evaluator.loadBeside(view.bundle, this.elsewhere);
    if (!loaded.ok) {
      // One that has come meanwhile may be good.
      this.refused = this.newest === view;
      const issues = loaded.issues.map(({ message }) => message).join('; ');
      logger.error(`policy bundle ${view.revision} refused, so nobody is admitted: ${issues}`);
      return;
    }
    for (const listener of this.listeners) listener();
    logger.log(`policy bundle ${view.revision} is in force`);
    if (evaluator.missing.length > 0) logger.warn(`policy bundle ${view.revision} ${withoutActions(evaluator.missing)}`);
  }
}
