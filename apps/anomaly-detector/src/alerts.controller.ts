import { claviger } from '@claviger/authz';
import { alertOperations, type Request } from '@claviger/contracts';
import { type Answer, OutboxRelay, type RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import type { AlertEvent } from './alert-event';
import { AlertStore } from './alert-store';

const { list, acknowledge } = alertOperations;

@Controller()
export class AlertsController {
  constructor(
    private readonly store: AlertStore,
    private readonly relay: OutboxRelay<AlertEvent>,
    private readonly replies: RecordedReply,
  ) {}

  @MessagePattern(list.name)
  list(@Payload() request: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(list, context, {}, async ({ admit }) => {
      admit('alerts:Read', claviger);
      return { result: { alerts: await this.store.list(request) } };
    });
  }

  @MessagePattern(acknowledge.name)
  acknowledge(@Payload() { alertId, note }: Request<typeof acknowledge>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(acknowledge, context, {}, async ({ admit }) => {
      admit('alerts:Acknowledge', claviger);
      const { alert, events } = await this.store.acknowledge(alertId, context.principal, note, new Date());
      // Stored with the change: when it cannot be published now, the relay's sweep does it.
      void this.relay.deliverNow(events).catch(() => undefined);
      return { result: alert, record: { reason: alertId } };
    });
  }
}
