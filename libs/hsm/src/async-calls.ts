import type { PKCS11 } from 'pkcs11js';
import type { Connection } from './connection';
import { HsmError } from './hsm-error';
import type { Library } from './library';
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
  /** It begins before all that wait. */
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
 * Calls that run on a thread of libuv, at most `size` of them, first come, first served. A call in flight is never overtaken by what would kill its
 * process: its session is closed only after it, and the library is not finalised under it. When the generation ends meanwhile, its result is refused.
 */
export class AsyncCalls {
  readonly #connection: Connection;
  readonly #library: Library;
  readonly #size: number;
  readonly #timeoutMs: number | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Map<Buffer, AsyncCall<unknown>>();
  #taken = 0;

  /** `timeoutMs`: after it a call is given up, waiting or not; its session is free again only when it really ends. */
  constructor(connection: Connection, library: Library, size: number, timeoutMs?: number) {
    if (!Number.isInteger(size) || size < 1)
      throw new HsmError('HSM_ARGUMENT_INVALID', 'There is at least one session for asynchronous calls');
    this.#connection = connection;
    this.#library = library;
    this.#size = size;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether a call is in flight on the session. */
  uses(session: Buffer): boolean {
    return this.#running.has(session);
  }

  /** Begins at once, within this call, when a session is free. @throws HsmError HSM_UNAVAILABLE for one that is given up, among others */
  run<T>(call: AsyncCall<T>): Promise<T> {
    // Nobody would destroy what a generation makes after it was given up.
    if (this.#timeoutMs === undefined || call.operation === 'generate') return this.#run(call);
    let abandoned = false;
    const running = this.#run(call, () => abandoned);
    let timer: NodeJS.Timeout | undefined;
    const givenUp = new Promise<never>((_resolve, reject) => {
      const token = this.#connection.tokenLabel;
      const what = `Token ${token} did not answer ${call.operation} within ${this.#timeoutMs} ms`;
      timer = setTimeout(() => {
        abandoned = true;
        reject(new HsmError('HSM_UNAVAILABLE', what, { token }));
      }, this.#timeoutMs);
    });
    return Promise.race([running, givenUp]).finally(() => clearTimeout(timer));
  }

  async #run<T>(call: AsyncCall<T>, abandoned: () => boolean = () => false): Promise<T> {
    if (this.#taken < this.#size) this.#taken++;
    else await new Promise<void>((resolve) => (call.urgent ? this.#waiting.unshift(resolve) : this.#waiting.push(resolve)));
    try {
      // What waited too long is not done after all; what comes too late is seen by nobody, and may be a plaintext.
      if (abandoned()) throw new HsmError('HSM_UNAVAILABLE', `${call.operation} was given up while it waited`);
      const value = await this.#onSession(call);
      if (abandoned() && Buffer.isBuffer(value)) value.fill(0);
      return value;
    } finally {
      // The place is handed on, so that nobody who comes later takes it first.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken--;
    }
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
    if ('error' in outcome) throw connection.failure(outcome.error, call.operation, call.subject);
    return outcome.value;
  }
}

/** Thrown by the source of a key, before the token was asked: it says nothing about the token. The binding's own objections are TypeErrors. */
const isForeign = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof HsmError) && !(error instanceof TypeError) && returnValueOf(error) === undefined;
