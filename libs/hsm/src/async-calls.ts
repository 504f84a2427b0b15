import type { PKCS11 } from 'pkcs11js';
import type { Connection } from './connection';
import { HsmError } from './hsm-error';
import type { Library } from './library';
import { Places } from './places';
import { leavesOperation, type Operation, returnValueOf } from './return-values';
import { closeSession, openSession } from './sessions';

/** Starts one call on a session of its own; a throw means that it was not started, a rejection that the token refused it. */
export type Begin<T> = (p11: PKCS11, session: Buffer) => Promise<T>;

export interface AsyncCall<T> {
  operation: Operation;
  /** Named in errors. */
  subject?: string;
  /** What the token reads on its own thread: the binding does not keep these alive (pkcs11js issue 121), so it is done here. */
  inputs?: readonly Buffer[];
  /** It has a session that no other kind of call takes, so that it waits for none of them, nor for those that hang. */
  urgent?: boolean;
  /** The result holds objects of the session, which therefore lives until the generation ends. */
  makesObjects?: boolean;
  begin: Begin<T>;
}

/** Sessions of one connect for calls that leave the event loop. */
export interface AsyncSessions {
  idle: Buffer[];
  /** Own session keys; never closed before the generation ends. */
  owners: Set<Buffer>;
}

/**
 * Calls that run on a thread of libuv, at most `size` of them and one urgent one, first come, first served. A call in flight is never overtaken by what
 * would kill its process: its session is closed only after it, and the library is not finalised under it. When the generation ends meanwhile, its result
 * is refused.
 */
export class AsyncCalls {
  readonly #connection: Connection;
  readonly #library: Library;
  readonly #places: Places;
  readonly #urgentPlace = new Places(1);
  readonly #timeoutMs: number | undefined;
  readonly #running = new Map<Buffer, AsyncCall<unknown>>();
  #hanging = 0;

  /** `timeoutMs`: so long a call waits for a session, and so long one that has begun for the token; then it is given up. A generation is not: nobody would destroy what it makes. */
  constructor(connection: Connection, library: Library, size: number, timeoutMs?: number) {
    if (!Number.isInteger(size) || size < 1)
      throw new HsmError('HSM_ARGUMENT_INVALID', 'There is at least one session for asynchronous calls');
    this.#connection = connection;
    this.#library = library;
    this.#places = new Places(size);
    this.#timeoutMs = timeoutMs;
  }

  /** Whether a call is in flight on the session. */
  uses(session: Buffer): boolean {
    return this.#running.has(session);
  }

  /** Calls that were given up and have not ended. Each holds its session and a thread of libuv; nothing but its end, or that of the process, frees them. */
  get hanging(): number {
    return this.#hanging;
  }

  /**
   * Begins at once, within this call, when a session is free.
   * @throws HsmError HSM_UNAVAILABLE (the token did not answer in time), HSM_CAPACITY (no session was free in time: the token may be well), and what it fails with
   */
  async run<T>(call: AsyncCall<T>): Promise<T> {
    const places = call.urgent ? this.#urgentPlace : this.#places;
    const timeoutMs = call.operation === 'generate' ? undefined : this.#timeoutMs;
    const token = this.#connection.tokenLabel;
    const taken = places.take();
    if (taken) {
      const full = () =>
        new HsmError('HSM_CAPACITY', `No session of token ${token} was free for ${call.operation} within ${timeoutMs} ms`, { token });
      // A place that comes too late is handed on at once: nobody waits for this call any more.
      await within(taken, timeoutMs, full, () => void taken.then(() => places.leave()));
    }
    const running = this.#onSession(call).finally(() => places.leave());
    const silent = () =>
      new HsmError('HSM_UNAVAILABLE', `Token ${token} did not answer ${call.operation} within ${timeoutMs} ms`, { token });
    return within(running, timeoutMs, silent, () => {
      this.#hanging++;
      const ended = () => void this.#hanging--;
      // What comes too late is seen by nobody, and may be a plaintext.
      running.then((value) => Buffer.isBuffer(value) && value.fill(0)).then(ended, ended);
    });
  }

  async #onSession<T>(call: AsyncCall<T>): Promise<T> {
    const connection = this.#connection;
    const { slot, asynchronous } = connection.ready();
    const { generation } = connection;
    const session = asynchronous.idle.pop() ?? connection.call('open', (p11) => openSession(p11, slot));
    this.#running.set(session, call);
    this.#library.enter();
    let outcome: { value: T } | { error: unknown };
    try {
      outcome = { value: await call.begin(connection.p11, session) };
    } catch (error) {
      outcome = { error };
    }
    // Asked on the same session, off the event loop: a caller may bring about as many failures as it likes.
    const alive = 'error' in outcome ? await connection.calculates(outcome.error, call.operation, session) : undefined;
    this.#running.delete(session);
    const lost = connection.generation !== generation;
    if (!lost && call.makesObjects && 'value' in outcome) asynchronous.owners.add(session);
    const foreign = 'error' in outcome && isForeign(outcome.error);
    const usable = !lost && (foreign || !('error' in outcome && leavesOperation(outcome.error)));
    if (usable) asynchronous.idle.push(session);
    else if (lost || !asynchronous.owners.has(session)) closeSession(connection.p11, session);
    this.#library.leave();
    if (lost) {
      const cause = 'error' in outcome ? outcome.error : undefined;
      throw new HsmError('HSM_SESSION_LOST', `Token ${connection.tokenLabel}: it was reopened during ${call.operation}`, {
        cause,
        token: connection.tokenLabel,
      });
    }
    if (foreign) throw (outcome as { error: unknown }).error;
    if ('error' in outcome) throw connection.failure(outcome.error, call.operation, call.subject, alive);
    return outcome.value;
  }
}

/** What a promise gives, or this error when it takes too long; `late` hears of that. */
function within<T>(promise: Promise<T>, ms: number | undefined, error: () => HsmError, late: () => void): Promise<T> {
  if (ms === undefined) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      late();
      reject(error());
    }, ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Thrown by the source of a key, before the token was asked: it says nothing about the token. The binding's own objections are TypeErrors. */
const isForeign = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof HsmError) && !(error instanceof TypeError) && returnValueOf(error) === undefined;
