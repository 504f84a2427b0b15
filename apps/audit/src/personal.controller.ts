import { type internalOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { PersonalStore } from './personal-store';

/** Between services only. Not recorded: the session record that holds the commitment is the record of it. */
@Controller()
export class PersonalController {
  constructor(private readonly personal: PersonalStore) {}

  @MessagePattern('audit.personal')
  async store(@Payload() { values }: Request<typeof internalOperations.storePersonal>): Promise<Answer> {
    try {
      return { result: { stored: await this.personal.store(values) } };
    } catch {
      // Without its cause, which would be logged: the driver's message may show the document.
      throw new ProblemError('ERR_STORE_UNAVAILABLE');
    }
  }
}
