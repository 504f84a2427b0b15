import { internalOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { give, LeaseBounds } from './invocations';
import { KeyStore } from './key-store';

const attempts = 8;

/** Given to workers only, in blocks. Not recorded: each encryption is. */
@Controller()
export class LeasesController {
  constructor(
    private readonly store: KeyStore,
    private readonly bounds: LeaseBounds,
  ) {}

  @MessagePattern(internalOperations.leaseInvocations.name)
  async lease(@Payload() { keyId, version, count }: Request<typeof internalOperations.leaseInvocations>): Promise<Answer> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await this.store.invocations(keyId);
      if (!from) throw new ProblemError('ERR_KEY_UNKNOWN');
      const { to, granted, outbox } = give(from.invocations, version, count, this.bounds, new Date().toISOString());
      if (await this.store.changeInvocations(from, to, outbox)) return { result: { granted } };
    }
    throw new ProblemError('ERR_CONFLICT');
  }
}
