import { tokenHsmOperations } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { SeenTokens } from './seen-tokens';

/** Who answers. A class, since Nest injects by it. */
export class Worker {
  constructor(readonly name: string) {}
}

/** Tells key-lifecycle which tokens this worker has, so that keys are held against the records of these. */
@Controller()
export class TokensController {
  constructor(
    private readonly worker: Worker,
    private readonly seen: SeenTokens,
  ) {}

  @MessagePattern(tokenHsmOperations.describeTokens.name)
  async describe(): Promise<Answer> {
    return { result: { worker: this.worker.name, tokens: this.seen.all() } };
  }
}
