import { type CloudEvent, eventSubject } from '@claviger/contracts';
import { OutboxRelay, type OutboxSource } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';

/** Publishes the events of documents that hold nothing else to deliver. */
export const eventRelay = (source: OutboxSource<CloudEvent>, connection: NatsConnection, logger: LoggerService, name: string) =>
  new OutboxRelay<CloudEvent>(
    source,
    async ({ entry }) => {
      await jetstream(connection).publish(eventSubject(entry.type), JSON.stringify(entry), { msgID: entry.id });
    },
    logger,
    name,
  );
