import { setImmediate as turn } from 'node:timers/promises';
import { algorithms, type ItemOutcome, keyBatchOperations, ProblemError, type Request, requestType } from '@claviger/contracts';
import { type Answer, RecordedProblem, type RequestContext } from '@claviger/messaging';
import { Controller, Logger } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { KeysController } from './keys.controller';
import { lanes } from './lanes';

/** Of one request. A pair takes a worker up to seconds, in which it makes nobody else's keys: the workers of an installation are few. */
const pairsAtOnce = 4;

const itemsPerTurn = 10;
const logger = new Logger('keys-batch');

/**
 * Many keys with one request: each is decided, made and recorded as if it had come alone, side by side, so that they share one message to the HSM, one
 * write of the store and one batch of the ledger (MaterialRequests, KeyInserts). Pairs, which are asked for alone, a few at a time.
 */
@Controller()
export class KeysBatchController {
  constructor(private readonly one: KeysController) {}

  @MessagePattern(keyBatchOperations.createBatch.name)
  async create(
    @Payload() { items, requestId }: Request<(typeof keyBatchOperations)['createBatch']>,
    @Ctx() context: RequestContext,
  ): Promise<Answer> {
    const inLane = lanes(pairsAtOnce);
    const making: Promise<Answer>[] = [];
    for (const [i, item] of items.entries()) {
      // Whoever else is served here, and the probes of the views, have their turn.
      if (i > 0 && i % itemsPerTurn === 0) await turn();
      const make = () => this.one.create({ type: requestType, requestId, ...item }, context);
      making.push(algorithms[item.algorithm].pair && item.origin !== 'external' ? inLane(make) : make());
      making.at(-1)?.catch(() => undefined);
    }
    const settled = await Promise.allSettled(making);
    return { result: { results: settled.map((s) => (s.status === 'fulfilled' ? s.value : refused(s.reason))) } };
  }
}

function refused(error: unknown): ItemOutcome<never> {
  if (error instanceof RecordedProblem) return { ...refused(error.problem), receipt: error.receipt };
  if (error instanceof ProblemError) {
    // The cause stays here.
    if (error.cause !== undefined) logger.warn(`a key of a batch: ${error.message}: ${String(error.cause)}`);
    return { problem: error.toProblem() };
  }
  logger.error('a key of a batch failed', error instanceof Error ? error.stack : String(error));
  return { problem: new ProblemError('ERR_INTERNAL').toProblem() };
}
