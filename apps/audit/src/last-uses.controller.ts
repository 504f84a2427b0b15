import { type internalOperations, type LastUseOfKey, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { LastUses } from './last-uses';
import { toProblem } from './problem';

/** For key-lifecycle, which asks policy about each key and records who asked. */
@Controller()
export class LastUsesController {
  constructor(private readonly uses: LastUses) {}

  @MessagePattern('audit.last-uses')
  async lastUses(@Payload() { keyIds }: Request<typeof internalOperations.lastUses>): Promise<Answer> {
    try {
      const keys: LastUseOfKey[] = [];
      for (const keyId of keyIds) keys.push(await this.uses.of(keyId));
      return { result: { keys } };
    } catch (error) {
      throw toProblem(error);
    }
  }
}
