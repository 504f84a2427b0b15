import { claviger } from '@claviger/authz';
import { type Action, type cryptoOperations, type KeyView, ProblemError, type Request } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type Admit, type Done as Recorded, type RecordedReply } from '@claviger/service';
import type { KeyHolder } from './key-holder';
import type { Done } from './operations';

type Operation = (typeof cryptoOperations)[keyof typeof cryptoOperations];
type KeyRequest = Request<Exclude<Operation, (typeof cryptoOperations)['generateRandom']>>;

/**
 * One use of a key, in the order of DESIGN.md: session, key, policy, HSM, record, answer. From the decision to the record everything happens in one
 * turn of the event loop, so what was checked is what was used, and the revisions in the record are those of both.
 */
export class RecordedUse {
  constructor(
    private readonly replies: RecordedReply,
    private readonly keys: KeyHolder,
  ) {}

  ofKey<O extends Operation>(operation: O, request: KeyRequest, context: RequestContext, use: (key: KeyView) => Done<O>): Promise<Answer> {
    const encryptionContext = 'context' in request ? request.context : undefined;
    const about = { keyId: request.keyId, ...(encryptionContext ? { context: encryptionContext } : {}) };
    return this.replies.answer(
      operation,
      context,
      about,
      ({ admit }) => this.use(operation, admit, this.keys.known(request.keyId), encryptionContext, use),
      this.keys.peek(request.keyId) ? undefined : () => this.keys.find(request.keyId),
    );
  }

  /** A use that needs no key. */
  ofSystem<O extends Operation>(operation: O, context: RequestContext, use: () => Done<O>): Promise<Answer> {
    return this.replies.answer(operation, context, {}, ({ admit }) => {
      admit(operation.action as Action, claviger);
      return recorded(onceMore(use));
    });
  }

  private use<O extends Operation>(
    operation: O,
    admit: Admit,
    key: KeyView,
    encryptionContext: Record<string, string> | undefined,
    use: (key: KeyView) => Done<O>,
  ): Recorded {
    this.assertFresh();
    admit(operation.action as Action, this.keys.resource(key), encryptionContext ? { encryptionContext } : {});
    const done = onceMore(() => use(key));
    // An HSM that took seconds kept this process from hearing of a change, and from being counted as one that serves.
    this.assertFresh();
    return recorded(done);
  }

  private assertFresh(): void {
    if (!this.keys.fresh()) throw new ProblemError('ERR_STATE_STALE');
  }
}

const recorded = <O extends Operation>({ result, version, bytes }: Done<O>): Recorded => ({
  result,
  record: { bytes, ...(version === undefined ? {} : { version }) },
});

/** When the token lost its sessions the handles are new now: the same operation is done once more. */
function onceMore<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return use();
    throw error;
  }
}
