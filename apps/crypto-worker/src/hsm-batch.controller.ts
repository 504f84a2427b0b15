import { setImmediate as turn } from 'node:timers/promises';
import { internalOperations, ProblemError, type Request, requestType } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller, Logger } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { HsmController } from './hsm.controller';

/** So long the event loop is held at most, beside the last key: other requests have their turn between the keys of a batch. */
const holdMs = 5;
const logger = new Logger('hsm-batch');

/** Many keys with one message, each as if it had been asked for alone. */
@Controller()
export class HsmBatchController {
  constructor(private readonly one: HsmController) {}

  @MessagePattern(internalOperations.generateKeys.name)
  async generateKeys(@Payload() { kekId, kek, tokens, keys }: Request<(typeof internalOperations)['generateKeys']>): Promise<Answer> {
    const made: unknown[] = [];
    let since = performance.now();
    for (const { algorithm, usage, residency } of keys) {
      if (performance.now() - since > holdMs) {
        await turn();
        since = performance.now();
      }
      const where = { ...(residency ? { residency } : {}), ...(tokens ? { tokens } : {}) };
      made.push(await this.generated({ type: requestType, algorithm, usage, kekId, kek, ...where }));
    }
    return { result: { keys: made } };
  }

  private async generated(request: Request<(typeof internalOperations)['generateKey']>): Promise<unknown> {
    try {
      return (await this.one.generateKey(request)).result;
    } catch (error) {
      const problem = error instanceof ProblemError ? error : new ProblemError('ERR_INTERNAL', undefined, { cause: error });
      // The cause stays here.
      if (problem.cause !== undefined) logger.warn(`a key of a batch: ${problem.message}: ${String(problem.cause)}`);
      return { problem: problem.toProblem() };
    }
  }
}
