import { type internalOperations, type LastUseOfKey, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { LastUses } from './last-uses';
import { toProblem } from './problem';

/** Shorter than the asker waits. */
const answerMs = 3_000;

/** For key-lifecycle, which asks policy about each key and records who asked. */
@Controller()
export class LastUsesController {
  /** One request at a time: the ledger's own work comes first. */
  private busy: Promise<unknown> = Promise.resolve();

  constructor(private readonly uses: LastUses) {}

  @MessagePattern('audit.last-uses')
  lastUses(@Payload() { keyIds }: Request<typeof internalOperations.lastUses>): Promise<Answer> {
    const deadline = performance.now() + answerMs;
    const answer = this.busy.then(() => this.look(keyIds, deadline));
    this.busy = answer.catch(() => undefined);
    return answer;
  }

  private async look(keyIds: readonly string[], deadline: number): Promise<Answer> {
    try {
      const keys: LastUseOfKey[] = [];
      for (const keyId of keyIds) keys.push(await this.uses.of(keyId, deadline));
      return { result: { keys } };
    } catch (error) {
      throw toProblem(error);
    }
  }
}
