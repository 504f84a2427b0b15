import type { PKCS11 } from 'pkcs11js';
import { type Algorithm, families, isRsa, type KeyUsage, rowOf, type TokenFamily } from './algorithms';
import { AsyncCalls } from './async-calls';
import { HsmError } from './hsm-error';
import { Library, type LibraryUser } from './library';
import { connectFirst, Restart } from './restart';
import { failureWithoutCanary, leavesOperation, meaningWhenAlive, nameOf, type Operation, returnValueOf, verdictOf } from './return-values';
import { calculates, closeSession, deciphersCanary, openSession, openSessions, type Sessions } from './sessions';
import { canarySearchTemplate, type ObjectClass } from './templates';

const CKM_RSA_PKCS_OAEP = 0x09;

/** An object inside the token. It lives as long as the token's generation: use it at once, keep it only in a cache that compares generations. */
export interface KeyHandle {
  readonly object: Buffer;
  readonly algorithm: Algorithm;
  readonly generation: number;
}

/**
 * Where an asynchronous call gets its key at the moment when it begins. A handle itself would not do: while the call waits for a session or for an
 * earlier step, a cache may give the key up, or the generation may end.
 */
export type KeySource = () => KeyHandle;

export interface ConnectionOptions {
  libraryPath: string;
  tokenLabel: string;
  pin: string;
  /** Label of a private token object that must be seen before anything is called absent. */
  canary: string;
  /** Whether opening fails without that object; only a ceremony, which creates it, goes without. */
  canaryRequired: boolean;
  /** Sessions for asynchronous calls, which is also how many of them run at once. */
  asyncSessions: number;
  /** Milliseconds after which an asynchronous call is given up; never when left out. */
  asyncTimeoutMs?: number | undefined;
  /** Another process has seen it. */
  seenAfresh: boolean;
  /** Milliseconds, of any origin. */
  now: () => number;
}

/** For which a token is alive that calculates, whatever became of its storage. */
const calculations: ReadonlySet<Operation> = new Set(['encrypt', 'decrypt', 'sign', 'random']);
const firstRetryMs = 1_000;
const longestRetryMs = 30_000;
/** Given out in this process so far. */
let generations = 0;

/** Sessions to one token that mend themselves: whatever fails is looked into here, away from the hot path. */
export class Connection implements LibraryUser {
  /**
   * Grows whenever handles died, and no two tokens of the process ever have the same: a handle of another generation, or of another token, must not reach this
   * one, where its number may name another object.
   */
  generation = ++generations;
  readonly p11: PKCS11;
  readonly tokenKeys = new Map<`${ObjectClass} ${string}`, KeyHandle>();
  /** Labels of token objects that an asynchronous call is about to create. */
  readonly labelsTaken = new Set<string>();
  readonly async: AsyncCalls;
  readonly restart: Restart;
  readonly #library: Library;
  readonly #options: ConnectionOptions;
  #sessions: Sessions | undefined;
  #mechanisms: ReadonlySet<number> | undefined;
  #closed = false;
  #canarySeen = false;
  #failures = 0;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#library = Library.acquire(options.libraryPath, this);
    this.p11 = this.#library.p11;
    this.restart = new Restart({ library: this.#library, tokenLabel: options.tokenLabel, now: options.now });
    try {
      this.async = new AsyncCalls(this, this.#library, options.asyncSessions, options.asyncTimeoutMs);
      connectFirst(() => this.#connect(), this.#library, options);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get canary(): string {
    return this.#options.canary;
  }
  get libraryPath(): string {
    return this.#library.path;
  }
  get tokenLabel(): string {
    return this.#options.tokenLabel;
  }
  get family(): TokenFamily {
    return this.ready().family;
  }

  /** Sessions that work as far as is known, reopened if they were lost. @throws HsmError HSM_UNAVAILABLE, HSM_PIN_INCORRECT, HSM_PIN_LOCKED */
  ready(): Sessions {
    if (this.#sessions) return this.#sessions;
    if (this.#closed) throw new HsmError('HSM_CONFIGURATION', `Token ${this.tokenLabel} was closed by this process`);
    const token = this.tokenLabel;
    if (this.#options.now() < this.#retryAtMs && !this.restart.seen)
      throw new HsmError('HSM_UNAVAILABLE', `Token ${token} does not answer`, { token });
    return this.#reconnect();
  }

  /** @throws HsmError HSM_SESSION_LOST for a handle from before the sessions were rebuilt */
  assertCurrent(key: KeyHandle): void {
    if (key.generation !== this.generation)
      throw new HsmError('HSM_SESSION_LOST', `The ${key.algorithm} key handle is from before token ${this.tokenLabel} was reopened`, {
        token: this.tokenLabel,
      });
  }

  /** Whether the token lists the mechanism; it is asked once. */
  hasMechanism(mechanism: number): boolean {
    this.#mechanisms ??= new Set(this.call('read', (p11, { slot }) => p11.C_GetMechanismList(slot)));
    return this.#mechanisms.has(mechanism);
  }

  /** @throws HsmError HSM_MECHANISM_UNAVAILABLE */
  assertMechanism(mechanism: number, subject: string): void {
    if (this.hasMechanism(mechanism)) return;
    throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `Token ${this.tokenLabel} lacks mechanism 0x${mechanism.toString(16)} for ${subject}`);
  }

  /** Whether it can use keys of the algorithm, for the usage that they are made for where it is named. */
  hasAlgorithm(algorithm: Algorithm, usage?: KeyUsage): boolean {
    const { lacks, oaepSha256 } = families[this.family];
    if (!this.hasMechanism(rowOf(algorithm).operate) || lacks.includes(algorithm)) return false;
    return !(isRsa(algorithm) && usage === 'encrypt') || (oaepSha256 && this.hasMechanism(CKM_RSA_PKCS_OAEP));
  }

  /** @throws HsmError HSM_MECHANISM_UNAVAILABLE */
  assertAlgorithm(algorithm: Algorithm): void {
    this.assertMechanism(rowOf(algorithm).operate, algorithm);
    if (!this.hasAlgorithm(algorithm))
      throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `Token ${this.tokenLabel} (${this.family}) has no ${algorithm}`);
  }

  /** One call outside the hot path. `subject`, an algorithm for instance, is named in errors. */
  call<T>(operation: Operation, act: (p11: PKCS11, sessions: Sessions) => T, subject?: string): T {
    const sessions = this.ready();
    try {
      return act(this.p11, sessions);
    } catch (error) {
      throw this.failure(error, operation, subject);
    }
  }

  /** Whether the token still calculates, asked on the session of a call that failed; undefined where that failure is certain, or asks for more. */
  async calculates(error: unknown, operation: Operation, session: Buffer): Promise<boolean | undefined> {
    const ckr = returnValueOf(error);
    if (ckr === undefined || verdictOf(ckr) !== 'ask-canary' || !calculations.has(operation) || !this.#sessions) return undefined;
    return deciphersCanary(this.p11, session, this.#sessions.canary).catch(() => false);
  }

  /**
   * The error to throw for a failed call. When it returns, the connection is whole again, or known to be unavailable. `alive`: what `calculates` said,
   * where it was asked.
   */
  failure(error: unknown, operation: Operation, subject?: string, alive?: boolean): HsmError {
    if (error instanceof HsmError) return error;
    const what = `Token ${this.tokenLabel}: ${operation}${subject === undefined ? '' : ` ${subject}`} failed`;
    const ckr = returnValueOf(error);
    const verdict = ckr === undefined ? 'HSM_ARGUMENT_INVALID' : verdictOf(ckr);
    const details = { ckr, cause: error, token: this.tokenLabel };
    const said = ckr === undefined ? what : `${what}: ${nameOf(ckr)}`;
    if (ckr !== undefined && verdict === 'ask-canary' && (alive ?? this.#alive(operation)))
      return new HsmError(meaningWhenAlive(operation, ckr, this.family), said, details);
    if (verdict === 'ask-canary' || verdict === 'sessions-gone') return this.#mend(said, details);
    if (leavesOperation(error)) this.#renewOperations();
    return new HsmError(verdict, said, details);
  }

  /** To be called where a search found nothing: returns only when the token proves that it shows its objects. @throws HsmError HSM_UNAVAILABLE, HSM_SESSION_LOST */
  assertShowsObjects(searched: string): void {
    if (this.seesCanary()) return;
    const what = `Token ${this.tokenLabel} shows neither ${searched} nor its canary ${this.canary}`;
    const token = this.tokenLabel;
    throw this.#canarySeen ? this.#mend(what, { token }) : new HsmError('HSM_UNAVAILABLE', what, { token });
  }

  /** @throws nothing: a search that fails has not seen it */
  seesCanary(): boolean {
    try {
      const { objects } = this.ready();
      this.p11.C_FindObjectsInit(objects, canarySearchTemplate(this.canary));
      const seen = this.p11.C_FindObjects(objects, 1).length > 0;
      this.p11.C_FindObjectsFinal(objects);
      this.#canarySeen ||= seen;
      return seen;
    } catch {
      return false;
    }
  }

  libraryRestarted(): void {
    this.#drop();
  }

  get inUse(): boolean {
    return this.#sessions !== undefined;
  }

  /** Closes the sessions, which ends the login with the last of them. The connection is not used again. */
  close(): void {
    this.#closed = true;
    this.#closeSessions();
    this.#drop();
    this.#library.release(this);
  }

  #alive(operation: Operation): boolean {
    if (!this.#sessions || !calculates(this.p11, this.#sessions)) return false;
    // Session keys go on calculating when the storage of a token is gone: that is as alive as these calls need.
    if (calculations.has(operation)) return true;
    return this.#canarySeen ? this.seesCanary() : this.#describesItself(this.#sessions);
  }

  #describesItself({ slot }: Sessions): boolean {
    try {
      return this.p11.C_GetTokenInfo(slot).label.length > 0;
    } catch {
      return false;
    }
  }

  #mend(what: string, details: { ckr?: number; cause?: unknown; token?: string }): HsmError {
    this.#closeSessions();
    this.#drop();
    try {
      this.ready();
      return new HsmError('HSM_SESSION_LOST', what, details);
    } catch (error) {
      return failureWithoutCanary(error, what);
    }
  }

  /** Fresh sessions first; if the token is not there then, a restart of the library where that costs nobody anything in vain; then a pause that doubles. */
  #reconnect(): Sessions {
    let failure: unknown;
    for (const restart of [false, true]) {
      try {
        if (restart && !this.restart.helps(this, failure)) break;
        return this.#connect();
      } catch (error) {
        failure = error;
        if (error instanceof HsmError && error.code.startsWith('HSM_PIN')) break;
      }
    }
    this.#retryAtMs = this.#options.now() + Math.min(longestRetryMs, firstRetryMs * 2 ** this.#failures++);
    if (failure instanceof HsmError && failure.code.startsWith('HSM_PIN'))
      throw new HsmError(failure.code, failure.what, { ckr: failure.ckr, cause: failure, token: this.tokenLabel });
    // It was there when this process started: "no such token" now says only that it cannot be seen.
    throw new HsmError('HSM_UNAVAILABLE', `Token ${this.tokenLabel} does not answer`, { cause: failure, token: this.tokenLabel });
  }

  #connect(): Sessions {
    const sessions = openSessions(this.#library, this.#options.tokenLabel, this.#options.pin, this.#options.asyncSessions);
    this.#sessions = sessions;
    const expected = this.#canarySeen || this.#options.canaryRequired;
    if (!this.seesCanary() && expected) {
      this.#closeSessions();
      throw new HsmError('HSM_UNAVAILABLE', `Token ${this.tokenLabel} does not show its canary ${this.canary}`);
    }
    this.#failures = 0;
    this.restart.connected();
    return sessions;
  }

  #renewOperations(): void {
    if (!this.#sessions) return;
    closeSession(this.p11, this.#sessions.operations);
    try {
      this.#sessions.operations = openSession(this.p11, this.#sessions.slot);
    } catch {
      this.#closeSessions();
      this.#drop();
    }
  }

  #closeSessions(): void {
    if (!this.#sessions) return;
    closeSession(this.p11, this.#sessions.operations);
    closeSession(this.p11, this.#sessions.objects);
    // Those in use are not among the idle; their calls close them.
    const { idle, owners } = this.#sessions.asynchronous;
    for (const session of new Set([...idle, ...owners].filter((candidate) => !this.async.uses(candidate)))) closeSession(this.p11, session);
    this.#sessions = undefined;
  }

  #drop(): void {
    this.generation = ++generations;
    this.#sessions = undefined;
    this.tokenKeys.clear();
  }
}
