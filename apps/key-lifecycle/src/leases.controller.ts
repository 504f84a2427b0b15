import { internalOperations, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { InvocationBlocks } from './invocation-blocks';
import { LeaseBounds } from './invocations';
import { KeyStore } from './key-store';

/** Given to workers only, in blocks. Not recorded: each encryption is. */
@Controller()
export class LeasesController {
  private readonly blocks: InvocationBlocks;

  constructor(store: KeyStore, bounds: LeaseBounds) {
    this.blocks = new InvocationBlocks(store, bounds);
  }

  @MessagePattern(internalOperations.leaseInvocations.name)
  async lease(@Payload() { keyId, version, count }: Request<typeof internalOperations.leaseInvocations>): Promise<Answer> {
    return { result: { granted: await this.blocks.give(keyId, version, count) } };
  }
}
