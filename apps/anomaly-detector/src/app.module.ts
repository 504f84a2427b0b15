import { OutboxRelay, ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { AlertEvent } from './alert-event';
import { AlertStore } from './alert-store';
import { AlertsController } from './alerts.controller';
import { RecordedRequest } from './recorded-request';

@Module({})
export class AppModule {
  static with(parts: { store: AlertStore; relay: OutboxRelay<AlertEvent>; recorded: RecordedRequest }): DynamicModule {
    return {
      module: AppModule,
      controllers: [AlertsController],
      providers: [
        { provide: AlertStore, useValue: parts.store },
        { provide: OutboxRelay, useValue: parts.relay },
        { provide: RecordedRequest, useValue: parts.recorded },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
