import { inboxPrefix } from '@claviger/contracts';
import { connect, type NatsConnection, type TlsOptions, tokenAuthenticator } from '@nats-io/transport-node';
import { Answers } from './answers';
import { ClavigerError } from './claviger-error';
import { toConnectionError } from './connection-error';
import type { Pass, Passes, Renew } from './credential';
import { jitteredBackoffMs } from './retry';
import { newSessionId } from './session-id';

export interface LinkOptions {
  readonly servers: readonly string[];
  readonly principal: string;
  readonly passes: Passes;
  readonly renew: Renew;
  readonly tls?: TlsOptions;
  readonly connectTimeoutMs: number;
}

/** One connection and the session that the broker admitted it with. */
export interface LiveSession {
  readonly id: string;
  readonly connection: NatsConnection;
  readonly answers: Answers;
  readonly expiresAtMs: number;
  /** `claviger.v1.<principal>.<session>.` */
  readonly subjectPrefix: string;
  /** Requests that wait for their answer here; a retired session is closed when there are none. */
  inFlight: number;
  retired: boolean;
}

interface Waiter {
  resolve(session: LiveSession): void;
  reject(error: ClavigerError): void;
}

const firstPauseMs = 50;
const longestPauseMs = 5_000;

/**
 * Keeps one admitted connection at hand. Each connection is a session of its own (id, inbox, fresh token), so nats.js may not reconnect by
 * itself: this does, when a connection is lost and, ahead of time, when its session is about to expire. The new connection takes over before
 * the old one ends, and the old one stays until its requests are answered.
 */
export class Link {
  /** The session for the next request, when there is one. */
  current: LiveSession | undefined;
  private readonly waiters = new Set<Waiter>();
  private readonly followers = new Set<(session: LiveSession) => Promise<void>>();
  private establishing = false;
  private lastFailure: ClavigerError | undefined;
  private renewal: NodeJS.Timeout | undefined;
  private pause: (() => void) | undefined;
  private closed = false;
  private nextServer: number;

  constructor(private readonly options: LinkOptions) {
    this.nextServer = Math.floor(Math.random() * options.servers.length);
  }

  /** The first connection. @throws ClavigerError ERR_AUTHENTICATION at once, ERR_CONNECTION when the time is over */
  async open(timeoutMs: number): Promise<void> {
    await this.wait(timeoutMs, (failure) => failure.code === 'ERR_AUTHENTICATION');
  }

  /** The live session, waited for during a reconnection. @throws ClavigerError why there was none in time; nothing was sent then */
  async session(timeoutMs: number): Promise<LiveSession> {
    // The broker's close is seen by the socket first and by `closed()` a moment later.
    if (this.current && !this.current.connection.isClosed()) return this.current;
    return this.wait(timeoutMs);
  }

  release(session: LiveSession): void {
    session.inFlight--;
    if (session.retired && session.inFlight === 0) void session.connection.close();
  }

  /** Workers do not accept this session any more: the next request gets a new one. */
  replace(session: LiveSession): void {
    if (this.current !== session) return;
    this.current = undefined;
    this.retire(session);
    this.establish();
  }

  /** Calls `move` now and with each later session, before the one before it is retired. Gives the function that ends this. */
  follow(move: (session: LiveSession) => Promise<void>): () => void {
    this.followers.add(move);
    // A session that ends meanwhile is followed by one that it can move to.
    if (this.current) move(this.current).catch(() => undefined);
    return () => this.followers.delete(move);
  }

  /** Takes no more requests and ends when those in flight are answered, at the latest after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.closed = true;
    clearTimeout(this.renewal);
    this.pause?.();
    this.settle((waiter) => waiter.reject(new ClavigerError('ERR_CONNECTION', { detail: 'This client is closed.' })));
    const { current } = this;
    this.current = undefined;
    if (!current) return;
    this.retire(current);
    const timer = setTimeout(() => void current.connection.close(), graceMs);
    await current.connection.closed();
    clearTimeout(timer);
  }

  private wait(timeoutMs: number, isFinal: (failure: ClavigerError) => boolean = () => false): Promise<LiveSession> {
    if (this.closed) return Promise.reject(new ClavigerError('ERR_CONNECTION', { detail: 'This client is closed.' }));
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        settle();
      };
      const waiter: Waiter = {
        resolve: (session) => finish(() => resolve(session)),
        reject: (error) => {
          if (this.closed || isFinal(error)) finish(() => reject(error));
        },
      };
      const timer = setTimeout(
        () => finish(() => reject(this.lastFailure ?? new ClavigerError('ERR_CONNECTION', { detail: 'No connection in time.' }))),
        timeoutMs,
      );
      this.waiters.add(waiter);
      this.establish();
    });
  }

  private settle(how: (waiter: Waiter) => void): void {
    for (const waiter of [...this.waiters]) how(waiter);
  }

  private establish(): void {
    if (this.establishing || this.closed) return;
    this.establishing = true;
    void this.keepTrying().finally(() => {
      this.establishing = false;
      // Lost again while it was being adopted.
      if (!this.current) this.establish();
    });
  }

  private async keepTrying(): Promise<void> {
    for (let attempt = 0; !this.closed; attempt++) {
      try {
        return await this.adopt(await this.connectOnce());
      } catch (error) {
        const failure = toConnectionError(error);
        this.lastFailure = failure;
        this.settle((waiter) => waiter.reject(failure));
        // "Refused" is also what a broker says whose callout is away, so this never gives up; it only knocks ever more rarely.
        await this.rest(jitteredBackoffMs(attempt, firstPauseMs, longestPauseMs, Math.random()));
      }
    }
  }

  private rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.pause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async connectOnce(): Promise<LiveSession> {
    const { servers, principal, passes, renew, tls, connectTimeoutMs } = this.options;
    const live = this.current && !this.current.connection.isClosed();
    const pass: Pass = await passes.next(live ? renew : undefined);
    const id = newSessionId();
    const connection = await connect({
      // One at a time: an id that one server has claimed must not be shown to the next.
      servers: servers[this.nextServer++ % servers.length]!,
      ...(pass.token === undefined ? {} : { authenticator: tokenAuthenticator(pass.token) }),
      ...(tls ? { tls } : {}),
      name: id,
      inboxPrefix: inboxPrefix(principal, id),
      reconnect: false,
      timeout: connectTimeoutMs,
      pingInterval: 5_000,
      maxPingOut: 2,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
    });
    const subjectPrefix = `claviger.v1.${principal}.${id}.`;
    const answers = new Answers(connection, inboxPrefix(principal, id));
    return { id, connection, answers, expiresAtMs: pass.expiresAtMs, subjectPrefix, inFlight: 0, retired: false };
  }

  private async adopt(session: LiveSession): Promise<void> {
    if (this.closed) return session.connection.close();
    void session.connection.closed().then(() => this.onClosed(session));
    const before = this.current;
    this.current = session;
    this.lastFailure = undefined;
    this.scheduleRenewal(session);
    this.settle((waiter) => waiter.resolve(session));
    await Promise.allSettled([...this.followers].map((move) => move(session)));
    if (before) this.retire(before);
  }

  private retire(session: LiveSession): void {
    session.retired = true;
    if (session.inFlight === 0) void session.connection.close();
  }

  private onClosed(session: LiveSession): void {
    if (this.current !== session) return;
    this.current = undefined;
    clearTimeout(this.renewal);
    this.establish();
  }

  /** At 60 to 80 % of what is left: many clients that started together do not renew together, and there is time to try again. */
  private scheduleRenewal({ expiresAtMs }: LiveSession): void {
    clearTimeout(this.renewal);
    const leftMs = expiresAtMs - Date.now();
    this.renewal = setTimeout(() => this.establish(), Math.max(1_000, leftMs * (0.6 + Math.random() * 0.2)));
    this.renewal.unref();
  }
}
