import { setTimeout as delay } from 'node:timers/promises';
import { limits, type SessionsView, type SessionView, sessionIn, usedTokenId } from '@claviger/contracts';
import type { KvOwner, KvView } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** A record stays in the bucket a little longer than it matters, so that a request in flight learns that its session expired. */
export const bucketLingerSeconds = 120;
/** How long another replica may take to sign the mark of a revocation that is seen before its mark. */
const settleMs = 3_000;
const pruneEveryMs = 5_000;

/** Sessions of admitted connections: claimed once, revoked by a signed tombstone of a higher revision, gone by themselves after they ended. */
export class Sessions {
  private pruning: NodeJS.Timeout | undefined;

  constructor(
    private readonly owner: Pick<KvOwner<SessionsView>, 'start' | 'claim' | 'put' | 'keepMark' | 'sign' | 'stop'>,
    private readonly view: KvView<SessionsView>,
    private readonly logger: LoggerService,
  ) {}

  /**
   * Begins to sign marks. A bucket that does not add up to its mark may have lost a revocation, or only the mark that should have followed one;
   * nobody can tell, so `forget` is told and every session in it is given to `end`: callers authenticate anew, and nothing revoked comes back to life.
   */
  async start(when: { forget: () => Promise<void>; end: (sessions: SessionView[], reason: string) => Promise<void> }): Promise<void> {
    await this.owner.start();
    const deadline = performance.now() + settleMs;
    while (this.view.state() === 'loading' || (undecided(this.view.state()) && performance.now() < deadline)) await delay(20);
    if (undecided(this.view.state())) {
      this.logger.error(`sessions: the bucket ${this.view.state()}; every session in it is revoked, and callers authenticate anew`);
      await when.forget();
      await when.end(this.live(), `the bucket of sessions ${this.view.state()}`);
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
    return this.owner.claim(session, secondsLeft(session) + bucketLingerSeconds);
  }

  /** True only for the one connection that shows this token first. It is remembered until the token has ended. */
  useOnce({ digest, untilMs }: { digest: string; untilMs: number }): Promise<boolean> {
    const endMs = untilMs + limits.clockSkewSeconds * 1_000;
    const ttlSeconds = Math.max(0, (endMs - Date.now()) / 1_000) + bucketLingerSeconds;
    const expiresAt = new Date(endMs).toISOString();
    return this.owner.claim({ kind: 'used-token', id: usedTokenId(digest), revision: 1, expiresAt }, ttlSeconds);
  }

  /** As this process holds it. */
  held(id: string): SessionView | undefined {
    return sessionIn(this.view.get(id));
  }

  /** Looks past the watch, for a session opened a moment ago. */
  async find(id: string): Promise<SessionView | undefined> {
    return this.held(id) ?? sessionIn(await this.view.fetch(id));
  }

  /** The tombstone stays until the session would have ended: workers refuse it as soon as their watch delivers it. */
  async revoke(session: SessionView): Promise<'revoked' | 'already revoked'> {
    const tombstone: SessionView = { ...session, revision: session.revision + 1, state: 'revoked' };
    const outcome = await this.owner.put(tombstone, secondsLeft(session) + bucketLingerSeconds);
    return outcome === 'written' ? 'revoked' : 'already revoked';
  }

  /** Neither revoked nor over. */
  live(): SessionView[] {
    return this.unexpired().filter(({ state }) => state === 'active');
  }

  /** Newest first, revoked ones included until they would have ended. */
  unexpired(): SessionView[] {
    return [...this.view.values()]
      .flatMap((record) => sessionIn(record) ?? [])
      .filter((s) => Date.parse(s.expiresAt) > Date.now())
      .sort((a, b) => b.issuedAt.localeCompare(a.issuedAt));
  }

  stop(): void {
    clearInterval(this.pruning);
    this.owner.stop();
  }
}

const undecided = (state: ReturnType<KvView<SessionsView>['state']>) => state === 'does not add up to its mark' || state === 'mark too old';
const secondsLeft = ({ expiresAt }: SessionView) => Math.max(0, (Date.parse(expiresAt) - Date.now()) / 1_000);
