import { alertOperations, type Request, type Result } from '@claviger/contracts';
import { type Answer, OutboxRelay, type RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import type { AlertEvent } from './alert-event';
import { AlertStore } from './alert-store';
import { RecordedRequest } from './recorded-request';

const { list, acknowledge } = alertOperations;

@Controller()
export class AlertsController {
  constructor(
    private readonly store: AlertStore,
    private readonly relay: OutboxRelay<AlertEvent>,
    private readonly recorded: RecordedRequest,
  ) {}

  @MessagePattern(list.name)
  list(@Payload() request: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer<Result<typeof list>>> {
    return this.recorded.answer(list, context, async () => ({ alerts: await this.store.list(request) }));
  }

  @MessagePattern(acknowledge.name)
  acknowledge(
    @Payload() { alertId, note }: Request<typeof acknowledge>,
    @Ctx() context: RequestContext,
  ): Promise<Answer<Result<typeof acknowledge>>> {
    return this.recorded.answer(acknowledge, context, async () => {
      const { alert, events } = await this.store.acknowledge(alertId, context.principal, note, new Date());
      // Stored with the change: when it cannot be published now, the relay's sweep does it.
      void this.relay.deliverNow(events).catch(() => undefined);
      return alert;
    });
  }
}
