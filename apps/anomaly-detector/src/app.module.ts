import { OutboxRelay, ProblemFilter } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { AlertEvent } from './alert-event';
import { AlertStore } from './alert-store';
import { AlertsController } from './alerts.controller';

@Module({})
export class AppModule {
  static with(parts: { store: AlertStore; relay: OutboxRelay<AlertEvent>; replies: RecordedReply }): DynamicModule {
    return {
      module: AppModule,
      controllers: [AlertsController],
      providers: [
        { provide: AlertStore, useValue: parts.store },
        { provide: OutboxRelay, useValue: parts.relay },
        { provide: RecordedReply, useValue: parts.replies },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
