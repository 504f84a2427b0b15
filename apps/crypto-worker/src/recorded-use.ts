import { claviger } from '@claviger/authz';
import { type Action, cryptoOperations, type Item, type KeyView, ProblemError } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type About, type Admit, named, type Done as RecordedDone, type RecordedReply } from '@claviger/service';
import type { Done } from './done';
import type { InvocationLeases } from './invocation-leases';
import type { KeyHolder } from './key-holder';
import { encryptsToPublicHalf } from './key-use';
import { contextAfter } from './operations';
import type { TokenBreaker } from './token-breaker';

type Ops = typeof cryptoOperations;
type Operation = Ops[keyof Ops];
interface KeyRequest {
  /** Its id, or an alias. */
  keyId: string;
  context?: Record<string, string> | undefined;
}
/** Operations that protect by encryption under their key. */
const encrypts: ReadonlySet<Operation> = new Set([
  cryptoOperations.encrypt,
  cryptoOperations.generateDataKey,
  cryptoOperations.generateDataKeyPair,
]);
/** Needs no token: the public half is in the key's record. */
const { getPublicKey } = cryptoOperations;
type Use<O extends Operation> = (key: KeyView) => Done<O> | Promise<Done<O>>;

/**
 * One use of a key, in the order of DESIGN.md: session, key, policy, HSM, record, answer. From the decision to the record everything happens in one
 * turn of the event loop, so what was checked is what was used, and the revisions in the record are those of both. What the token does off the event
 * loop takes longer: then the same is asked again in the turn of the record, and a key that changed meanwhile was not used, nor one that an alias names
 * no more: once a change of an alias is confirmed, no success by that name follows with the key that it had before.
 */
export class RecordedUse {
  constructor(
    private readonly replies: RecordedReply,
    private readonly keys: KeyHolder,
    private readonly leases: Pick<InvocationLeases, 'ready'>,
    private readonly breaker: Pick<TokenBreaker, 'assertClosed'>,
  ) {}

  ofKey<O extends Operation>(operation: O, request: KeyRequest, context: RequestContext, use: Use<O>): Promise<Answer> {
    const about: About = { ...named(request.keyId), ...(request.context ? { context: request.context } : {}) };
    return this.replies.answer(
      operation,
      context,
      about,
      ({ admit, preparing }) => {
        const ask = () => {
          about.keyId = this.resolved(admit, request.keyId);
          return this.admitted(admit, operation.action, { keyId: about.keyId, context: request.context });
        };
        const key = preparing(() => {
          const asked = ask();
          if (operation !== getPublicKey) this.breaker.assertClosed();
          return asked;
        });
        const doing = onceMore(() => use(key));
        if (doing instanceof Promise) return doing.then((done) => ({ ...done, confirm: () => this.assertSame(ask(), key) }));
        // An HSM that took seconds kept this process from hearing of a change, and from being counted as one that serves.
        this.assertFresh();
        return doing;
      },
      this.arrivalOf([request.keyId], encrypts.has(operation) ? request.keyId : undefined),
    );
  }

  /** From one key to another, or to the newest version of the same: policy is asked for both. */
  reEncryption(
    operation: Ops['reEncrypt'],
    request: Item<Ops['reEncrypt']>,
    context: RequestContext,
    use: (from: KeyView, to: KeyView) => Done<Ops['reEncrypt']> | Promise<Done<Ops['reEncrypt']>>,
  ): Promise<Answer> {
    const { keyId, toKeyId = keyId } = request;
    const [before, after] = [request.context, contextAfter(request)];
    const to = named(toKeyId);
    const about: About = {
      ...named(keyId),
      ...(to.keyId === undefined ? { toAlias: toKeyId } : { toKeyId }),
      ...(before ? { context: before } : {}),
      ...(after ? { toContext: after } : {}),
    };
    return this.replies.answer(
      operation,
      context,
      about,
      ({ admit, admitAlso, preparing }): RecordedDone | Promise<RecordedDone> => {
        const ask = (): [KeyView, KeyView] => {
          about.keyId = this.resolved(admit, keyId);
          const asked = this.admitted(admit, 'crypto:ReEncryptFrom', { keyId: about.keyId, context: before });
          about.toKeyId = this.resolved(admitAlso, toKeyId);
          return [asked, this.admitted(admitAlso, 'crypto:ReEncryptTo', { keyId: about.toKeyId, context: after })];
        };
        const [from, to] = preparing(() => {
          const asked = ask();
          this.breaker.assertClosed();
          return asked;
        });
        const doing = onceMore(() => use(from, to));
        if (doing instanceof Promise) {
          const confirm = () => {
            const [fromNow, toNow] = ask();
            this.assertSame(fromNow, from);
            this.assertSame(toNow, to);
          };
          return doing.then((done) => ({ ...done, confirm }));
        }
        this.assertFresh();
        return doing;
      },
      this.arrivalOf([keyId, toKeyId], toKeyId),
    );
  }

  /** A use that needs no key. */
  ofSystem<O extends Operation>(operation: O, context: RequestContext, use: () => Done<O>): Promise<Answer> {
    return this.replies.answer(operation, context, {}, ({ admit, preparing }): RecordedDone => {
      admit(operation.action as Action, claviger);
      preparing(() => this.breaker.assertClosed());
      return onceMore(use) as Done<O>;
    });
  }

  /** Waits only for a key that the watch has not delivered yet, and for the block of encryptions that the next one under `encryptsUnder` is taken from. */
  private arrivalOf(refs: string[], encryptsUnder: string | undefined): (() => Promise<unknown>) | undefined {
    const late = refs.filter((ref) => !this.keys.isHere(ref));
    if (late.length === 0 && this.leased(encryptsUnder) === undefined) return undefined;
    return async () => {
      await Promise.all(late.map((ref) => this.keys.arrive(ref)));
      await this.leased(encryptsUnder);
    };
  }

  private leased(ref: string | undefined): Promise<void> | undefined {
    const keyId = ref === undefined || !this.keys.isHere(ref) ? undefined : this.keys.idOf(ref);
    const key = keyId === undefined ? undefined : this.keys.peek(keyId);
    return key?.usage === 'encrypt' && !encryptsToPublicHalf(key) ? this.leases.ready(key.keyId, key.primaryVersion) : undefined;
  }

  /** That no key has an alias is told only to those who may list keys. */
  private resolved(admit: Admit, ref: string): string {
    this.assertFresh();
    const keyId = this.keys.idOf(ref);
    if (keyId !== undefined) return keyId;
    admit('keys:List', claviger);
    throw new ProblemError('ERR_KEY_UNKNOWN', 'No key has this alias.');
  }

  private admitted(admit: Admit, action: string, { keyId, context }: KeyRequest): KeyView {
    const key = this.keys.known(keyId);
    admit(action as Action, this.keys.resource(key), context ? { encryptionContext: context } : {});
    return key;
  }

  /** The same key, which an alias names still, unchanged. */
  private assertSame(now: KeyView, used: KeyView): void {
    if (now.keyId !== used.keyId) throw new ProblemError('ERR_CONFLICT', 'The alias was pointed to another key while this one was used.');
    this.keys.unchanged(used);
  }

  private assertFresh(): void {
    if (!this.keys.fresh()) throw new ProblemError('ERR_STATE_STALE');
  }
}

/** When the token lost its sessions the handles are new now: the same operation is done once more. */
function onceMore<T>(use: () => T | Promise<T>): T | Promise<T> {
  try {
    const doing = use();
    return doing instanceof Promise ? doing.catch((error) => again(error, use)) : doing;
  } catch (error) {
    return again(error, use);
  }
}

function again<T>(error: unknown, use: () => T): T {
  if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return use();
  throw error;
}
