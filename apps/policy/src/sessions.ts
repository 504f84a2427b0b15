import { setTimeout as delay } from 'node:timers/promises';
import type { SessionView } from '@claviger/contracts';
import type { KvOwner, KvView } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** A session stays in the bucket a little longer than it lives, so that a request in flight learns that it expired. */
const lingerSeconds = 120;
/** How long another replica may take to sign the mark of a revocation that is seen before its mark. */
const settleMs = 3_000;
const pruneEveryMs = 5_000;

/** Sessions of admitted connections: claimed once, revoked by a signed tombstone of a higher revision, gone by themselves after they ended. */
export class Sessions {
  private pruning: NodeJS.Timeout | undefined;

  constructor(
    private readonly owner: Pick<KvOwner<SessionView>, 'start' | 'claim' | 'put' | 'keepMark' | 'sign' | 'stop'>,
    private readonly view: KvView<SessionView>,
    private readonly logger: LoggerService,
  ) {}

  /**
   * Begins to sign marks. A bucket that does not add up to its mark may have lost a revocation, or only the mark that should have followed one;
   * nobody can tell, so every session in it is given to `end`: callers reconnect, and no revoked one comes back to life.
   */
  async start(end: (session: SessionView, reason: string) => Promise<void>): Promise<void> {
    await this.owner.start();
    const deadline = performance.now() + settleMs;
    while (this.view.state() === 'loading' || (undecided(this.view.state()) && performance.now() < deadline)) await delay(20);
    if (undecided(this.view.state())) {
      this.logger.error(`sessions: the bucket ${this.view.state()}; every session in it is revoked`);
      const reason = `the bucket of sessions ${this.view.state()}`;
      await Promise.all(this.live().map((session) => end(session, reason)));
    }
    this.owner.keepMark(this.view);
    await this.owner.sign(this.view);
    this.pruning = setInterval(() => this.view.prune(), pruneEveryMs);
  }

  fresh(): boolean {
    return this.view.fresh();
  }

  /** True only for the one connection that claimed this id. */
  claim(session: SessionView): Promise<boolean> {
    return this.owner.claim(session, secondsLeft(session) + lingerSeconds);
  }

  async find(id: string): Promise<SessionView | undefined> {
    return this.view.get(id) ?? (await this.view.fetch(id));
  }

  /** The tombstone stays until the session would have ended: workers refuse it as soon as their watch delivers it. */
  async revoke(session: SessionView): Promise<'revoked' | 'already revoked'> {
    const tombstone: SessionView = { ...session, revision: session.revision + 1, state: 'revoked' };
    const outcome = await this.owner.put(tombstone, secondsLeft(session) + lingerSeconds);
    return outcome === 'written' ? 'revoked' : 'already revoked';
  }

  /** Neither revoked nor over. */
  live(): SessionView[] {
    return this.unexpired().filter(({ state }) => state === 'active');
  }

  /** Newest first, revoked ones included until they would have ended. */
  unexpired(): SessionView[] {
    return [...this.view.values()].filter((s) => Date.parse(s.expiresAt) > Date.now()).sort((a, b) => b.issuedAt.localeCompare(a.issuedAt));
  }

  stop(): void {
    clearInterval(this.pruning);
    this.owner.stop();
  }
}

const undecided = (state: ReturnType<KvView<SessionView>['state']>) => state === 'does not add up to its mark' || state === 'mark too old';
const secondsLeft = ({ expiresAt }: SessionView) => Math.max(0, (Date.parse(expiresAt) - Date.now()) / 1_000);
