import {
  internalSubject,
  type KeyKind,
  type KeysView,
  migrationHsmOperations,
  ProblemError,
  requestType,
  type TokenSighting,
} from '@claviger/contracts';
import type { KvView } from '@claviger/messaging';
import { type NatsConnection, NoRespondersError, RequestError } from '@nats-io/transport-node';

const { surveyToken } = migrationHsmOperations;
/** Of a worker that is busy; one that is silent for so long refuses by itself. */
const patienceMs = 2_500;

/** Asks every worker at once what a token is to it. What one does not say is not known. */
export class TokenSurvey {
  constructor(
    private readonly connection: NatsConnection,
    private readonly view: Pick<KvView<KeysView>, 'fresh' | 'liveHolders'>,
  ) {}

  /** One answer of each worker that may be serving now, of this token or else of its first. Throws ERR_STATE_STALE, ERR_WORKER_UNAVAILABLE. */
  async of(token: string | undefined, kinds: readonly KeyKind[] = []): Promise<TokenSighting[]> {
    if (!this.view.fresh()) throw new ProblemError('ERR_STATE_STALE', 'Which workers there are is not known just now.');
    const said = new Map<string, TokenSighting>();
    const silent = () => this.workers().filter((worker) => !said.has(worker));
    if (silent().length === 0) throw new ProblemError('ERR_WORKER_UNAVAILABLE', 'There is no crypto-worker.');
    for await (const sighting of this.answers(token, kinds)) {
      said.set(sighting.worker, sighting);
      if (silent().length === 0) break;
    }
    const [one, ...others] = silent();
    if (one === undefined) return [...said.values()];
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    throw new ProblemError(
      'ERR_WORKER_UNAVAILABLE',
      `${one}${more} did not say what ${token === undefined ? 'its first token' : `token ${token}`} is to it.`,
    );
  }

  private async *answers(token: string | undefined, kinds: readonly KeyKind[]): AsyncGenerator<TokenSighting> {
    const subject = internalSubject(surveyToken.service, surveyToken.verb);
    const question = JSON.stringify({ type: requestType, token, kinds });
    try {
      for await (const m of await this.connection.requestMany(subject, question, { maxWait: patienceMs })) {
        const sighting = surveyToken.result.safeParse(m.json<{ result?: unknown }>().result);
        if (sighting.success) yield sighting.data;
      }
    } catch (cause) {
      if (!(cause instanceof NoRespondersError || (cause instanceof RequestError && cause.isNoResponders()))) throw cause;
      throw new ProblemError('ERR_WORKER_UNAVAILABLE', `nobody answers ${surveyToken.name}`, { cause });
    }
  }

  private workers(): string[] {
    return this.view.liveHolders().filter((holder) => holder.startsWith('crypto-worker.'));
  }
}
